"""Whether an instance that was well has stopped doing its work without exiting."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event

from runtime.base import Check, Instance, Observer

LONGEST = 30.0
"""Seconds one probe may take, whatever its check says: others wait for it."""


def alive(observer: Observer, instance: Instance, host: str, check: Check, cancelled: Event | None = None) -> bool:
    """Whether one probe gets the answer that `check` wants, in its time."""
    try:
        answer = observer.probe(instance, host, check, min(check.timeout, LONGEST), cancelled)
    except OSError:  # TimeoutError and ConnectionError among them
        return False
    return answer is not None and check.accepts(answer)


def dead(results: Sequence[bool], attempts: int) -> bool:
    """Whether the last `attempts` of these results, the newest last, were all failures."""
    wanted = max(attempts, 1)
    return len(results) >= wanted and not any(results[-wanted:])
