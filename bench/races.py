"""Ten clones push to one app at the same instant, again and again; then twenty apps are pushed at once.

Git lets few of ten through, since the others saw an older tip; in every second round the losers push again until they
are let through, so that all ten stand in the app's line.

Promised: every invariant holds after each round, the push accepted last is live, who was told so is told the truth, and
releases come in the order of pushes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from statistics import median

from bench.history import Push, pushes
from bench.place import apart
from bench.steady import Steady
from core.states import JobState
from tests.installation import Installation
from tests.invariants import converged

LOST = "failed to update ref"
"""What git says to a push that saw an older tip than the one it would replace."""
INSIST_SECONDS = 60

Done = subprocess.CompletedProcess[str]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=100)
    arguments.add_argument("--clones", type=int, default=10)
    arguments.add_argument("--apps", type=int, default=20)
    chosen = arguments.parse_args()
    with apart() as installation:
        wrong = race(installation, chosen.rounds, chosen.clones) if chosen.rounds else []
        wrong += crowd(installation, chosen.apps) if chosen.apps else []
    print(f"{len(wrong)} promises broken")
    return 1 if wrong else 0


def race(installation: Installation, rounds: int, count: int) -> list[str]:
    """What went wrong in rounds of `count` pushes to one app."""
    clones = [Steady(installation, "raced", f"raced-{number}") for number in range(count)]
    clones[0].push()
    wrong, ends = [], Counter[str]()
    for round in range(rounds):
        before = len(pushes(installation, "raced"))
        versions = {clone.change(f"r{round}.{number}"): f"r{round}.{number}" for number, clone in enumerate(clones)}
        push = insist if round % 2 else force
        done = at_once([partial(push, clone) for clone in clones])
        found = converged(installation) + order(pushes(installation, "raced"))
        accepted = pushes(installation, "raced")[before:]
        found += truth(clones[0], versions, done, accepted)
        ends.update(end(one) for one in done)
        print(f"round {round + 1}: {len(accepted)} of {count} accepted, {clones[0].version()} live", flush=True)
        wrong += report(found)
    for words, times in ends.most_common():
        print(f"  {times} x {words}")
    return wrong


def force(clone: Steady) -> Done:
    return clone.push("--force", "main", check=False)


def insist(clone: Steady) -> Done:
    """Push until git lets it through."""
    deadline = time.monotonic() + INSIST_SECONDS
    while (done := force(clone)).returncode and LOST in done.stderr and time.monotonic() < deadline:
        pass
    return done


def crowd(installation: Installation, count: int) -> list[str]:
    """What went wrong with the first pushes of `count` apps."""
    apps = [Steady(installation, f"crowd-{number}") for number in range(count)]
    versions = [f"c{number}" for number in range(count)]
    for app, version in zip(apps, versions, strict=True):
        app.change(version)
    began = time.monotonic()
    seconds: list[float] = []

    def push(app: Steady) -> Done:
        done = app.push(check=False)
        seconds.append(time.monotonic() - began)
        return done

    done = at_once([partial(push, app) for app in apps])
    wrong = [f"{app.app}: {one.stderr[-300:]}" for app, one in zip(apps, done, strict=True) if one.returncode]
    answers = [app.version() for app in apps]
    wrong += [
        f"{version} is not live, but {answer}"
        for version, answer in zip(versions, answers, strict=True)
        if answer != version
    ]
    wrong += converged(installation)
    print(
        f"{count} apps pushed at once: first live after {min(seconds):.1f} s, median {median(seconds):.1f} s, "
        f"last {max(seconds):.1f} s"
    )
    return report(wrong)


def at_once(works: Sequence[Callable[[], Done]]) -> list[Done]:
    """Do all of it, beginning at the same instant."""
    barrier = threading.Barrier(len(works))

    def one(work: Callable[[], Done]) -> Done:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(one, works))


def order(history: Sequence[Push]) -> list[str]:
    """Releases that do not come in the order of their pushes."""
    made = [one for one in history if one.release is not None]
    return [
        f"job {older.job} made v{older.release}, the later job {newer.job} v{newer.release}"
        for older, newer in pairwise(made)
        if (older.release or 0) >= (newer.release or 0)
    ]


def truth(app: Steady, versions: Mapping[str, str], done: Sequence[Done], accepted: Sequence[Push]) -> list[str]:
    """Whether the last accepted push is live, and each pusher was told what happened."""
    if not accepted:
        return ["no push was accepted"]
    last, tip, answer = accepted[-1], app.repository.remote_tip(), app.version()
    wrong = [] if last.state is JobState.SUCCEEDED else [f"the last push is {last.state}: {last.words}"]
    wrong += [] if tip == last.commit else [f"the last push is {last.commit}, the branch stands on {tip}"]
    wrong += [] if answer == versions[last.commit] else [f"{answer} is live, pushed last was {versions[last.commit]}"]
    states = {one.commit: one.state for one in accepted}
    for (commit, version), one in zip(versions.items(), done, strict=True):
        if (states.get(commit) is JobState.SUCCEEDED) != (one.returncode == 0):
            wrong.append(f"{version} is {states.get(commit)}, its pusher read exit {one.returncode}: {end(one)}")
    return wrong


def end(done: Done) -> str:
    """The line of git's that says how a push ended, without what differs each time."""
    lines = [line.strip() for line in done.stderr.splitlines()]
    said = next((line for line in lines if "rejected]" in line or line.startswith(("fatal", "error"))), "")
    return said.partition("main -> main")[2].strip() or said or ("accepted" if done.returncode == 0 else lines[-1])


def report(found: list[str]) -> list[str]:
    for line in found:
        print(f"  !  {line}", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
