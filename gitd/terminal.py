"""The terminal a command sees when it runs at this end of an SSH channel."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from gitd.hold import Hold
from gitd.keyboard import Keyboard

READ_BYTES = 65536
LONE_NEWLINE = re.compile(rb"(?<!\r)\n")


class Source(Protocol):
    async def read(self, n: int = READ_BYTES) -> bytes: ...


class Sink(Protocol):
    async def write(self, data: bytes) -> None: ...


class Terminal(Protocol):
    """What commands are given; `cli` describes the same shape."""

    @property
    def stdin(self) -> Source: ...

    @property
    def stdout(self) -> Sink: ...

    @property
    def stderr(self) -> Sink: ...

    @property
    def tty(self) -> bool: ...

    @property
    def size(self) -> tuple[int, int]: ...

    @property
    def resized(self) -> asyncio.Event: ...

    @property
    def cancelled(self) -> asyncio.Event: ...

    def raw(self) -> AbstractContextManager[None]: ...


Send = Callable[[bytes], Awaitable[None]]
"""Everything to the client, waiting while it is slow; BrokenPipeError once it is gone."""


class Screen:
    """One output stream. On a terminal that is not raw, lines end as terminals want them."""

    def __init__(self, send: Send, cooked: Callable[[], bool]) -> None:
        self._send = send
        self._cooked = cooked

    async def write(self, data: bytes) -> None:
        await self._send(LONE_NEWLINE.sub(b"\r\n", data) if self._cooked() else data)


class Plain:
    """Input that is no terminal's: bytes as they come."""

    def __init__(self, hold: Hold) -> None:
        self._hold = hold

    async def read(self, n: int = READ_BYTES) -> bytes:
        return await self._hold.read(n)


class ChannelTerminal:
    """Standard streams of one command at the end of a channel."""

    def __init__(
        self, hold: Hold, stdout: Send, stderr: Send, echo: Callable[[bytes], None], size: tuple[int, int] | None
    ) -> None:
        self.tty = size is not None
        self.size = size or (80, 24)
        self.resized = asyncio.Event()
        self.cancelled = asyncio.Event()
        self._raw = False
        self._keyboard: Keyboard | None = None
        self.stdin: Source = Plain(hold)
        self.stdout = Screen(stdout, self._cooked)
        self.stderr = Screen(stdout if self.tty else stderr, self._cooked)
        if self.tty:
            self.stdin = self._keyboard = Keyboard(echo, self.cancelled.set)
            hold.pour(self._keyboard)

    def _cooked(self) -> bool:
        return self.tty and not self._raw

    def resize(self, columns: int, rows: int) -> None:
        self.size = (columns, rows)
        self.resized.set()

    @contextmanager
    def raw(self) -> Iterator[None]:
        """While inside, keys arrive as typed and output leaves as written."""
        self._raw = True
        if self._keyboard:
            self._keyboard.raw = True
        try:
            yield
        finally:
            self._raw = False
            if self._keyboard:
                self._keyboard.raw = False
