"""What a command sees of the person at the other end; the SSH door brings one of its own of the same shape."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from typing import Protocol

READ_BYTES = 65536


class Source(Protocol):
    async def read(self, n: int = READ_BYTES) -> bytes:
        """At most `n` bytes; empty at the end of input."""
        ...


class Sink(Protocol):
    async def write(self, data: bytes) -> None:
        """Everything of `data`, waiting while the reader is slow; OSError once nobody reads."""
        ...


class Terminal(Protocol):
    """Standard streams of one command, here or at the end of an SSH channel."""

    @property
    def stdin(self) -> Source: ...

    @property
    def stdout(self) -> Sink: ...

    @property
    def stderr(self) -> Sink: ...

    @property
    def tty(self) -> bool:
        """Whether a person's terminal is at both ends, so that a command may have one too."""
        ...

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows now."""
        ...

    @property
    def resized(self) -> asyncio.Event:
        """Set at every change of size; whoever waits clears it."""
        ...

    @property
    def cancelled(self) -> asyncio.Event:
        """Set once the person has pressed Ctrl-C or gone."""
        ...

    def raw(self) -> AbstractContextManager[None]:
        """While inside, keys arrive as typed: no echo, no line editing, Ctrl-C is a byte."""
        ...
