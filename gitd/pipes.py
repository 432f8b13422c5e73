"""The pipes of a git process, read and written without a thread and without losing a byte.

Plain `add_reader` and `add_writer` on non-blocking pipes: the pipe transports of the event loop resume and close inside
one callback, and a large push then ends early.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress

PIPE_BYTES = 1 << 20
READ_BYTES = 1 << 18
BULK = 4096
"""A chunk of this size is part of something large."""
GATHER = 0.002
"""Seconds in which a pipe in bulk use fills or empties enough to be worth a turn: the kernel would wake us for each
4 KB, and every turn costs as much as moving 50 KB."""


def prepare(descriptor: int) -> None:
    """Non-blocking and as large as one may have it: a larger pipe means fewer switches between git and us."""
    os.set_blocking(descriptor, False)
    with suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


class Inflow:
    """A pipe that is read: each chunk goes to `deliver`; `ended` is set at its end."""

    def __init__(self, descriptor: int, deliver: Callable[[bytes], None]) -> None:
        prepare(descriptor)
        self.ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._descriptor = descriptor
        self._deliver = deliver
        self._paused = False
        self._gathering: asyncio.TimerHandle | None = None
        self._listen()

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._stop()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._listen()

    def close(self) -> None:
        """Read no more, whatever is left."""
        if not self.ended.is_set():
            self._stop()
            os.close(self._descriptor)
            self.ended.set()

    def _listen(self) -> None:
        self._gathering = None
        if not self._paused and not self.ended.is_set():
            self._loop.add_reader(self._descriptor, self._ready)

    def _stop(self) -> None:
        if self._gathering:
            self._gathering.cancel()
            self._gathering = None
        elif not self.ended.is_set():
            self._loop.remove_reader(self._descriptor)

    def _ready(self) -> None:
        try:
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self.close()
            return
        if BULK <= len(data) < READ_BYTES:
            self._loop.remove_reader(self._descriptor)
            self._gathering = self._loop.call_later(GATHER, self._listen)
        self._deliver(data)


class Outflow:
    """A pipe that is written. `full` and `drained` are called as the queue in front of it fills and empties."""

    def __init__(self, descriptor: int, full: Callable[[], None], drained: Callable[[], None]) -> None:
        prepare(descriptor)
        self._loop = asyncio.get_running_loop()
        self._descriptor = descriptor
        self._full = full
        self._drained = drained
        self._queue: deque[memoryview] = deque()
        self._ending = False
        self._closed = False

    def write(self, data: bytes) -> None:
        """Write or queue `data`; dropped once nobody reads the pipe, as git may end before it has read all."""
        if self._closed:
            return
        if self._queue:
            self._queue.append(memoryview(data))
            return
        rest = self._attempt(memoryview(data))
        if rest:
            self._queue.append(rest)
            self._loop.call_later(GATHER, self._listen)
            self._full()

    def end(self) -> None:
        """Close the pipe behind everything queued."""
        self._ending = True
        if not self._queue:
            self.close()

    def close(self) -> None:
        """Close the pipe now."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_writer(self._descriptor)
        os.close(self._descriptor)
        if self._queue:
            self._queue.clear()
            self._drained()

    def _listen(self) -> None:
        if not self._closed:
            self._loop.add_writer(self._descriptor, self._ready)

    def _attempt(self, data: memoryview) -> memoryview:
        """What of `data` the pipe has not taken."""
        try:
            return data[os.write(self._descriptor, data) :]
        except BlockingIOError:
            return data
        except BrokenPipeError:
            self.close()
            return data[:0]

    def _ready(self) -> None:
        while self._queue:
            rest = self._attempt(self._queue[0])
            if self._closed:
                return
            if rest:
                self._queue[0] = rest
                self._loop.remove_writer(self._descriptor)
                self._loop.call_later(GATHER, self._listen)
                return
            self._queue.popleft()
        self._loop.remove_writer(self._descriptor)
        if self._ending:
            self.close()
        else:
            self._drained()
