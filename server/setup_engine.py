"""The Docker engine of a machine that has no init system to start one.

Such an engine belongs to the machine, not to an installation: the first installation starts it, others
use it, and the last one to be purged stops it, unless containers of anybody still exist. An engine that
somebody else started is never stopped.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.errors import Unavailable
from runtime.engine import Engine as Calls
from server.setup_checks import engine_answers
from server.supervise import Program, Runit, call, running, wait

START_SECONDS = 60


@dataclass(frozen=True)
class Engine:
    """Where the engine answers, and where the machine keeps what we know of the one we started."""

    url: str
    folder: Path = Path("/var/lib/paas-engine")
    options: tuple[str, ...] = ("--live-restore",)

    @property
    def users(self) -> Path:
        return self.folder / "installations"

    @property
    def runit(self) -> Runit:
        return Runit(self.folder / "service", self.folder / "log", Path("/"))

    def ensure(self, say: Callable[[str], None]) -> None:
        """An engine answers when this returns; Unavailable otherwise."""
        if engine_answers(self.url):
            return
        if not shutil.which("dockerd"):
            raise Unavailable(f"no Docker engine answers at {self.url}", "Install docker.io, or start the engine.")
        say("-----> Starting the Docker engine")
        if Path("/run/systemd/system").is_dir():
            call("systemctl", "--quiet", "enable", "--now", "docker")
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.runit.start([Program("docker", ("dockerd", "--host", self.url, *self.options))], fresh=False)
        if not wait(lambda: engine_answers(self.url), START_SECONDS):
            evidence = self.runit.log("docker")
            self.runit.stop()
            raise Unavailable("the Docker engine does not start", "See its log above.", evidence=evidence)

    def enter(self, installation: str) -> None:
        """Note that an installation uses the engine."""
        self.users.mkdir(parents=True, exist_ok=True)
        (self.users / installation).touch()

    def leave(self, installation: str) -> bool:
        """Forget an installation; stop the engine if it is ours and nobody is left. Whether it was stopped."""
        (self.users / installation).unlink(missing_ok=True)
        if self.users.exists() and any(self.users.iterdir()):
            return False
        if not running(self.runit.record) or self.in_use():
            return False
        self.runit.stop()
        shutil.rmtree(self.folder)
        return True

    def in_use(self) -> bool:
        """Whether anybody has a container there."""
        if not engine_answers(self.url):
            return False
        return bool(Calls(self.url).call("GET", "/containers/json", all="true"))
