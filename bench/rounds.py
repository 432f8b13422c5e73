"""One round of the kill campaign: a deed under load, the server killed in it, and what was true afterwards."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from bench.deeds import ABSENT, DEEDS, Deed, Done, Trial
from bench.load import Report
from server.supervise import wait
from tests.installation import Installation
from tests.invariants import converged

RATE = 50
CONVERGE_SECONDS = 30.0
"""How long after the kill everything must be as wanted."""
HIT_SECONDS = 15.0
"""How long after the deed an armed point may still be hit."""


@dataclass(frozen=True)
class Blow:
    """When the server dies: at a named point, or so many seconds after the deed began."""

    deed: str
    point: str = ""
    delay: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What came of a round; nothing is wrong when `wrong` is empty."""

    blow: Blow
    exit: int
    state: str
    """old, new or neither: what the app answers once all is quiet."""
    sent: int
    failures: dict[str, int]
    seconds: float
    """From the kill until every invariant held."""
    wrong: tuple[str, ...]
    said: str
    """The last the person read."""


class Strike(threading.Thread):
    """Deals the blow, and knows when it fell."""

    def __init__(self, installation: Installation, blow: Blow) -> None:
        super().__init__(daemon=True)
        self.installation, self.blow = installation, blow
        self.old = installation.program("server")
        self.at: float | None = None
        self._over = threading.Event()
        if blow.point:
            arm(installation, [blow.point], "kill")

    def run(self) -> None:
        if self.blow.point:
            armed = self.installation.home / "fail" / self.blow.point
            while armed.exists():
                if self._over.wait(0.005):
                    return
        else:
            self._over.wait(self.blow.delay)
            os.kill(self.old, signal.SIGKILL)
        self.at = time.monotonic()

    def finish(self) -> bool:
        """Whether the server was struck; an armed point that was not hit is taken back."""
        self.join(HIT_SECONDS + self.blow.delay)
        self._over.set()
        self.join()
        disarm(self.installation, [self.blow.point])
        return self.at is not None


def arm(installation: Installation, points: Iterable[str], action: str) -> None:
    folder = installation.home / "fail"
    folder.mkdir(exist_ok=True)
    for point in points:
        (folder / point).write_text(action)


def disarm(installation: Installation, points: Iterable[str]) -> set[str]:
    """Take back what was armed; those that had not been hit."""
    armed = [installation.home / "fail" / point for point in points if point]
    left = {file.name for file in armed if file.exists()}
    for file in armed:
        file.unlink(missing_ok=True)
    return left


def play(trial: Trial, blow: Blow) -> Outcome:
    """One round."""
    deed = DEEDS[blow.deed](trial)
    before = deed.app.answer()
    load = trial.app.load(RATE)
    load.start()
    try:
        strike = Strike(trial.installation, blow)
        strike.start()
        done = deed.act()
        seconds, wrong = settle(trial, strike)
    finally:
        report = load.stop()
    state, lost = judge(deed, done, before)
    wrong += [f"{report.failed} of {report.sent} requests failed"] if report.failed else []
    outcome = told(blow, done, state, report, seconds, wrong + lost)
    deed.clear()
    if not outcome.wrong:
        trial.note()
    return outcome


def settle(trial: Trial, strike: Strike) -> tuple[float, list[str]]:
    """Seconds from the blow until every invariant holds, and what is wrong with that."""
    if not strike.finish():
        return 0.0, [f"{strike.blow.point} was never hit", *converged(trial.installation, CONVERGE_SECONDS)]
    began = strike.at or 0.0
    if not wait(lambda: trial.installation.program("server") not in (0, strike.old) and trial.ready(), 60):
        return time.monotonic() - began, ["the server did not come back"]
    wrong = converged(trial.installation, 2 * CONVERGE_SECONDS)
    seconds = time.monotonic() - began
    late = [f"converged after {seconds:.1f} s"] if not wrong and seconds > CONVERGE_SECONDS else []
    return seconds, wrong + late


def judge(deed: Deed, done: Done, before: str) -> tuple[str, list[str]]:
    """Which state the app is in, and what the person was promised and did not get."""
    answer = deed.app.answer()
    old = answer == before or (answer.startswith(ABSENT) and before.startswith(ABSENT))
    state = "new" if deed.new(answer) else "old" if old else "neither"
    if state == "neither":
        return state, [f"the app answers {answer!r}: neither the old state ({before!r}) nor the new one"]
    if done.returncode != 0 or not deed.promises:
        return state, []
    if state == "old":
        return state, [f"acknowledged and lost: the app still answers {answer!r}"]
    tip = deed.app.repository.remote_tip() if deed.commit else ""
    return state, [] if tip == deed.commit else [f"acknowledged, but the branch stands on {tip}"]


def told(blow: Blow, done: Done, state: str, report: Report, seconds: float, wrong: list[str]) -> Outcome:
    said = "\n".join(done.stderr.splitlines()[-8:])
    return Outcome(blow, done.returncode, state, report.sent, report.failures, seconds, tuple(wrong), said)


def scout(trial: Trial, points: Iterable[str]) -> dict[str, str]:
    """Which deed hits which point, a push tried first; a point that is not in it was never hit."""
    found: dict[str, str] = {}
    left = set(points)
    for name in DEEDS:
        if not left:
            break
        deed = DEEDS[name](trial)
        arm(trial.installation, left, "sleep=0")
        try:
            deed.act()
            converged(trial.installation, CONVERGE_SECONDS)
        finally:
            remaining = disarm(trial.installation, left)
        deed.clear()
        found |= dict.fromkeys(left - remaining, name)
        left = remaining
    return found


def duration(trial: Trial, name: str) -> float:
    """Seconds a deed takes when nothing happens to the server."""
    deed = DEEDS[name](trial)
    began = time.monotonic()
    deed.act()
    seconds = time.monotonic() - began
    converged(trial.installation, CONVERGE_SECONDS)
    deed.clear()
    return seconds
