"""A file that keeps only its newest lines: numbered segments, of which the oldest goes when one too many is begun."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

SEGMENTS = 5
BLOCK = 64 << 10
LONGEST = 1 << 20
"""Bytes of one line that a reader holds; longer ones are garbage, of which the end is as good as any part."""


class Place(NamedTuple):
    """Between two lines: in which segment, and at which byte there."""

    segment: int
    offset: int


class Segments:
    """The lines in `folder`, at most `limit` bytes. One writer; readers at any time: a segment keeps its name."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.share = limit // SEGMENTS

    def path(self, number: int) -> Path:
        return self.folder / f"{number}.log"

    def numbers(self) -> list[int]:
        """The oldest first."""
        return sorted(int(path.stem) for path in self.folder.glob("*.log") if path.stem.isdecimal())

    def end(self) -> Place:
        """Behind the last line."""
        number = max(self.numbers(), default=1)
        path = self.path(number)
        return Place(number, path.stat().st_size if path.exists() else 0)

    def append(self, lines: Iterable[bytes]) -> None:
        """Write lines, given without their ends."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        number, left = self.end().segment, deque(lines)
        while left:
            with self.path(number).open("a+b") as file:
                self.fill(file, left)
            number += 1
        for old in self.numbers()[:-SEGMENTS]:
            self.path(old).unlink(missing_ok=True)

    def fill(self, file: IO[bytes], left: deque[bytes]) -> None:
        """Move lines from `left` into the segment as long as they fit; one always fits into an empty segment."""
        size = finished(file)
        while left and (size == 0 or size + len(left[0]) < self.share):
            size += file.write(left.popleft() + b"\n")

    def backward(self, end: Place | None = None, since: float = 0.0) -> Iterator[bytes]:
        """The lines before `end`, the newest first; segments nobody wrote to after `since` are left out."""
        start = end or self.end()
        for number in reversed([number for number in self.numbers() if number <= start.segment]):
            try:
                with self.path(number).open("rb") as file:
                    if os.fstat(file.fileno()).st_mtime < since:
                        return
                    size = file.seek(0, os.SEEK_END)
                    yield from last_first(file, min(size, start.offset) if number == start.segment else size)
            except FileNotFoundError:  # it was the oldest, and has gone meanwhile
                return


def finished(file: IO[bytes]) -> int:
    """The size of a segment, once a line that a crash or a full disk has cut is ended."""
    size = file.seek(0, os.SEEK_END)
    if size:
        file.seek(size - 1)
        size += 0 if file.read(1) == b"\n" else file.write(b"\n")
    return size


def last_first(file: IO[bytes], end: int) -> Iterator[bytes]:
    """The lines of the first `end` bytes, the last first, read block by block."""
    rest = b""
    while end:
        begin = max(0, end - BLOCK)
        file.seek(begin)
        rest, *lines = (file.read(end - begin) + rest).split(b"\n")
        yield from filter(None, reversed(lines))
        rest, end = rest[-LONGEST:], begin
    if rest:
        yield rest
