"""The words of a job as it goes: steps, details, and how long each phase took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

SHORTEST_SECRET = 6
"""Shorter config values are not redacted: `1` or `true` would blank half of every log."""


class Progress:
    """Callable with one line of the log; config values never pass."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.write = write
        self.clock = clock
        self.began = clock()
        self.phases: dict[str, float] = {}
        self.secrets: list[str] = []
        self.warnings: list[str] = []
        """What went wrong without keeping the job from succeeding."""

    def __call__(self, line: str) -> None:
        self.write(self.hide(line))

    def hide(self, text: str) -> str:
        """`text` without any config value."""
        for secret in self.secrets:
            text = text.replace(secret, "[redacted]")
        return text

    def redact(self, values: Iterable[str]) -> None:
        """Keep these values too out of every later line; of one with several lines, each line."""
        lines = {line for value in values for line in value.splitlines() if len(line) >= SHORTEST_SECRET}
        self.secrets = sorted(lines.union(self.secrets), key=len, reverse=True)

    def step(self, text: str) -> None:
        self(f"-----> {text}")

    def detail(self, text: str) -> None:
        self(f"       {text}")

    def section(self, text: str) -> None:
        self(f"=====> {text}")

    def error(self, text: str) -> None:
        self(f" !     {text}")

    def warn(self, text: str) -> None:
        """Say it as loudly as an error, and keep it for the verdict."""
        self.error(text)
        self.warnings.append(self.hide(text))

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time of the block as part of `name`."""
        start = self.clock()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + self.clock() - start

    def summary(self) -> str:
        """`2.1s: build 0.9, start 0.6, route 0.0`."""
        parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.phases.items())
        total = f"{self.clock() - self.began:.1f}s"
        return f"{total}: {parts}" if parts else total
