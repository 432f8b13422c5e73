"""The installation a benchmark measures, and a developer's repository on it."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load import Load
from core.config import Settings
from tests.installation import Installation

SAMPLES = Path(__file__).resolve().parent.parent / "tests" / "samples"
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

    def paas(self, *words: str) -> str:
        """`ssh paas WORDS`; what it printed."""
        return run([*self.ssh, "paas", *words])

    def load(self, app: str, rate: float) -> Load:
        return Load(f"http://127.0.0.1:{self.http_port}/", f"{app}.{self.domain}", rate)


@dataclass(frozen=True)
class Work:
    """A repository of one of the samples, pushed to an app of its own."""

    place: Place
    folder: Path
    app: str

    def git(self, *words: str) -> str:
        identity = ["-c", "user.name=Bench", "-c", "user.email=bench@example.com"]
        ssh = ["-c", f"core.sshCommand={' '.join(self.place.ssh)}"]
        return run(["git", "-C", str(self.folder), *identity, *ssh, *words])

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "change")

    def push(self) -> str:
        """What the pusher reads."""
        return self.git("push", f"paas:{self.app}", "main")


@contextmanager
def installation() -> Iterator[Place]:
    """The one in PAAS_HOME; otherwise one of its own, gone afterwards."""
    if "PAAS_HOME" in os.environ:
        settings = Settings()
        yield Place(settings.home, settings.http_port, settings.domain)
        return
    with apart() as own:
        yield Place(own.home, own.http_port, "localhost")


@contextmanager
def apart(**settings: object) -> Iterator[Installation]:
    """An installation of its own with these settings, gone afterwards."""
    own = Installation(**settings)
    try:
        own.up()
        yield own
    finally:
        own.down()


@contextmanager
def sample(place: Place, name: str) -> Iterator[Work]:
    """A sample, pushed; destroyed in the end."""
    app = f"{name}-{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory(prefix="paas-bench-") as folder:
        shutil.copytree(SAMPLES / name, folder, dirs_exist_ok=True)
        work = Work(place, Path(folder), app)
        work.git("init", "-q", "-b", "main")
        work.commit()
        work.push()
        try:
            yield work
        finally:
            place.paas("apps:destroy", app, "--force")


def run(command: Sequence[str]) -> str:
    """A program's output; what it said, and the end of the measurement, when it fails."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr
