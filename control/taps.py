"""Live log lines, from the collector to those who follow; all within one event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from runtime.base import PLATFORM, LogLine

DEPTH = 4 << 20
"""Bytes a slow reader may be behind before it misses lines."""
OVERHEAD = 200
"""Bytes a line takes beside its text."""


class Tap:
    """One reader's lines: it takes all there are at once, and is told how many it missed."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.size = self.missed = 0
        self.filled = asyncio.Event()

    def put(self, lines: Iterable[LogLine]) -> None:
        for line in lines:
            if self.size < DEPTH:
                self.lines.append(line)
                self.size += len(line.text) + OVERHEAD
            else:
                self.missed += 1
        self.filled.set()

    async def get(self) -> list[LogLine]:
        """Wait for lines and take them."""
        await self.filled.wait()
        lines, missed = self.lines, self.missed
        self.clear()
        if missed:
            lines.append(LogLine(time.time(), PLATFORM, f"{missed} lines are not shown: read too slowly"))
        return lines

    def clear(self) -> None:
        self.lines, self.size, self.missed = [], 0, 0
        self.filled.clear()


def unheard(app_id: str, line: LogLine) -> None:
    """Nobody collects: the line is lost."""


class Taps:
    def __init__(self) -> None:
        self.writing = asyncio.Lock()
        """Held while lines are put into a store and then into the taps: whoever takes it sees both or neither."""
        self._taps: dict[str, set[Tap]] = {}
        self.voice: Callable[[str, LogLine], object] = unheard
        """Takes a line for an app's log, from any thread; the collector's, while it runs."""

    def tell(self, app_id: str, text: str) -> None:
        """Write a line of the platform's own into an app's log."""
        self.voice(app_id, LogLine(time.time(), PLATFORM, text))

    @contextmanager
    def open(self, app_id: str) -> Iterator[Tap]:
        """Lines of this app from now on."""
        tap = Tap()
        self._taps.setdefault(app_id, set()).add(tap)
        try:
            yield tap
        finally:
            self._taps[app_id].discard(tap)
            if not self._taps[app_id]:
                del self._taps[app_id]

    def following(self, app_id: str) -> bool:
        """Whether anybody reads this app's lines."""
        return app_id in self._taps

    def send(self, app_id: str, lines: Sequence[LogLine]) -> None:
        """Give lines to every reader."""
        for tap in self._taps.get(app_id, ()):
            tap.put(lines)
