"""Which records of the engine's build cache are ours, and which of them go first. Pure.

The cache belongs to the whole engine and its records carry no labels. What a record does say is the command of the
step that made it and the records it stands on. Every stage of a generated Dockerfile begins with a step that names the
installation, and so does each later `RUN`: a record is ours when its own command has that mark or it stands on one that
is. A repository's own Dockerfile is left as it was written, so its steps cannot be told from a stranger's and stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


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
