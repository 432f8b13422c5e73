"""What the proxy has counted for every target, some minutes back: what a new release is compared with."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

from router.base import TargetStats

MEMORY = 300.0
"""Seconds that are remembered."""

Place = tuple[str, str]
"""An app's id and the name of a target of its."""


@dataclass(frozen=True)
class Counts:
    """Answers, and those of class 5xx among them."""

    requests: int = 0
    errors: int = 0

    @property
    def share(self) -> float:
        """Of errors, 0 to 1."""
        return self.errors / self.requests if self.requests else 0.0

    def __sub__(self, other: Counts) -> Counts:
        return Counts(self.requests - other.requests, self.errors - other.errors)

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.requests + other.requests, self.errors + other.errors)


Sample = tuple[float, dict[Place, Counts]]


class Traffic:
    """Samples of the proxy's counters, which rise until it starts anew; a target that is gone is remembered."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._samples: deque[Sample] = deque()
        self._guard = threading.Lock()

    def note(self, stats: Iterable[TargetStats]) -> None:
        """Remember what the proxy says now."""
        seen = {(one.app, one.target): Counts(one.requests, one.errors) for one in stats}
        with self._guard:
            now = self._clock()
            self._samples.append((now, seen))
            while self._samples[0][0] < now - MEMORY:
                self._samples.popleft()

    def last(self, app: str) -> dict[str, Counts]:
        """The newest counters of the app's targets, by name."""
        with self._guard:
            seen = self._samples[-1][1] if self._samples else {}
        return {name: counts for (owner, name), counts in seen.items() if owner == app}

    def lately(self, app: str, belongs: Callable[[str], bool], seconds: float = MEMORY) -> Counts:
        """What targets of the app, chosen by name, have answered in the last `seconds`, as far as it was seen."""
        with self._guard:
            samples = [seen for at, seen in self._samples if at >= self._clock() - seconds]
        places = {place for seen in samples for place in seen if place[0] == app and belongs(place[1])}
        return sum((grown(samples, place) for place in places), Counts())


def grown(samples: list[dict[Place, Counts]], place: Place) -> Counts:
    """How much a target has counted from the first sample to the last that knows it; one that came later began at 0."""
    known = [seen[place] for seen in samples if place in seen]
    if place not in samples[0]:
        known.insert(0, Counts())
    return sum((since(new, old) for old, new in pairwise(known)), Counts())


def since(new: Counts, old: Counts) -> Counts:
    """What was counted between two looks; a proxy that was started between them began at 0."""
    return new - old if new.requests >= old.requests and new.errors >= old.errors else new
