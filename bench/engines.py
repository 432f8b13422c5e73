"""A Docker engine of one's own beside the machine's, with the base images the machine has already."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker

from builder.stack import LABEL
from core.config import Settings
from server.setup_engine import Engine
from server.supervise import wait


@dataclass(frozen=True)
class OwnEngine:
    engine: Engine
    pidfile: Path

    @property
    def url(self) -> str:
        return self.engine.url

    def pid(self) -> int:
        return int(self.pidfile.read_text()) if self.pidfile.exists() else 0

    def kill(self) -> None:
        os.kill(self.pid(), signal.SIGKILL)

    def rest(self) -> None:
        """Keep it down."""
        self.engine.runit.sv("force-stop", "docker")

    def resume(self) -> None:
        self.engine.runit.sv("up", "docker")


@contextmanager
def own_engine(data: Path) -> Iterator[OwnEngine]:
    """An engine with its images in `data`; stopped afterwards."""
    with tempfile.TemporaryDirectory(prefix="paas-engine-") as folder, bridge() as name:
        pidfile = Path(folder) / "pid"
        apart = ("--data-root", str(data), "--exec-root", f"{folder}/exec", "--pidfile", str(pidfile))
        # A bridge of its own: with --bridge=none an engine removes docker0, which is the machine's.
        rules = (f"--bridge={name}", "--iptables=false", "--ip6tables=false", "--ip-forward=false")
        options = (*apart, *rules, "--live-restore")
        made = OwnEngine(Engine(f"unix://{folder}/docker.sock", Path(folder) / "engine", options), pidfile)
        try:
            made.engine.ensure(lambda line: None)
            stock(made.url)
            with spared():
                yield made
        finally:
            made.engine.runit.stop()
            unmount(Path(folder))


@contextmanager
def bridge() -> Iterator[str]:
    name = f"paasown{os.getpid()}"[:15]
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    try:
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)


@contextmanager
def spared() -> Iterator[None]:
    """The machine's engine has one more user: the purge of an installation on another engine must not stop it."""
    users = Engine(Settings().docker_host).users
    name = f"bench-{os.getpid()}"
    if users.exists():
        (users / name).touch()
    try:
        yield
    finally:
        (users / name).unlink(missing_ok=True)


def stock(url: str) -> None:
    """Give an engine the base images of the machine's: making them anew takes a minute."""
    machine, own = docker.from_env(), docker.DockerClient(base_url=url, timeout=300)
    try:
        images = machine.images.list(filters={"label": LABEL})
        for tags in {one.tags[0]: one for one in images if any("/stack" in tag for tag in one.tags)}:
            own.images.load(machine.images.get(tags).save(named=True))  # type: ignore[arg-type]
    finally:
        machine.close()
        own.close()


def unmount(folder: Path) -> None:
    """An engine that was killed leaves mounts under its folder."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((one for one in mounts if one.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "-l", mount], check=True)


def answers(url: str, seconds: float = 60) -> bool:
    from server.setup_checks import engine_answers

    return wait(lambda: engine_answers(url), seconds)
