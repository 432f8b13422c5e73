"""A person's terminal for tests: what they type is given, what they see is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Typed:
    """Standard input that holds `data` and then ends; `hold` keeps it open, as a person who thinks does."""

    def __init__(self, data: bytes, hold: bool) -> None:
        self.rest = data
        self.hold = hold

    async def read(self, n: int = 65536) -> bytes:
        if not self.rest and self.hold:
            await asyncio.Event().wait()
        part, self.rest = self.rest[:n], self.rest[n:]
        return part


class Seen:
    def __init__(self) -> None:
        self.data = b""
        self.changed = asyncio.Event()

    async def write(self, data: bytes) -> None:
        self.data += data
        self.changed.set()

    @property
    def text(self) -> str:
        return self.data.decode()

    async def until(self, text: str, seconds: float = 5) -> None:
        """Wait until `text` has been written."""
        async with asyncio.timeout(seconds):
            while text not in self.text:
                self.changed.clear()
                await self.changed.wait()


class TestTerminal:
    """Implements `cli.terminal.Terminal`."""

    __test__ = False

    def __init__(self, typed: bytes = b"", *, hold: bool = False, tty: bool = False) -> None:
        self.stdin = Typed(typed, hold)
        self.stdout = Seen()
        self.stderr = Seen()
        self.tty = tty
        self.size = (80, 24)
        self.resized = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.code = -1
        """What the command ended with, where a test notes it."""
        self.raws = 0
        """How often raw mode was entered and left again."""

    @contextmanager
    def raw(self) -> Iterator[None]:
        yield
        self.raws += 1
