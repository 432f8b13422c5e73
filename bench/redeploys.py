"""Redeploys under load while WebSockets are open and slow requests under way.

Promised: no request fails, and no socket is closed before its release has been out of service for the drain limit.
Redeploys follow each other faster than instances drain, so many old ones drain at the same time; what that meets
(addresses, memory) is told as it happens.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

import docker

from bench.load import Report
from bench.place import apart
from bench.sockets import Closed, Held, Sockets
from bench.steady import Steady
from server.supervise import wait
from tests.installation import Installation
from tests.invariants import converged

DRAIN = 30.0
SETTLE_SECONDS = 300.0


@dataclass(frozen=True)
class Redeploy:
    """One redeploy: when it was asked for, when it had returned, and the release that is live after it."""

    began: float
    ended: float
    release: int
    failed: str
    """What was said, when it failed."""
    instances: int
    """Containers of the app after it."""


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--redeploys", type=int, default=200)
    arguments.add_argument("--rate", type=float, default=250, help="requests a second")
    arguments.add_argument("--sockets", type=int, default=20)
    arguments.add_argument("--slow", type=float, default=1, help="requests a second that take 10 s each")
    chosen = arguments.parse_args()
    with apart(drain_timeout=DRAIN) as installation:
        app = Steady(installation, "redeployed")
        app.push()
        sockets = Sockets(installation.http_port, f"{app.app}.localhost", chosen.sockets)
        loads = {"quick": app.load(chosen.rate), "slow": app.load(chosen.slow, "/slow")}
        with ExitStack() as stack:
            reports: dict[str, Report] = {}
            for name, load in loads.items():
                load.start()
                stack.callback(lambda name=name, load=load: reports.update({name: load.stop()}))  # type: ignore[misc]
            sockets.start()
            held: list[Held] = []
            stack.callback(lambda: held.append(sockets.stop()))
            made = [redeploy(installation, app) for _ in range(chosen.redeploys)]
            # The last old instance is still draining: the load goes on until it is gone.
            settled = timed(lambda: count(installation) == 1)
        return tell(made, reports, held[0], settled, converged(installation))


def redeploy(installation: Installation, app: Steady) -> Redeploy:
    began = time.monotonic()
    done = app.paas("redeploy", check=False)
    ended = time.monotonic()
    live = next(one["number"] for one in app.releases() if one["current"])
    failed = (done.stdout + done.stderr)[-500:] if done.returncode else ""
    made = Redeploy(began, ended, live, failed, count(installation))
    print(f"v{live} after {ended - began:.2f} s, {made.instances} instances", flush=True)
    return made


def count(installation: Installation) -> int:
    """Instances there are, those that drain included."""
    settings = installation.settings()
    client = docker.DockerClient(base_url=settings.docker_host)
    try:
        ours = f"paas.installation={settings.installation}"
        return len(client.containers.list(filters={"label": [ours], "status": ["running"]}, ignore_removed=True))
    finally:
        client.close()


def timed(condition: Callable[[], object]) -> float:
    """Seconds until the condition holds; SETTLE_SECONDS at most."""
    began = time.monotonic()
    wait(condition, SETTLE_SECONDS)
    return time.monotonic() - began


def early(closed: Sequence[Closed], made: Sequence[Redeploy]) -> list[str]:
    """Sockets closed before their release had been out of service for the drain limit."""
    wrong = []
    for one in closed:
        number = int(one.release.removeprefix("v") or 0) if one.release != "?" else 0
        replaced = next((each for each in made if each.release > number and not each.failed), None)
        if replaced is None:
            wrong.append(f"a socket of {one.release} was closed while that release served")
        elif one.at < replaced.began + DRAIN:
            wrong.append(
                f"a socket of {one.release} was closed {one.at - replaced.began:.1f} s after v{replaced.release} began"
            )
    return wrong


def tell(
    made: Sequence[Redeploy], reports: dict[str, Report], held: Held, settled: float, unclean: Sequence[str]
) -> int:
    """The figures; 1 when a promise is broken."""
    seconds = [one.ended - one.began for one in made]
    failed, wrong = [one for one in made if one.failed], early(held.closed, made)
    print(f"{len(made)} redeploys, {len(failed)} failed, median {median(seconds):.2f} s, longest {max(seconds):.2f} s")
    print(f"at most {max(one.instances for one in made)} instances at once; one left {settled:.1f} s after the last")
    for name, report in reports.items():
        print(f"{name}: {report.line()}")
        for reason, times in sorted(report.failures.items()):
            print(f"  {times} x {reason}")
    print(f"{held.opened} sockets opened, {len(held.closed)} closed by the other side, {len(wrong)} of them too early")
    lines = [*(one.failed for one in failed), *(f"{n} x {what}" for what, n in held.failures.items()), *wrong, *unclean]
    for line in lines:
        print(f"  !  {line}")
    return 1 if lines or any(report.failed for report in reports.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
