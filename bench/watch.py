"""New releases that misbehave, under load: which are rolled back by themselves, and how soon.

Promised: one that answers 500 for half its requests is gone within 30 s; one that answers 500 for the first 8 s of its
traffic, or takes 2 s an answer during its first 10 s, stays.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass

from tabulate import tabulate

from bench.load import Load
from bench.place import apart
from bench.steady import Steady
from tests.invariants import converged

ROLLBACK_SECONDS = 30.0
BETWEEN = 0.25
"""Seconds between two looks at which version answers."""


@dataclass(frozen=True)
class Case:
    fault: str
    words: str
    stays: bool


CASES = (
    Case("half", "500 for half of its requests", stays=False),
    Case("early", "500 for the first 8 s", stays=True),
    Case("warm", "2 s an answer for the first 10 s", stays=True),
)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rate", type=float, default=50, help="requests a second")
    arguments.add_argument("--watch", type=float, default=120, help="seconds the platform watches a new release")
    arguments.add_argument("--before", type=float, default=60, help="seconds of load on the good release")
    arguments.add_argument("--cases", nargs="*", default=[one.fault for one in CASES])
    chosen = arguments.parse_args()
    with apart(watch=chosen.watch) as installation:
        app = Steady(installation, "watched")
        app.push()
        load = app.load(chosen.rate)
        load.start()
        try:
            rows, wrong = [], list[str]()
            for case in (one for one in CASES if one.fault in chosen.cases):
                settle(app, load, chosen.rate * chosen.before)
                seconds = rolled_back(app, case.fault, chosen.watch + ROLLBACK_SECONDS)
                rows.append((case.words, "stays" if case.stays else "goes back", told(seconds)))
                wrong += judge(app, case, seconds)
            wrong += converged(installation)
        finally:
            load.stop()
    print(tabulate(rows, ("a new release that answers", "promised", "happened")))
    for line in wrong:
        print(f"  !  {line}")
    return 1 if wrong else 0


def settle(app: Steady, load: Load, requests: float) -> None:
    """A good release is live and has had that many requests."""
    app.change(f"good{load.sent}")
    app.push()
    wanted = load.sent + requests
    while load.sent < wanted:
        time.sleep(BETWEEN)


def rolled_back(app: Steady, fault: str, patience: float) -> float | None:
    """Seconds from the end of the push until the old version is current again; None when that does not happen."""
    before = current(app)
    app.change(fault, fault)
    app.push()
    began = time.monotonic()
    while (passed := time.monotonic() - began) < patience:
        number, description = current(app)
        if number > before[0] + 1:
            print(f"{fault}: v{number} after {passed:.1f} s: {description}", flush=True)
            return passed
        time.sleep(BETWEEN)
    print(f"{fault}: still live after {patience:.0f} s", flush=True)
    return None


def current(app: Steady) -> tuple[int, str]:
    """The current release's number and why it is there."""
    releases = app.releases()
    return next((int(one["number"]), str(one["description"])) for one in releases if one["current"])


def judge(app: Steady, case: Case, seconds: float | None) -> list[str]:
    version = app.version()
    if case.stays:
        return [] if seconds is None else [f"{case.fault} was rolled back after {seconds:.1f} s"]
    if seconds is None:
        return [f"{case.fault} was not rolled back"]
    late = [f"{case.fault} was rolled back after {seconds:.1f} s only"] if seconds > ROLLBACK_SECONDS else []
    return late if version.startswith("good") else [*late, f"rolled back from {case.fault}, but {version} answers"]


def told(seconds: float | None) -> str:
    return "stays" if seconds is None else f"goes back after {seconds:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
