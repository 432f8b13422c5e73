"""This process's own terminal."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from cli.terminal import READ_BYTES


class Reader:
    """A descriptor read without a thread, so that nothing hangs at exit."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    async def read(self, n: int = READ_BYTES) -> bytes:
        with suppress(PermissionError):  # an ordinary file: always readable
            await readable(self.descriptor)
        try:
            return os.read(self.descriptor, n)
        except OSError:
            return b""


async def readable(descriptor: int) -> None:
    """Return once a read would not block."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


class Writer:
    """A descriptor written in a thread: a slow reader stops the command's output, not its connection."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    async def write(self, data: bytes) -> None:
        await asyncio.to_thread(write_all, self.descriptor, data)


def write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


class StdioTerminal:
    """Standard input, output and error; make it inside the event loop."""

    def __init__(self) -> None:
        self.stdin = Reader(0)
        self.stdout = Writer(1)
        self.stderr = Writer(2)
        self.tty = os.isatty(0) and os.isatty(1)
        self.resized = asyncio.Event()
        self.cancelled = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGWINCH, self.resized.set)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.cancelled.set)

    @property
    def size(self) -> tuple[int, int]:
        columns, rows = shutil.get_terminal_size()
        return columns, rows

    @contextmanager
    def raw(self) -> Iterator[None]:
        before = termios.tcgetattr(0)
        tty.setraw(0, termios.TCSANOW)
        try:
            yield
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, before)
