"""Python apps: requirements.txt, pyproject.toml, uv.lock, or nothing but source."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder import procfile
from builder.base import Plan
from builder.buildpacks.python_packages import (
    check_version,
    locked_names,
    project_names,
    requirements,
    toml,
)
from builder.buildpacks.python_source import Django, Entry, django, plain_script, web_entry
from builder.dockerfile import PythonRecipe
from builder.dockerfile import python as dockerfile
from core.errors import BuildFailed

DECLARES = ("requirements.txt", "pyproject.toml", "uv.lock", "manage.py")
OTHER_TOOLS = {"Pipfile": "pipenv", "environment.yml": "conda", "setup.py": "setup.py alone"}
RUNS_PYTHON = re.compile(r"\b(python3?|gunicorn|uvicorn|flask|django-admin|celery|hypercorn|streamlit)\b")
GUNICORN = "gunicorn --bind 0.0.0.0:$PORT --threads 8 --worker-tmp-dir /dev/shm"
SERVERS = ("gunicorn", "uvicorn")
STATIC = re.compile(r"^\s*STATIC_ROOT\s*=\s*(?!None)", re.MULTILINE)


@dataclass(frozen=True)
class Dependencies:
    """Where packages come from: what to say, files the install step needs, its commands, names it brings."""

    why: str
    manifests: tuple[str, ...] | None
    install: tuple[str, ...]
    project: tuple[str, ...]
    names: frozenset[str]


class Python:
    """`version` is the one Python of the base image."""

    name = "python"

    def __init__(self, version: str = "3.11") -> None:
        self.version = version

    def plan(self, folder: Path) -> Plan | None:
        """The plan of a Python app; None for other trees; BuildFailed when it cannot be built here."""
        if not recognised(folder):
            return None
        project = toml(folder, "pyproject.toml")
        notes = check_version(folder, project, self.version)
        found = dependencies(folder, project)
        site, entry = django(folder), web_entry(folder)
        declared = procfile.read(folder) or {}
        processes = {} if "web" in declared else inferred(folder, site, entry, found)
        recipe = PythonRecipe(
            found.manifests,
            (*found.install, *supplied(found, [*declared.values(), *processes.values()])),
            found.project,
            ("src",) if (folder / "src").is_dir() and not found.project and entry and entry.base == "src" else (),
            collect(site, found, " ".join(declared.values())),
        )
        why = f"Python app detected ({found.why}, Python {self.version})"
        reads = bool(recipe.static)
        return Plan(self.name, why, dockerfile(recipe), processes=processes, reads_config=reads, notes=notes)


def recognised(folder: Path) -> bool:
    if any((folder / name).is_file() for name in DECLARES):
        return True
    if any((folder / name).is_file() for name in ("package.json", "index.html")):
        return False
    declared = procfile.read(folder) or {}
    sources = any(folder.glob("*.py"))
    return sources or any(RUNS_PYTHON.search(command) for command in declared.values())


def dependencies(folder: Path, project: dict[str, Any]) -> Dependencies:
    """How this tree says what it needs; uv.lock before requirements.txt before pyproject.toml."""
    if (folder / "uv.lock").is_file():
        return locked(folder, project)
    if (folder / "requirements.txt").is_file():
        found = requirements(folder, "requirements.txt")
        manifests = None if found.local else found.files
        command = "uv pip install -r requirements.txt"
        return Dependencies("requirements.txt", manifests, (command,), (), found.names)
    if "project" in project or "poetry" in project.get("tool", {}):
        command = "uv pip install -r pyproject.toml"
        install = installs_itself(folder, project)
        commands = ("uv pip install --no-deps -e .",) if install else ()
        return Dependencies("pyproject.toml", ("pyproject.toml",), (command,), commands, project_names(project))
    for name, tool in OTHER_TOOLS.items():
        if (folder / name).is_file():
            raise BuildFailed(f"{name} ({tool}) is not supported", "Add a requirements.txt or a pyproject.toml.")
    return Dependencies("no requirements", (), (), (), frozenset())


def locked(folder: Path, project: dict[str, Any]) -> Dependencies:
    sync = "uv sync --frozen --no-dev"
    names = locked_names(toml(folder, "uv.lock"))
    # Members of a workspace and packages by path lie elsewhere in the tree.
    spread = {"workspace", "sources"} & set(project.get("tool", {}).get("uv", {}))
    manifests = None if spread else ("pyproject.toml", "uv.lock")
    install = (sync,) if installs_itself(folder, project) else ()
    return Dependencies("uv.lock", manifests, (f"{sync} --no-install-project",), install, names)


def installs_itself(folder: Path, project: dict[str, Any]) -> bool:
    """Whether the app is a package that must be installed to be imported, or to have its commands."""
    packaged = "build-system" in project
    return packaged and ((folder / "src").is_dir() or "scripts" in project.get("project", {}))


def supplied(found: Dependencies, commands: list[str]) -> tuple[str, ...]:
    """The server that a command calls and the app does not bring."""
    missing = [name for name in SERVERS if name not in found.names and any(calls(name, line) for line in commands)]
    return (f"uv pip install {' '.join(missing)}",) if missing else ()


def calls(name: str, command: str) -> bool:
    return bool(re.search(rf"(?<![\w.-]){name}(?![\w-])", command))


def inferred(folder: Path, site: Django | None, entry: Entry | None, found: Dependencies) -> dict[str, str]:
    """The web process of an app that names none."""
    if site and (not found.names or "django" in found.names):
        return {"web": django_server(folder, site)}
    if entry:
        return {"web": server(entry)}
    script = plain_script(folder)
    return {"web": f"python {script}"} if script else {}


def django_server(folder: Path, site: Django) -> str:
    package = folder / site.folder / site.package
    directory = "" if site.folder == "." else f" --chdir {shlex.quote(site.folder)}"
    if (package / "asgi.py").is_file() and ("ASGI_APPLICATION" in site.text or not (package / "wsgi.py").is_file()):
        place = "" if site.folder == "." else f" --app-dir {shlex.quote(site.folder)}"
        return f"uvicorn{place} --host 0.0.0.0 --port $PORT {site.package}.asgi:application"
    return f"{GUNICORN}{directory} {site.package}.wsgi:application"


def server(entry: Entry) -> str:
    base = entry.base if entry.base != "src" else ""
    if entry.kind == "asgi":
        options = (" --factory" if entry.factory else "") + (f" --app-dir {shlex.quote(base)}" if base else "")
        return f"uvicorn --host 0.0.0.0 --port $PORT{options} {entry.module}:{entry.name}"
    options = f" --chdir {shlex.quote(base)}" if base else ""
    return f"{GUNICORN}{options} {shlex.quote(entry.where)}"


def collect(site: Django | None, found: Dependencies, declared: str) -> str:
    """The command that collects static files; "" where the project keeps none or the Procfile does it."""
    wanted = site and STATIC.search(site.text) and "django.contrib.staticfiles" in site.text
    if not site or not wanted or "collectstatic" in declared:
        return ""
    return f"python {shlex.quote(f'{site.folder}/manage.py')} collectstatic --noinput"
