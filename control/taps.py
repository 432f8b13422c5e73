"""Live log lines, from the collector to those who follow; all within one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from runtime.base import LogLine

DEPTH = 10_000
"""Lines a slow reader may be behind before it misses some."""

Tap = asyncio.Queue[LogLine]


class Taps:
    def __init__(self) -> None:
        self._taps: dict[str, set[Tap]] = {}

    @contextmanager
    def open(self, app_id: str) -> Iterator[Tap]:
        """Lines of this app from now on."""
        tap: Tap = asyncio.Queue(DEPTH)
        self._taps.setdefault(app_id, set()).add(tap)
        try:
            yield tap
        finally:
            self._taps[app_id].discard(tap)
            if not self._taps[app_id]:
                del self._taps[app_id]

    def send(self, app_id: str, lines: Sequence[LogLine]) -> None:
        """Give lines to every reader; one that is too slow misses them."""
        for tap in self._taps.get(app_id, ()):
            with suppress(asyncio.QueueFull):
                for line in lines:
                    tap.put_nowait(line)
