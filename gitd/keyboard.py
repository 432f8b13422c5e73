"""What a terminal's driver does with keys: the line being typed, its echo, Ctrl-C and Ctrl-D; or nothing, when raw."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

INTERRUPT, END, RETURN, ERASE = b"\x03", b"\x04", (b"\r", b"\n"), (b"\x7f", b"\x08")
MOST_HELD = 256 * 1024
"""Typed ahead beyond this is lost, as on any terminal."""


class Keyboard:
    """Takes keys (`write`, `end`) and gives lines, or bytes as typed while `raw`."""

    def __init__(self, echo: Callable[[bytes], None], interrupt: Callable[[], None]) -> None:
        self.raw = False
        self._echo = echo
        self._interrupt = interrupt
        self._line = bytearray()
        self._ready = bytearray()
        self._ended = False
        self._changed = asyncio.Event()

    def write(self, data: bytes) -> None:
        if len(self._ready) + len(self._line) > MOST_HELD:
            return
        if self.raw:
            self._ready += data
        else:
            for value in data:
                self._key(bytes([value]))
        self._changed.set()

    def end(self) -> None:
        self._ended = True
        self._changed.set()

    async def read(self, n: int = 65536) -> bytes:
        """At most `n` bytes of what has been entered; empty at the end."""
        while not self._ready and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        data = bytes(self._ready[:n])
        del self._ready[:n]
        return data

    def _key(self, key: bytes) -> None:
        if key == INTERRUPT:
            self._echo(b"^C\r\n")
            self._line.clear()
            self._interrupt()
        elif key == END:
            self._ended = self._ended or not self._line
            self._enter(b"")
        elif key in RETURN:
            self._echo(b"\r\n")
            self._enter(b"\n")
        elif key in ERASE:
            self._erase()
        elif key >= b" " or key == b"\t":
            self._line += key
            self._echo(key)

    def _enter(self, end: bytes) -> None:
        self._ready += self._line + end
        self._line.clear()

    def _erase(self) -> None:
        """Take back one character, all its bytes."""
        if self._line:
            self._echo(b"\b \b")
        while self._line and self._line.pop() & 0xC0 == 0x80:  # the bytes behind a character's first
            pass
