"""Runs git at one end of an SSH channel: byte-exact both ways, as the repository's owner, in a group of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from core.errors import Unavailable
from gitd.pipes import Inflow, Outflow

ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}
KILL_AFTER = 5.0
"""Seconds git has to remove its temporary files."""


class Git:
    """One git process of a session."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._watch = os.pidfd_open(process.pid)
        self._loop.add_reader(self._watch, self._has_ended)
        self._flows: list[Inflow] = []
        self._stdin: Outflow | None = None

    @classmethod
    async def start(cls, folder: Path, arguments: Sequence[str], env: Mapping[str, str]) -> Git:
        """`git ARGUMENTS` as the owner of `folder`; Unavailable when it cannot be started."""
        try:
            return cls(await asyncio.to_thread(launch, ["git", *arguments], folder, env))
        except OSError as error:
            raise Unavailable("git does not work on the server") from error

    def connect(
        self,
        stdout: Callable[[bytes], None],
        stderr: Callable[[bytes], None],
        full: Callable[[], None],
        drained: Callable[[], None],
    ) -> Outflow:
        """Where its output goes, and how to stop and restart its input; returns its standard input."""
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self._stdin = Outflow(taken(self._process.stdin), full, drained)
        self._flows = [Inflow(taken(self._process.stdout), stdout), Inflow(taken(self._process.stderr), stderr)]
        return self._stdin

    def pause(self) -> None:
        """Read no more of its output until `resume`."""
        for flow in self._flows:
            flow.pause()

    def resume(self) -> None:
        for flow in self._flows:
            flow.resume()

    async def wait(self) -> int:
        """Its exit code (negative: a signal), once all its output is delivered."""
        await self._ended
        for flow in self._flows:
            await flow.ended.wait()
        if self._stdin:
            self._stdin.close()
        return self._process.returncode

    def kill(self) -> None:
        """End it and all its children: nobody reads its output any more, and a hook that writes would wait for ever."""
        for flow in self._flows:
            flow.close()
        if not self._ended.done():
            self._signal(signal.SIGTERM)
            self._loop.call_later(KILL_AFTER, self._signal, signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if not self._ended.done():
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _has_ended(self) -> None:
        self._loop.remove_reader(self._watch)
        os.close(self._watch)
        self._process.wait()
        self._ended.set_result(None)


def taken(pipe: IO[bytes]) -> int:
    """The pipe's descriptor, ours from now on."""
    descriptor = os.dup(pipe.fileno())
    pipe.close()
    return descriptor


def launch(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start `command` as the owner of `folder`, with three pipes and in a process group of its own."""
    owner = folder.stat()
    other = owner.st_uid != os.geteuid()
    return subprocess.Popen(
        command,
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env={**ENVIRONMENT, **env},
        user=owner.st_uid if other else None,
        group=owner.st_gid if other else None,
        extra_groups=[] if other else None,
        start_new_session=True,
    )
