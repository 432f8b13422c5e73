"""Many `git push -o detach` in a row, the server killed with -9 twice in between.

Promised: every push that was accepted reaches a verdict, and the one accepted last is live.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sys
import time
from collections import Counter

from tabulate import tabulate

from bench.place import apart
from bench.steady import Steady
from core.states import BuildState
from server.supervise import wait
from tests.installation import Installation
from tests.invariants import converged

QUEUED = re.compile(r"\bbuild (?:#)?(\d+)\b", re.IGNORECASE)
ENDED = {BuildState.SUCCEEDED, BuildState.FAILED, BuildState.CANCELLED}
ACCEPT_SECONDS = 60.0
"""How long a push is tried again while the server is away."""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--pushes", type=int, default=50)
    arguments.add_argument("--kills", type=int, default=2)
    arguments.add_argument("--seconds", type=float, default=300, help="for all verdicts after the last push")
    chosen = arguments.parse_args()
    with apart() as installation:
        app = Steady(installation, "detached")
        app.push()
        kills = {chosen.pushes * (one + 1) // (chosen.kills + 1) for one in range(chosen.kills)}
        began = time.monotonic()
        builds, wrong = {}, []
        for number in range(chosen.pushes):
            if number in kills:
                os.kill(installation.program("server"), signal.SIGKILL)
                print(f"killed the server before push {number + 1}", flush=True)
            build, said = push(app, f"d{number}")
            builds[number] = build
            wrong += [f"push {number + 1}: {said}"] if build is None else []
        print(f"{chosen.pushes} pushes in {time.monotonic() - began:.1f} s")
        wrong += verdicts(app, [one for one in builds.values() if one is not None], chosen.seconds)
        wrong += last(installation, app, f"d{chosen.pushes - 1}", builds[chosen.pushes - 1])
    for line in wrong:
        print(f"  !  {line}")
    return 1 if wrong else 0


def push(app: Steady, version: str) -> tuple[int | None, str]:
    """The number of the build that was queued, pushing until the server takes it; otherwise what was said last."""
    app.change(version)
    deadline = time.monotonic() + ACCEPT_SECONDS
    while (done := app.push("-o", "detach", "main", check=False)).returncode and time.monotonic() < deadline:
        pass
    found = QUEUED.search(done.stderr)
    if done.returncode or not found:
        return None, f"exit {done.returncode}, no build number: {done.stderr[-500:]}"
    return int(found[1]), done.stderr


def verdicts(app: Steady, builds: list[int], seconds: float) -> list[str]:
    """Builds without a verdict after at most `seconds`; prints how the others ended."""
    began = time.monotonic()
    states: dict[int, str] = {}

    def over() -> bool:
        for number in builds:
            if states.get(number) not in ENDED:
                states[number] = state(app, number)
        return ENDED.issuperset(states.values())

    wait(over, seconds)
    print(f"{len(builds)} builds, the last verdict {time.monotonic() - began:.1f} s after the last push")
    print(tabulate(sorted(Counter(states.values()).items()), ("verdict", "builds")))
    return [f"build {number} is {one}" for number, one in states.items() if one not in ENDED]


def state(app: Steady, build: int) -> str:
    done = app.paas("builds:info", str(build), "--json", check=False)
    return str(json.loads(done.stdout)["state"]) if done.returncode == 0 else done.stderr.strip()


def last(installation: Installation, app: Steady, version: str, build: int | None) -> list[str]:
    """Whether the push accepted last is live, and everything else as wanted."""
    wrong = converged(installation)
    if build is not None:
        followed = app.paas("builds:attach", str(build), check=False)
        wrong += [f"builds:attach {build}: exit {followed.returncode}"] if followed.returncode else []
    answer = app.version()
    return wrong if answer == version else [*wrong, f"{answer} is live, the last push was {version}"]


if __name__ == "__main__":
    sys.exit(main())
