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
from itertools import islice

PIPE_BYTES = 1 << 20
MOST_PIECES = 512
"""Below what the kernel takes at once."""
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
        self._queue: deque[bytes | memoryview] = deque()
        self._scheduled = False
        self._is_full = False
        self._ending = False
        self._closed = False

    def write(self, data: bytes) -> None:
        """Queue `data`; dropped once nobody reads the pipe, as git may end before it has read all.

        It is written when everything else of this turn of the loop is done, so that many small pieces go as one.
        """
        if self._closed:
            return
        self._queue.append(data)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

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
        self._queue.clear()
        self._empty()

    def _listen(self) -> None:
        if not self._closed:
            self._loop.add_writer(self._descriptor, self._ready)

    def _ready(self) -> None:
        self._loop.remove_writer(self._descriptor)
        self._flush()

    def _flush(self) -> None:
        try:
            while self._queue and not self._closed:
                self._take(os.writev(self._descriptor, list(islice(self._queue, MOST_PIECES))))
        except BlockingIOError:
            self._wait()
            return
        except BrokenPipeError:
            self.close()
            return
        self._scheduled = False
        if self._ending:
            self.close()
        else:
            self._empty()

    def _take(self, written: int) -> None:
        """Drop `written` bytes from the front of the queue."""
        while written:
            first = self._queue.popleft()
            if written < len(first):
                self._queue.appendleft(memoryview(first)[written:])
                return
            written -= len(first)

    def _wait(self) -> None:
        self._loop.call_later(GATHER, self._listen)
        if not self._is_full:
            self._is_full = True
            self._full()

    def _empty(self) -> None:
        if self._is_full:
            self._is_full = False
            self._drained()
