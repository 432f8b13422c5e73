"""A real installation beside any other: own state folder, own ports, own addresses, brought up by script/up."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from core.config import Settings
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("PATH", "LANG", "LC_ALL", "DOCKER_HOST", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "TERM")


class Installation:
    """Used by acceptance tests and benchmarks. `settings` are PAAS_ variables without the prefix."""

    def __init__(self, **settings: object) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="paas-test-"))
        self.folder.chmod(0o711)
        self.home = Path(str(settings.get("home", self.folder / "home")))
        self.person = self.folder / "person"
        self.person.mkdir()
        self.ssh_port, self.http_port, self.api_port = free_port(), free_port(), free_port()
        self.chosen: dict[str, object] = {
            "home": self.home,
            "ssh_port": self.ssh_port,
            "http_port": self.http_port,
            "https_port": free_port(),
            "api_port": self.api_port,
            "bind": "127.0.0.1",
            "subnets": free_subnets(),
            "start_timeout": 5,
            "fail_points": self.home / "fail",
            **settings,
        }
        proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        variables = {f"PAAS_{name.upper()}": str(value) for name, value in self.chosen.items()}
        self.clock_offset = 0.0
        """Seconds by which the server's clock is ahead of ours."""
        self.environment = {**kept, **proxies, "HOME": str(self.person), **variables}

    def up(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.script("up", *arguments, check=check)

    def down(self, purge: bool = True) -> None:
        """Stop it; with `purge`, remove every trace."""
        self.script("down", *(["--purge"] if purge else []))
        if purge:
            shutil.rmtree(self.folder)

    def script(self, name: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.call([str(ROOT / "script" / name), *arguments], check=check, timeout=600)

    def call(
        self,
        command: Sequence[str],
        *,
        cwd: Path | None = None,
        stdin: str | None = None,
        check: bool = True,
        timeout: float = 120,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as the person at the keyboard; AssertionError with its output when it fails and `check`."""
        done = subprocess.run(
            command,
            cwd=cwd or self.person,
            env={**self.environment, **(env or {})},
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
        assert not check or done.returncode == 0, f"{list(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def settings(self) -> Settings:
        """As its programs read them."""
        return Settings.model_validate({name: self.chosen[name] for name in Settings.model_fields.keys() & self.chosen})

    @property
    def id(self) -> str:
        return (self.home / "installation").read_text().strip()

    @property
    def ssh_command(self) -> list[str]:
        return ["ssh", "-F", f"{self.home}/ssh_config", "-o", "BatchMode=yes"]

    def ssh(self, *arguments: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`ssh paas ARGUMENTS`."""
        return self.call([*self.ssh_command, "paas", *arguments], stdin=stdin, check=check)

    def git_env(self) -> dict[str, str]:
        """What git needs to find `paas:`, and nothing of the machine's own configuration."""
        return {
            **self.environment,
            "GIT_SSH_COMMAND": " ".join(self.ssh_command),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_AUTHOR_NAME": "A. Developer",
            "GIT_AUTHOR_EMAIL": "developer@example.com",
            "GIT_COMMITTER_NAME": "A. Developer",
            "GIT_COMMITTER_EMAIL": "developer@example.com",
            "GIT_TERMINAL_PROMPT": "0",
        }

    def git(self, repository: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.call(["git", *arguments], cwd=repository, env=self.git_env(), check=check, timeout=600)

    def url(self, app: str, path: str = "/") -> str:
        """The app's address; the platform's own for an empty name."""
        host = f"{app}.localhost" if app else "localhost"
        return f"http://{host}:{self.http_port}{path}"

    def curl(self, app: str, path: str = "/", *options: str) -> tuple[int, str]:
        """Status and body of a GET through the proxy; status 0 when nothing answers."""
        command = ["curl", "--silent", "--max-time", "30", "--write-out", "\n%{http_code}", *options]
        done = self.call([*command, self.url(app, path)], check=False)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def program(self, name: str) -> int:
        """The pid of the supervised `server` or `proxy`."""
        file = self.home / "service" / name / "supervise" / "pid"
        if file.exists():
            return int(file.read_text().strip() or 0)
        unit = f"paas-{self.id}-{name}.service"
        return int(self.call(["systemctl", "show", "--property=MainPID", "--value", unit]).stdout)


def free_subnets() -> str:
    """A /16 of private addresses this machine has no route to."""
    routes = [line.split()[1] for line in Path("/proc/net/route").read_text().splitlines()[1:]]
    used = {int(address[4:6], 16) for address in routes if address.endswith("0A")}
    # Another test run may be choosing at this moment and has no network yet.
    return f"10.{random.choice([number for number in range(100, 250) if number not in used | {213}])}.0.0/16"
