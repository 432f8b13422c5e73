"""What a process writes, as the engine sends it: frames, lines, and text fit for a terminal."""

from __future__ import annotations

import re

LINE_LIMIT = 64 << 10
"""Bytes of one log line; the rest of a longer one is dropped."""
HEADER = 8
CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


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


def plain(text: str) -> str:
    """`text` without escape sequences and control characters."""
    return CONTROL.sub("", text)
