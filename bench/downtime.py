"""Redeploys of one app under a steady load: how many requests failed, and how long they took.

With PAAS_HOME set and its server up, that installation is measured; otherwise one of its own, gone afterwards.
Without --app the Flask sample is pushed under a name of its own, and destroyed in the end.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median

from bench.load import Load, Report
from bench.place import Place, installation, sample


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--app", help="an app that is deployed already")
    arguments.add_argument("--redeploys", type=int, default=50)
    arguments.add_argument("--rate", type=float, default=100, help="requests a second")
    chosen = arguments.parse_args()
    with ExitStack() as stack:
        place = stack.enter_context(installation())
        app = chosen.app or stack.enter_context(sample(place, "flask")).app
        return tell(*measure(place, app, chosen.redeploys, chosen.rate))


def measure(place: Place, app: str, redeploys: int, rate: float) -> tuple[Report, list[float]]:
    """The load's report, and the seconds of each redeploy."""
    seconds = []
    load = place.load(app, rate)
    load.start()
    try:
        for _ in range(redeploys):
            began = time.monotonic()
            place.paas("redeploy", app)
            seconds.append(time.monotonic() - began)
        await_more(load, rate)
    finally:
        report = load.stop()
    return report, seconds


def await_more(load: Load, requests: float) -> None:
    """The last old instance is still draining: go on for another second's worth."""
    wanted = load.sent + requests
    while load.sent < wanted:
        time.sleep(0.01)


def tell(report: Report, seconds: Sequence[float]) -> int:
    print(f"{len(seconds)} redeploys, median {median(seconds):.2f} s, longest {max(seconds):.2f} s")
    print(report.line())
    for reason, times in sorted(report.failures.items()):
        print(f"  {times} x {reason}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
