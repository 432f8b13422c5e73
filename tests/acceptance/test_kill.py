"""The server is killed at every named point and at random moments, the proxy whenever; traffic never stops."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator

import pytest

from bench.deeds import DEEDS, Trial
from bench.rounds import RATE, Blow, duration, play, scout
from core.failpoints import POINTS
from tests.installation import Installation
from tests.invariants import converged
from tests.waiting import until

pytestmark = pytest.mark.real


RANDOM_KILLS = 10


@pytest.fixture(scope="module")
def trial(installation: Installation) -> Iterator[Trial]:
    made = Trial(installation, "fragile")
    yield made
    made.app.paas("apps:destroy", "--force")


@pytest.fixture(scope="module")
def deeds(trial: Trial) -> dict[str, str]:
    """Which deed hits which point."""
    return scout(trial, POINTS)


@pytest.fixture(scope="module")
def seconds(trial: Trial) -> float:
    """How long a push takes here."""
    return duration(trial, "push")


def back(installation: Installation, name: str, old: int) -> float:
    """Seconds until the supervisor has another process in place of the killed one."""
    began = time.monotonic()
    while time.monotonic() < began + 10:
        if (pid := installation.program(name)) and pid != old:
            return time.monotonic() - began
        time.sleep(0.005)
    raise AssertionError(f"{name} did not come back")


@pytest.mark.parametrize("point", POINTS)
def test_a_server_killed_in_mid_push_loses_nothing(trial: Trial, deeds: dict[str, str], point: str) -> None:
    assert point in deeds, f"{point} was never hit by any of {', '.join(DEEDS)}"
    outcome = play(trial, Blow(deeds[point], point))
    assert not outcome.wrong, outcome
    if deeds[point] == "broken":  # the same again could not succeed
        trial.app.change(trial.word())
    pushed_again(trial)


@pytest.mark.parametrize("number", range(RANDOM_KILLS))
def test_a_server_killed_at_a_random_moment_loses_nothing(trial: Trial, seconds: float, number: int) -> None:
    outcome = play(trial, Blow("push", delay=random.Random(number).uniform(0, seconds)))
    assert not outcome.wrong, outcome
    pushed_again(trial)


def pushed_again(trial: Trial) -> None:
    """What was pushed last can be pushed again and is live then, whatever became of it."""
    again = trial.app.push(check=False)
    assert again.returncode == 0, again.stderr
    assert trial.app.repository.remote_tip() == trial.app.repository.head()
    assert converged(trial.installation) == []


def test_a_killed_proxy_is_back_with_every_route(trial: Trial) -> None:
    installation, answer = trial.installation, trial.app.answer()
    old = installation.program("proxy")
    os.kill(old, signal.SIGKILL)
    back(installation, "proxy", old)
    until(lambda: trial.app.answer() == answer, 5)
    assert converged(installation) == []


def test_apps_are_served_while_there_is_no_server(trial: Trial) -> None:
    installation, load = trial.installation, trial.app.load(RATE)
    old = installation.program("server")
    load.start()
    try:
        os.kill(old, signal.SIGKILL)
        back(installation, "server", old)
        until(trial.ready)
    finally:
        report = load.stop()
    assert report.failed == 0 and report.sent > 0, report.failures
