"""What a process writes, as the engine sends it: frames and lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.errors import Unavailable
from core.text import LINE_LIMIT, clean
from runtime.containers import epoch

HEADER = 8
ENGINE = 3
"""The stream on which the engine says why it cannot go on."""


class Frames:
    """Cuts the engine's multiplexed stream (8 bytes of header a frame) into (stream, payload)."""

    def __init__(self) -> None:
        self.pending = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The frames that `data` completes."""
        self.pending += data
        done = []
        while len(self.pending) >= HEADER:
            end = HEADER + int.from_bytes(self.pending[4:HEADER], "big")
            if len(self.pending) < end:
                break
            done.append((self.pending[0], bytes(self.pending[HEADER:end])))
            del self.pending[:end]
        return done


class Lines:
    """Joins pieces of output into lines of at most LINE_LIMIT bytes."""

    def __init__(self) -> None:
        self.pending = bytearray()

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes, without their ends."""
        *whole, rest = data.split(b"\n")
        done = []
        for piece in whole:
            self.keep(piece)
            done.append(self.rest())
        self.keep(rest)
        return done

    def keep(self, piece: bytes) -> None:
        self.pending += piece[: LINE_LIMIT - len(self.pending)]

    def rest(self) -> str:
        """What came without an end of line so far; forgets it."""
        text = self.pending.decode(errors="replace").rstrip("\r")
        self.pending.clear()
        return text


@dataclass(frozen=True)
class Piece:
    """What one frame of a log brings: when it was written, its size, the lines it ends."""

    at: float
    size: int
    lines: list[str]


class Log:
    """Cuts the engine's stream of an instance's log, in which a time stands before every frame, into lines."""

    def __init__(self) -> None:
        self.frames = Frames()
        self.lines: dict[int, Lines] = {}
        self.at = 0.0

    def feed(self, data: bytes) -> Iterator[Piece]:
        for stream, stamped in self.frames.feed(data):
            if stream == ENGINE:
                raise Unavailable("the engine cannot read a log", evidence=clean(stamped.decode(errors="replace")))
            stamp, _, text = stamped.partition(b" ")
            self.at = epoch(stamp.decode())
            yield Piece(self.at, len(text), self.lines.setdefault(stream, Lines()).feed(text))

    def rest(self) -> list[str]:
        """What was written last, without an end of line."""
        return [text for lines in self.lines.values() if (text := lines.rest())]
