"""How much of one instance's output is read: beyond it, reading would cost more than anybody can use."""

from __future__ import annotations

import time
from dataclasses import dataclass

from runtime.base import PLATFORM, LogLine


@dataclass(frozen=True)
class Pace:
    """What an instance may write."""

    rate: int = 1 << 20
    """Bytes a second."""
    least: int = 1 << 10
    """Bytes that a line counts for at least; the most lines a second follow from it."""
    burst: float = 5.0
    """Seconds' worth that may come at once; once they are used up, so many seconds of output are dropped."""

    def __str__(self) -> str:
        return f"{self.rate >> 20} MB or {self.rate // self.least} lines a second"


PACE = Pace()


class Budget:
    """What one instance has left; refilled by the times of its own lines, so catching up with old ones is no flood."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.full = self.left = pace.rate * pace.burst
        self.at = 0.0

    def take(self, at: float, size: int) -> bool:
        """Whether `size` bytes written at `at` are within the budget."""
        self.left = min(self.full, self.left + max(0.0, at - self.at) * self.pace.rate)
        self.at = max(self.at, at)
        self.left -= max(size, self.pace.least)
        return self.left >= 0

    def refusal(self, name: str, release: int) -> LogLine:
        """What the log says where lines are missing."""
        text = f"{name} (v{release}) wrote faster than {self.pace}: its lines are dropped for {self.pace.burst:g} s"
        return LogLine(time.time(), PLATFORM, text)
