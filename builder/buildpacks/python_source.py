"""Finds what to start in a Python tree by reading the source: nothing is imported or run."""

from __future__ import annotations

import ast
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FRAMEWORKS = {"Flask": "wsgi", "FastAPI": "asgi", "Starlette": "asgi"}
FACTORIES = ("create_app", "make_app")
FIRST_FILES = ("wsgi", "asgi", "app", "main", "application", "server", "run", "api", "index", "__init__")
FIRST_NAMES = ("app", "application", "api", "server")
PLAIN_FILES = ("main.py", "app.py", "server.py", "web.py", "run.py", "bot.py")
SKIPPED = {"tests", "test", "docs", "examples", "node_modules", "venv", "env", "migrations", "scripts", "build", "dist"}
DEPTH = 3
SIZE_LIMIT = 1 << 20
FILE_LIMIT = 2_000
SETTINGS = re.compile(r"DJANGO_SETTINGS_MODULE['\"]\s*,\s*['\"]([\w.]+)['\"]")


@dataclass(frozen=True)
class Entry:
    """Where a web application object lies. `kind` is wsgi or asgi; a factory makes the object when called."""

    kind: str
    module: str
    name: str
    factory: bool = False
    base: str = ""
    """The folder imports start from, relative to the tree."""

    @property
    def where(self) -> str:
        return f"{self.module}:{self.name}{'()' if self.factory else ''}"


@dataclass(frozen=True)
class Django:
    """A Django project: folder of manage.py relative to the tree, module of the settings, their text."""

    folder: str
    settings: str
    text: str

    @property
    def package(self) -> str:
        return self.settings.split(".")[0]


def django(tree: Path) -> Django | None:
    """The Django project whose manage.py lies at the root or one folder down."""
    for manage in [tree / "manage.py", *sorted(tree.glob("*/manage.py"))]:
        match = SETTINGS.search(source(manage))
        if match:
            folder = manage.parent
            place = folder.joinpath(*match[1].split("."))
            files = [place.with_suffix(".py"), *sorted(place.parent.glob("*.py")), *sorted(place.glob("*.py"))]
            text = "\n".join(source(file) for file in files)
            return Django(manage.parent.relative_to(tree).as_posix(), match[1], text)
    return None


def web_entry(tree: Path) -> Entry | None:
    """The web application object most likely meant; None when there is none."""
    found: list[Entry] = []
    for file in python_files(tree):
        found += entries(tree, file)
    return min(found, key=lambda entry: entry.factory) if found else None


def plain_script(tree: Path) -> str | None:
    """A script that serves by itself, by its name."""
    return next((name for name in PLAIN_FILES if (tree / name).is_file()), None)


def entries(tree: Path, file: Path) -> list[Entry]:
    """What one file offers, best first: objects before factories."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = ast.parse(source(file))
    except (SyntaxError, ValueError, RecursionError):
        return []
    base, module = module_of(tree, file)
    objects = [Entry(kind, module, name, base=base) for name, kind in assigned(parsed)]
    factories = [Entry(kind, module, name, True, base) for name, kind in defined(parsed)]
    return sorted(objects, key=lambda entry: rank(entry.name, FIRST_NAMES)) + factories


def assigned(parsed: ast.Module) -> Iterator[tuple[str, str]]:
    """Top-level `name = Flask(...)`, `name = create_app(...)`, also inside `if` and `try`."""
    for node in statements(parsed.body):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            kind = kind_of(node.value, parsed)
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((target.id, kind) for target in targets if kind and isinstance(target, ast.Name))


def defined(parsed: ast.Module) -> Iterator[tuple[str, str]]:
    """Top-level factories that can be called without arguments."""
    for node in statements(parsed.body):
        if isinstance(node, ast.FunctionDef) and node.name in FACTORIES and callable_bare(node.args):
            inside = [called(call) for call in ast.walk(node)]
            yield node.name, next((FRAMEWORKS[name] for name in inside if name in FRAMEWORKS), "wsgi")


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Module-level statements, those under `if` and `try` included, `if __name__ == "__main__"` not."""
    for node in body:
        yield node
        if isinstance(node, ast.Try) or (isinstance(node, ast.If) and "__main__" not in ast.dump(node.test)):
            yield from statements(node.body)


def callable_bare(arguments: ast.arguments) -> bool:
    needed = len(arguments.args) + len(arguments.posonlyargs) - len(arguments.defaults)
    return needed == 0 and all(default is not None for default in arguments.kw_defaults)


def kind_of(call: ast.Call, parsed: ast.Module) -> str | None:
    name = called(call)
    if name in FACTORIES:
        return "asgi" if imports(parsed, ("fastapi", "starlette", "uvicorn")) else "wsgi"
    return FRAMEWORKS.get(name)


def called(node: ast.AST) -> str:
    """The last part of what is called: `flask.Flask(...)` and `Flask(...)` are both `Flask`."""
    if not isinstance(node, ast.Call):
        return ""
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def imports(parsed: ast.Module, packages: tuple[str, ...]) -> bool:
    names = [alias.name for node in ast.walk(parsed) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in ast.walk(parsed) if isinstance(node, ast.ImportFrom)]
    return any(name.split(".")[0] in packages for name in names)


def module_of(tree: Path, file: Path) -> tuple[str, str]:
    """(base folder, dotted module) of a file: imports start at the first folder that is no package."""
    base = file.parent
    while base != tree and (base / "__init__.py").is_file():
        base = base.parent
    parts = file.relative_to(base).with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    relative = base.relative_to(tree).as_posix()
    return ("" if relative == "." else relative), module


def python_files(tree: Path) -> list[Path]:
    """Candidates, likely ones first: near the root, then by name."""
    found: list[Path] = []
    for root, folders, names in os.walk(tree):
        depth = len(Path(root).relative_to(tree).parts)
        folders[:] = [each for each in folders if depth < DEPTH and each not in SKIPPED and not each.startswith(".")]
        found += [Path(root) / name for name in names if name.endswith(".py") and not name.startswith("test_")]
        if len(found) > FILE_LIMIT:
            break
    return sorted(found, key=lambda file: (len(file.relative_to(tree).parts), rank(file.stem, FIRST_FILES), file.name))


def rank(name: str, order: tuple[str, ...]) -> int:
    return order.index(name) if name in order else len(order)


def source(file: Path) -> str:
    """The text of a file that is small enough to be source; "" otherwise."""
    if not file.is_file() or file.stat().st_size > SIZE_LIMIT:
        return ""
    return file.read_text("utf-8-sig", "replace")
