"""Which records of the engine's build cache are ours, and which of them go first. Pure.

The cache belongs to the whole engine and its records carry no labels. What a record does say is the command of the
step that made it and the records it stands on. Every stage of a generated Dockerfile begins with a step that names the
installation, and so does each later `RUN`: a record is ours when its own command has that mark or it stands on one that
is. The sources a build was sent lie there twice, as a tar and unpacked, and say nothing at all: those are known by
their exact sizes and by when they came, as long as nothing else fits. A repository's own Dockerfile is left as it was
written, so its steps cannot be told from a stranger's and stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

SENT, UNPACKED = "http url http://build-context-", "fileop target"
"""How an engine describes sources: as they came, and unpacked."""


@dataclass(frozen=True)
class Record:
    id: str
    parents: tuple[str, ...]
    description: str
    size: int
    """Bytes."""
    busy: bool
    """Used by a build at this moment, or shared with an image: removing it would free nothing."""
    used: str
    """When it was last used, as the engine writes it: sorts by time."""
    created: float = 0.0
    """Seconds since the epoch."""


@dataclass
class Sources:
    """What one build was sent, and when."""

    begun: float
    """Seconds since the epoch."""
    ended: float = 0.0
    packed: int = 0
    """Bytes of the tar."""
    unpacked: int = 0
    """Bytes of the files in it."""

    def counted(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.packed += len(chunk)
            yield chunk

    def weigh(self, size: int) -> None:
        self.unpacked += size

    def fits(self, one: Record) -> bool:
        """Whether a record may be these sources."""
        size = self.packed if one.description.startswith(SENT) else self.unpacked
        nameless = one.description.startswith(SENT) or one.description == UNPACKED
        return nameless and not one.parents and one.size == size and self.begun <= one.created <= self.ended


def mark(installation: str) -> str:
    """What the steps of an installation's generated Dockerfiles say of themselves."""
    return f"paas-{installation}"


def records(answer: Iterable[Mapping[str, Any]]) -> list[Record]:
    """The engine's answer as records; older engines name one parent, newer ones several."""
    return [
        Record(
            id=str(one["ID"]),
            parents=tuple(one.get("Parents") or filter(None, [one.get("Parent")])),
            description=str(one["Description"]),
            size=int(one["Size"]),
            busy=bool(one["InUse"] or one["Shared"]),
            used=str(one["LastUsedAt"] or one["CreatedAt"]),
            created=datetime.fromisoformat(one["CreatedAt"]).timestamp(),
        )
        for one in answer
    ]


def ours(found: Sequence[Record], installation: str) -> set[str]:
    """Ids of the records this installation's generated Dockerfiles made."""
    words = {f": {mark(installation)} ", f": {mark(installation)}\n"}
    proven = {one.id for one in found if any(word in f"{one.description}\n" for word in words)}
    while more := {one.id for one in found if one.id not in proven and proven.intersection(one.parents)}:
        proven |= more
    return proven


def sources(found: Sequence[Record], sent: Iterable[Sources]) -> set[str]:
    """Ids of the records that are `sent` and can be nothing else."""
    known = set()
    for one in sent:
        for kind in (SENT, UNPACKED):
            fitting = [record.id for record in found if record.description.startswith(kind) and one.fits(record)]
            known |= set(fitting) if len(fitting) == 1 else set()
    return known


def doomed(found: Sequence[Record], ours: set[str], most: int) -> list[Record]:
    """What goes until the records of `ours` take `most` bytes: used longest ago first, none before what stands on it.

    What is in use or shared with an image counts for nothing: it would not make room.
    """
    left = {one.id: one for one in found}
    size = sum(one.size for one in found if one.id in ours and not one.busy)
    gone: list[Record] = []
    while size > most:
        needed = {parent for one in left.values() for parent in one.parents}
        free = [one for one in left.values() if one.id in ours and not one.busy and one.id not in needed]
        if not free:
            break
        oldest = min(free, key=lambda one: one.used)
        del left[oldest.id]
        gone.append(oldest)
        size -= oldest.size
    return gone
