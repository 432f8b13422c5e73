"""How many may stand at the door unproven, and who goes when it is crowded. Pure, given a clock and a die.

Below `START` everybody comes in. Up to `FULL` a growing share of arrivals makes the oldest that does not get on leave;
it is taken from the address that holds most places. At `FULL` the newcomer goes when nobody else can.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

START, RATE, FULL = 10, 0.3, 60
PER_ADDRESS = 30
GRACE = 2.0
"""Seconds within which an honest client has signed in, when it speaks at all."""


@dataclass(eq=False)
class Visit:
    """A connection that has not proven who it is."""

    address: str
    dismiss: Callable[[], object]
    silent: bool = False
    """Whether it has not even sent its first line."""
    since: float = 0.0


class Doorway:
    def __init__(self, clock: Callable[[], float] = time.monotonic, die: Callable[[], float] = random.random) -> None:
        self._clock = clock
        self._die = die
        self._inside: dict[Visit, None] = {}

    def __len__(self) -> int:
        return len(self._inside)

    def enter(self, visit: Visit) -> bool:
        """Let `visit` in, perhaps at the cost of another; False when it is turned away itself."""
        visit.since = self._clock()
        crowd = Counter(other.address for other in self._inside)
        if crowd[visit.address] >= PER_ADDRESS or self._die() < pressure(len(self._inside)):
            self._make_room(crowd)
        if len(self._inside) >= FULL:
            return False
        self._inside[visit] = None
        return True

    def leave(self, visit: Visit) -> None:
        self._inside.pop(visit, None)

    def _make_room(self, crowd: Counter[str]) -> None:
        late = [visit for visit in self._inside if visit.silent or self._clock() - visit.since > GRACE]
        if late:
            loser = max(late, key=lambda visit: crowd[visit.address])  # the first of equals: the oldest
            self.leave(loser)
            loser.dismiss()


def pressure(crowd: int) -> float:
    """The share of arrivals somebody must make room for."""
    if crowd < START:
        return 0.0
    return RATE + (1 - RATE) * (crowd - START) / (FULL - START)
