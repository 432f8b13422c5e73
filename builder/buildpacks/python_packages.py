"""What a Python tree says about itself: packages, files to install from, Python version."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from builder.buildpacks.python_source import source
from core.errors import BuildFailed

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
INCLUDE = re.compile(r"(?:-r|-c|--requirement|--constraint)[ =]?\s*(\S+)")
LOCAL = re.compile(r"(?:-e\s|--editable[ =]|\.{1,2}/|\.$|\.\[|file:|-f\s|--find-links)|@\s*file:")
PINNED = re.compile(r"(?:python-)?(\d+)\.(\d+)(?:\.\d+)?")


@dataclass(frozen=True)
class Requirements:
    """`files` relative to the tree; `local` when one of them needs more of the tree than these files."""

    files: tuple[str, ...]
    names: frozenset[str]
    local: bool


def requirements(tree: Path, first: str) -> Requirements:
    """A requirements file and all that it includes."""
    files: list[str] = []
    names: set[str] = set()
    local = False
    waiting = [first]
    while waiting:
        name = waiting.pop()
        if name in files:
            continue
        files.append(name)
        for line in lines(tree, name):
            include = INCLUDE.match(line)
            if include:
                waiting.append((Path(name).parent / include[1]).as_posix())
            local = local or bool(LOCAL.search(line))
            names |= {canonicalize_name(match[0]) for match in [NAME.match(line)] if match}
    outside = any(".." in Path(file).parts or not (tree / file).is_file() for file in files)
    return Requirements(tuple(files), frozenset(names), local or outside)


def lines(tree: Path, name: str) -> list[str]:
    found = (line.split(" #")[0].strip() for line in source(tree / name).splitlines())
    return [line for line in found if line and not line.startswith("#")]


def toml(tree: Path, name: str) -> dict[str, Any]:
    """A TOML file; {} when there is none; BuildFailed when it is broken."""
    try:
        return tomllib.loads(source(tree / name))
    except tomllib.TOMLDecodeError as error:
        raise BuildFailed(f"{name} is not valid TOML", "Fix it and push again.", evidence=str(error)) from error


def project_names(project: dict[str, Any]) -> frozenset[str]:
    """Packages that a pyproject.toml asks for."""
    dependencies = project.get("project", {}).get("dependencies", [])
    poetry = project.get("tool", {}).get("poetry", {}).get("dependencies", {})
    found = [match for each in [*dependencies, *poetry] if (match := NAME.match(str(each)))]
    return frozenset(canonicalize_name(match[0]) for match in found)


def locked_names(lock: dict[str, Any]) -> frozenset[str]:
    """Packages that a uv.lock names, the project itself included."""
    return frozenset(canonicalize_name(package["name"]) for package in lock.get("package", []))


def check_version(tree: Path, project: dict[str, Any], available: str) -> tuple[str, ...]:
    """Notes on the Python taken; BuildFailed when the app says that it cannot run on the one there is."""
    required = str(project.get("project", {}).get("requires-python", ""))
    try:
        # A stack has the newest patch of its minor version.
        fits = SpecifierSet(required).contains(Version(f"{available}.99"))
    except InvalidSpecifier as error:
        raise BuildFailed(f"requires-python = {required!r} is no version range", "Try: >=3.11") from error
    if not fits:
        raise BuildFailed(
            f"this app needs Python {required}, and Python {available} is what there is",
            "Widen requires-python in pyproject.toml, or ask the operator for another base image (PAAS_STACK).",
        )
    file, pinned = pin(tree)
    if not pinned or pinned == available:
        return ()
    return (f"{file} asks for Python {pinned}; taking {available}, the one there is",)


def pin(tree: Path) -> tuple[str, str]:
    """(file, major.minor) of the version the app names for itself."""
    for file in (".python-version", "runtime.txt"):
        match = PINNED.match(source(tree / file).strip())
        if match:
            return file, f"{match[1]}.{match[2]}"
    return "", ""
