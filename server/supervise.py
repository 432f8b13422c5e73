"""Keeps our programs running: systemd where it runs the machine, Debian's runit elsewhere.

Nothing is ever stopped by name: systemd knows its units, runit its folder, and the pid of a process we
detached is recorded with its start time, so that a number used again is not mistaken for ours.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.errors import Unavailable

UNITS = Path("/etc/systemd/system")
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/root",
}
STOP_SECONDS = 20


@dataclass(frozen=True)
class Program:
    """Something to keep running."""

    name: str
    command: tuple[str, ...]
    version: str = ""
    """Changes when a running one must be started anew."""


class Supervisor(Protocol):
    """Runs programs until told otherwise; a killed one is back within a second."""

    def start(self, programs: Sequence[Program], fresh: bool) -> None:
        """Make `programs` run, replacing those that changed (all of them with `fresh`); the rest is not touched."""
        ...

    def stop(self) -> None:
        """Stop them all and forget them; nothing when none runs."""
        ...

    def log(self, name: str) -> str:
        """The last lines a program wrote."""
        ...


def supervisor(home: Path, installation: str, cwd: Path) -> Supervisor:
    """The one that fits this machine."""
    if Path("/run/systemd/system").is_dir():
        return Systemd(f"paas-{installation}", home / "env", cwd)
    return Runit(home / "service", home / "log", cwd, home / "env")


def wait(condition: Callable[[], object], seconds: float) -> bool:
    """Whether `condition` came true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def write(path: Path, text: str, mode: int = 0o644) -> bool:
    """Make `path` hold `text`; whether that changed anything."""
    if path.exists() and path.read_text() == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.chmod(mode)
    new.replace(path)
    return True


def call(*command: str) -> str:
    """Run a tool; Unavailable with what it printed when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        printed = getattr(error, "stderr", "") or getattr(error, "stdout", "") or str(error)
        raise Unavailable(f"{shlex.join(command)} failed", evidence=printed.strip()) from error
    return done.stdout


@dataclass(frozen=True)
class Runit:
    """A `runsvdir` of our own over a folder of our own; logs by `svlogd`, bounded."""

    folder: Path
    logs: Path
    cwd: Path
    env: Path | None = None
    """A file of `NAME='value'` lines the programs get."""

    @property
    def record(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.pid")

    def start(self, programs: Sequence[Program], fresh: bool) -> None:
        changed = [program.name for program in programs if self.write(program) or fresh]
        if not running(self.record):
            detach(["runsvdir", "-P", str(self.folder)], self.record)
        for name in (program.name for program in programs):
            if not wait(lambda name=name: self.supervised(name), 10):  # type: ignore[misc]
                raise Unavailable(f"runsv does not look after {self.folder / name}")
            self.sv("restart" if name in changed else "up", name)

    def write(self, program: Program) -> bool:
        """Describe a program to runit; whether a running one is out of date."""
        folder = self.folder / program.name
        log = self.logs / program.name
        log.mkdir(parents=True, exist_ok=True)
        write(folder / "log" / "run", f"#!/bin/sh\nexec svlogd -tt {shlex.quote(str(log))}\n", 0o755)
        lines = ["#!/bin/sh", f"# {program.version}", "exec 2>&1", "umask 077", f"cd {shlex.quote(str(self.cwd))}"]
        lines += ["set -a", f". {shlex.quote(str(self.env))}", "set +a"] if self.env else []
        known = self.supervised(program.name)
        return write(folder / "run", "\n".join([*lines, f"exec {shlex.join(program.command)}", ""]), 0o755) and known

    def supervised(self, name: str) -> bool:
        """Whether a runsv listens for orders."""
        try:
            for pipe in ("control", "ok"):  # it makes one after the other, and `sv` wants both
                os.close(os.open(self.folder / name / "supervise" / pipe, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    def sv(self, order: str, *names: str) -> None:
        call("sv", "-w", str(STOP_SECONDS), order, *(str(self.folder / name) for name in names))

    def stop(self) -> None:
        # runsvdir goes first, since it would start anew each runsv that is told to exit.
        terminate(self.record)
        names = sorted(path.name for path in self.folder.glob("*") if self.supervised(path.name))
        if names:
            self.sv("force-shutdown", *names)

    def log(self, name: str) -> str:
        file = self.logs / name / "current"
        return "\n".join(file.read_text(errors="replace").splitlines()[-15:]) if file.exists() else ""


@dataclass(frozen=True)
class Systemd:
    """One unit a program, named after the installation; up again after a reboot."""

    prefix: str
    env: Path
    cwd: Path

    def start(self, programs: Sequence[Program], fresh: bool) -> None:
        changed = [program.name for program in programs if self.write(program) or fresh]
        if changed:
            call("systemctl", "daemon-reload")
        for program in programs:
            unit = f"{self.prefix}-{program.name}.service"
            call("systemctl", "--quiet", "enable", unit)
            call("systemctl", "restart" if program.name in changed else "start", unit)

    def write(self, program: Program) -> bool:
        text = UNIT.format(
            name=program.name,
            prefix=self.prefix,
            version=program.version,
            env=str(self.env).replace("%", "%%"),
            cwd=str(self.cwd).replace("%", "%%"),
            command=" ".join(quoted(word) for word in program.command),
            stop=STOP_SECONDS,
        )
        return write(UNITS / f"{self.prefix}-{program.name}.service", text)

    def stop(self) -> None:
        units = sorted(UNITS.glob(f"{self.prefix}-*.service"))
        if not units:
            return
        call("systemctl", "--quiet", "disable", "--now", *(unit.name for unit in units))
        for unit in units:
            unit.unlink()
        call("systemctl", "daemon-reload")

    def log(self, name: str) -> str:
        return call("journalctl", "--quiet", "--no-pager", "--lines=15", f"--unit={self.prefix}-{name}.service")


def quoted(word: str) -> str:
    """`word` as systemd reads it."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$") + '"'


UNIT = """\
# {version}
[Unit]
Description=paas {name} of installation {prefix}
Wants=network-online.target
After=network-online.target docker.service
StartLimitIntervalSec=0

[Service]
EnvironmentFile={env}
WorkingDirectory={cwd}
ExecStart={command}
Restart=always
RestartSec=0.1
KillMode=mixed
TimeoutStopSec={stop}
UMask=0077
TasksMax=infinity
LimitNOFILE=524288

[Install]
WantedBy=multi-user.target
"""


def detach(command: Sequence[str], record: Path) -> None:
    """Start a process of its own session that outlives us, and record who it is."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )
    write(record, json.dumps({"pid": process.pid, "started": started(process.pid)}) + "\n")
    # It is never waited for: it outlives us, and init inherits it.
    process.returncode = 0


def started(pid: int) -> str | None:
    """When a living process began, in words only this boot understands; None when there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] == "Z" else f"{boot} {fields[19]}"


def running(record: Path) -> int | None:
    """The pid of the recorded process, if it is still that process."""
    try:
        known = json.loads(record.read_text())
        pid = int(known["pid"])
    except (OSError, ValueError, KeyError):
        return None
    return pid if known["started"] and started(pid) == known["started"] else None


def terminate(record: Path) -> None:
    """End the recorded process, with SIGKILL if it does not go; nothing when it is gone or another."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        pid = running(record)
        if pid is None:
            break
        os.kill(pid, number)
        wait(lambda: running(record) is None, STOP_SECONDS)
    record.unlink(missing_ok=True)
