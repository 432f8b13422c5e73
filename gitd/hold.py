"""What a client sends, held until somebody wants it; the client waits while much is held."""

from __future__ import annotations

import asyncio
from typing import Protocol

MOST_HELD = 256 * 1024


class Pausable(Protocol):
    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Taker(Protocol):
    """Who gets everything from some moment on."""

    def write(self, data: bytes) -> None: ...

    def end(self) -> None: ...


class Hold:
    """A channel's input: read by piece, or poured into a taker."""

    def __init__(self, channel: Pausable) -> None:
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._data = bytearray()
        self._ended = False
        self._paused = False
        self._changed = asyncio.Event()
        self._taker: Taker | None = None

    def write(self, data: bytes) -> None:
        if self._taker:
            self._taker.write(data)
            return
        self._data += data
        self._changed.set()
        if len(self._data) > MOST_HELD:
            self.pause()

    def end(self) -> None:
        self._ended = True
        self._changed.set()
        if self._taker:
            self._taker.end()

    async def read(self, n: int) -> bytes:
        """At most `n` bytes as soon as there are any; empty at the end."""
        while not self._data and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        data = bytes(self._data[:n])
        del self._data[:n]
        self.resume()
        return data

    def pour(self, taker: Taker) -> None:
        """Give everything held, and from now on everything that comes, to `taker`."""
        self._taker = taker
        if self._data:
            taker.write(bytes(self._data))
            self._data.clear()
        if self._ended:
            taker.end()
        self.resume()

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._channel.pause_reading()

    def resume(self) -> None:
        """Let the client go on, in a turn of its own: the channel delivers data and its end right inside the call."""
        if self._paused:
            self._paused = False
            self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        if not self._paused:
            self._channel.resume_reading()
