"""A push a minute under a steady load: what the server's memory, descriptors and threads do, and which requests fail.

Promised: no failed request, memory grows by less than 5 MB an hour (least squares, after a warm-up), descriptors
and threads stay flat, and the server is the same process throughout.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, median

from tabulate import tabulate

from bench.load import Report
from bench.place import apart
from bench.steady import Steady
from tests.installation import Installation
from tests.invariants import converged

SLOPE_GOAL = 5.0
"""Megabytes an hour."""
FLAT = 3
"""How far descriptors and threads may have moved, between the first and the last quarter."""
BETWEEN = 2.0
PAGE = 4096


@dataclass(frozen=True)
class Sample:
    at: float
    pid: int
    rss: float
    """Megabytes."""
    fds: int
    threads: int


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, default=30)
    arguments.add_argument("--rate", type=float, default=50, help="requests a second")
    arguments.add_argument("--every", type=float, default=60, help="seconds between pushes")
    arguments.add_argument("--warm-up", type=float, default=300, help="seconds that do not count")
    chosen = arguments.parse_args()
    with apart() as installation:
        app = Steady(installation, "soaked")
        app.push()
        load = app.load(chosen.rate)
        load.start()
        try:
            samples, pushes = measure(installation, app, chosen.minutes * 60, chosen.every)
        finally:
            report = load.stop()
        wrong = converged(installation)
    return tell(samples, [one for one in samples if one.at >= chosen.warm_up], report, pushes, wrong)


def measure(installation: Installation, app: Steady, seconds: float, every: float) -> tuple[list[Sample], list[float]]:
    """Samples of the server between pushes, and the seconds each push took."""
    began = time.monotonic()
    samples: list[Sample] = []
    pushes: list[float] = []
    while (passed := time.monotonic() - began) < seconds:
        if passed >= len(pushes) * every:
            app.change(f"s{len(pushes)}")
            pushed = time.monotonic()
            app.push()
            pushes.append(time.monotonic() - pushed)
            print(f"{passed / 60:.1f} min: push {len(pushes)}, {words(sample(installation, began))}", flush=True)
        samples.append(sample(installation, began))
        time.sleep(BETWEEN)
    return samples, pushes


def sample(installation: Installation, began: float) -> Sample:
    pid = installation.program("server")
    process = Path(f"/proc/{pid}")
    return Sample(
        at=time.monotonic() - began,
        pid=pid,
        rss=int((process / "statm").read_text().split()[1]) * PAGE / (1 << 20),
        fds=len(list((process / "fd").iterdir())),
        threads=len(list((process / "task").iterdir())),
    )


def words(one: Sample) -> str:
    return f"{one.rss:.1f} MB, {one.fds} descriptors, {one.threads} threads"


def tell(
    every: Sequence[Sample], samples: Sequence[Sample], report: Report, pushes: Sequence[float], wrong: list[str]
) -> int:
    """The figures; 1 when a promise is broken."""
    print(f"{len(pushes)} pushes, median {median(pushes):.2f} s, longest {max(pushes):.2f} s")
    print(report.line())
    wrong = [*wrong, *(f"{times} x {reason}" for reason, times in report.failures.items())]
    if len({one.pid for one in every}) > 1:
        wrong.append("the server did not live through it")
    if len(samples) < 8:
        print("too short to tell how memory, descriptors and threads move: nothing counts before the warm-up ends")
    else:
        wrong += moved(samples)
    for line in wrong:
        print(f"  !  {line}")
    return 1 if wrong else 0


def moved(samples: Sequence[Sample]) -> list[str]:
    """What does not stay flat; prints how everything moved."""
    hours = [one.at / 3600 for one in samples]
    slope = linear_regression(hours, [one.rss for one in samples]).slope
    quarter = len(samples) // 4
    first, last = samples[:quarter], samples[-quarter:]
    rows = [
        (name, median(getattr(one, name) for one in first), median(getattr(one, name) for one in last))
        for name in ("rss", "fds", "threads")
    ]
    print(tabulate(rows, (f"median of {len(samples)} samples", "first quarter", "last quarter"), floatfmt=".1f"))
    print(f"memory moves by {slope:+.2f} MB an hour (goal below {SLOPE_GOAL:.0f})")
    wrong = [f"{name} went from {old:.0f} to {new:.0f}" for name, old, new in rows[1:] if new - old > FLAT]
    return wrong + ([f"memory grows by {slope:.2f} MB an hour"] if slope > SLOPE_GOAL else [])


if __name__ == "__main__":
    sys.exit(main())
