"""The seam of the builder: source tree in, image out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

Say = Callable[[str], None]
"""Takes one line of the build log, already in the words users know (`-----> step`, seven spaces a detail)."""


@dataclass(frozen=True)
class Plan:
    """How a tree becomes an image: what a pack decided, and why."""

    pack: str
    """Short name of the pack: python, node, static, dockerfile."""
    why: str
    """One line for the log: `Python app detected (uv.lock, Python 3.11)`."""
    dockerfile: str
    """Text of the generated (or the repository's own) Dockerfile."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Extra files of the context, beside `src/`: path in the context to content."""
    processes: Mapping[str, str] = field(default_factory=dict)
    """Process types the pack infers when there is no Procfile: type to command."""
    reads_config: bool = False
    """Whether a step reads config vars, so that they are part of what the image is made from."""
    notes: tuple[str, ...] = ()
    """Details for the log."""
    port: int | None = None
    """The port the image EXPOSEs, where a Dockerfile says so and there is no reason to expect $PORT."""


@dataclass(frozen=True)
class BuildRequest:
    """What one build is made from."""

    build: str
    """Identity of the attempt; `ImageStore.cancel` takes it."""
    app: str
    """The app's id (never its name): scopes cache mounts and labels."""
    folder: Path
    """The exported tree."""
    plan: Plan
    config: Mapping[str, str] = field(default_factory=dict)
    """Config vars: reach the pack's build step only, never image, history or log."""
    labels: Mapping[str, str] = field(default_factory=dict)
    use_cache: bool = True


@dataclass(frozen=True)
class Image:
    """A built image."""

    digest: str
    """The engine's immutable id: `sha256:...`."""
    size: int
    """Bytes."""
    command: tuple[str, ...] = ()
    """ENTRYPOINT and CMD of the image, for a repository's own Dockerfile without Procfile."""
    port: int | None = None
    """The single port it EXPOSEs, if any."""


class Buildpack(Protocol):
    """Recognises one kind of application. Pure: reads files below `folder`, runs nothing."""

    name: str

    def plan(self, folder: Path) -> Plan | None:
        """The plan for this tree, None when it is of another kind; BuildFailed when it is ours but broken."""
        ...


class ImageStore(Protocol):
    """Makes and keeps images."""

    def build(self, request: BuildRequest, say: Say) -> Image:
        """Build; StepFailed (with reason step, timeout or oom) when a step fails, Unavailable without an engine."""
        ...

    def cancel(self, build: str) -> None:
        """Kill a running build and everything it started; one that has not begun yet ends when it would."""
        ...

    def remove(self, digest: str) -> None:
        """Remove an image of ours; nothing when it is gone; Conflict while an instance uses it."""
        ...

    def images(self) -> list[str]:
        """Digests of every image of this installation."""
        ...

    def prune(self, most: int) -> int:
        """Forget of our own build steps what was used longest ago until they take `most` bytes; the bytes freed.

        Only what is provably this installation's goes: the cache belongs to all who build on this engine.
        """
        ...
