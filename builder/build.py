"""The phase of a build that needs no engine: what will be made of a tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from builder import appjson, envexample, procfile
from builder.base import Plan
from builder.buildpacks import detect
from builder.commands import argv
from builder.manifest import Manifest
from core.errors import BuildFailed


@dataclass(frozen=True)
class Prepared:
    """What a tree will become: the plan, and every process type with its argv (empty: the image's own command)."""

    plan: Plan
    processes: Mapping[str, tuple[str, ...]]
    commands: Mapping[str, str]
    """The same as people wrote them."""
    declared: tuple[str, ...]
    """Types that come from the Procfile."""
    manifest: Manifest
    """What app.json says."""
    expected: tuple[str, ...]
    """Config vars that .env.example lists."""

    def words(self) -> Iterator[str]:
        """Lines for the build log."""
        yield f"-----> {self.plan.why}"
        yield from (f"       {note}" for note in self.plan.notes)
        yield "-----> Discovering process types"
        if self.declared:
            yield f"       Procfile declares {', '.join(self.declared)}"
        for kind in self.commands.keys() - set(self.declared):
            yield f"       {kind}: {self.commands[kind] or 'the command of the image'}"
        if said := ", ".join(self.manifest.words()):
            yield f"       app.json: {said}"
        yield from (f"       {note}" for note in self.manifest.notes)

    def document(self) -> dict[str, Any]:
        """What the tree asks for, as it is kept: the manifest, each script as argv, the names .env.example lists."""
        lines = asdict(self.manifest.scripts)
        return {
            **self.manifest.document(),
            "argv": {name: list(argv(name, line, bash=has_bash(self.plan))) for name, line in lines.items()},
            "expected": list(self.expected),
        }


def has_bash(plan: Plan) -> bool:
    """Only our own base images are known to have it."""
    return plan.pack != "dockerfile"


def plan(folder: Path, suite: str = "bookworm") -> Prepared:
    """Recognise the tree and name its processes; NoBuildpack, BuildFailed with a bad file or nothing to start."""
    found = detect(folder, suite)
    declared = procfile.read(folder) or {}
    commands = {**found.processes, **declared}
    if not commands:
        raise BuildFailed(
            "nothing says how to start this app",
            "Add a Procfile with a line such as `web: python server.py`, listening on 0.0.0.0:$PORT.",
            evidence=found.why,
        )
    processes = {kind: argv(kind, command, bash=has_bash(found)) for kind, command in commands.items()}
    return Prepared(found, processes, commands, tuple(declared), appjson.read(folder), envexample.read(folder))
