"""Redeploys of one app under a steady load: how many requests failed, and how long they took.

With PAAS_HOME set and its server up, that installation is measured; otherwise one of its own, gone afterwards.
Without --app the Flask sample is pushed under a name of its own, and destroyed in the end.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.load import Load, Report
from core.config import Settings
from tests.installation import Installation

SAMPLE = Path(__file__).resolve().parent.parent / "tests" / "samples" / "flask"
PATIENCE = 300
"""Seconds one command may take."""


@dataclass(frozen=True)
class Place:
    """The installation that is measured."""

    home: Path
    http_port: int
    domain: str

    @property
    def ssh(self) -> list[str]:
        return ["ssh", "-F", f"{self.home}/ssh_config", "-o", "BatchMode=yes"]

    def paas(self, *words: str) -> None:
        """`ssh paas WORDS`."""
        run([*self.ssh, "paas", *words])

    def load(self, app: str, rate: float) -> Load:
        return Load(f"http://127.0.0.1:{self.http_port}/", f"{app}.{self.domain}", rate)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--app", help="an app that is deployed already")
    arguments.add_argument("--redeploys", type=int, default=50)
    arguments.add_argument("--rate", type=float, default=100, help="requests a second")
    chosen = arguments.parse_args()
    with ExitStack() as stack:
        place = stack.enter_context(installation())
        app = chosen.app or stack.enter_context(sample(place))
        return tell(*measure(place, app, chosen.redeploys, chosen.rate))


@contextmanager
def installation() -> Iterator[Place]:
    if "PAAS_HOME" in os.environ:
        settings = Settings()
        yield Place(settings.home, settings.http_port, settings.domain)
        return
    own = Installation()
    try:
        own.up()
        yield Place(own.home, own.http_port, "localhost")
    finally:
        own.down()


@contextmanager
def sample(place: Place) -> Iterator[str]:
    """The Flask sample, pushed."""
    app = f"downtime-{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory(prefix="paas-bench-") as folder:
        git = ["git", "-C", folder, "-c", "user.name=Bench", "-c", "user.email=bench@example.com"]
        shutil.copytree(SAMPLE, folder, dirs_exist_ok=True)
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "sample"]):
            run([*git, *words])
        ssh = f"core.sshCommand={' '.join(place.ssh)}"
        run([*git, "-c", ssh, "push", f"paas:{app}", "main"])
    try:
        yield app
    finally:
        place.paas("apps:destroy", app, "--force")


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


def run(command: Sequence[str]) -> None:
    """A program; what it said, and the end of the measurement, when it fails."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
