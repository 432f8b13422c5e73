"""The phase of a build that needs no engine: what will be made of a tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

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
    # Only our own base images are known to have bash.
    bash = found.pack != "dockerfile"
    processes = {kind: argv(kind, command, bash=bash) for kind, command in commands.items()}
    return Prepared(found, processes, commands, tuple(declared), appjson.read(folder), envexample.read(folder))
