"""A server whose clock is moved while it runs, by a small library put before libc; the machine's own stays."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from server.supervise import wait
from tests.installation import Installation

SOURCE = Path(__file__).with_name("clock.c")


@contextmanager
def moving(installation: Installation) -> Iterator[Callable[[int], None]]:
    """The installation's server under a clock of its own; gives what moves it to so many seconds off."""
    library, clock = installation.folder / "clock.so", installation.folder / "clock"
    environment = installation.home / "env"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE)], check=True)

    def move(seconds: int) -> None:
        new = clock.with_suffix(".new")
        new.write_text(f"{seconds}\n")
        new.replace(clock)
        installation.clock_offset = seconds

    move(0)
    before = environment.read_text()
    environment.write_text(f"{before}LD_PRELOAD='{library}'\nCLOCK_OFFSET='{clock}'\n")
    try:
        replace(installation)
        yield move
    finally:
        environment.write_text(before)
        replace(installation)


def replace(installation: Installation) -> None:
    """Another server, with the environment as it is now."""
    old = installation.program("server")
    os.kill(old, signal.SIGKILL)
    there = wait(lambda: installation.program("server") not in (0, old), 10)
    if not (there and wait(lambda: installation.ssh("version", check=False).returncode == 0, 30)):
        raise RuntimeError("the server does not come back")
