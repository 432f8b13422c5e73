"""One SSH session: finds out what is wanted, refuses the rest in words, and starts it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import asyncssh
import structlog

from control.values import User
from core.errors import Invalid, PlatformError
from gitd import request, transfers
from gitd.door import Door
from gitd.hold import Hold
from gitd.request import GitRequest
from gitd.terminal import ChannelTerminal

log = structlog.get_logger()

STDERR = asyncssh.EXTENDED_DATA_STDERR
NO_SHELL = "there is no shell here; this shows what there is: ssh paas help"
NO_TERMINAL = "git does not work through a terminal: leave out -t"
BROKEN = "something went wrong on the server; its log says what"


class Session(asyncssh.SSHServerSession[bytes]):
    """Also what git's bridge sees of the client: `send`, `hold`, `gone`, `on_pause`."""

    def __init__(self, door: Door, user: User, fingerprint: str) -> None:
        self.door = door
        self.user = user
        self.gone = asyncio.Event()
        """Set once the client is."""
        self.bridge: transfers.Bridge | None = None
        self._fingerprint = fingerprint
        self._command: str | None = None
        self._size: tuple[int, int] | None = None
        self._terminal: ChannelTerminal | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan
        self.hold = Hold(chan)
        self.door.sessions[self._fingerprint] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()
        self._writable.set()
        self.hold.end()
        self.door.sessions[self._fingerprint] -= 1
        if not self.door.sessions[self._fingerprint]:
            del self.door.sessions[self._fingerprint]
        if self.bridge:
            self.bridge.lost()
        if self._terminal:
            self._terminal.cancelled.set()

    def pty_requested(
        self, term_type: str, term_size: tuple[int, int, int, int], term_modes: Mapping[int, int]
    ) -> bool:
        self._size = size(term_size[0], term_size[1])
        return True

    def shell_requested(self) -> bool:
        return True  # only to say that there is none

    def exec_requested(self, command: str) -> bool:
        self._command = command
        return True

    def session_started(self) -> None:
        self.door.start(self._run())

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self.hold.write(data)

    def eof_received(self) -> bool:
        self.hold.end()
        return True

    def pause_writing(self) -> None:
        self._writable.clear()
        if self.bridge:
            self.bridge.pause()

    def resume_writing(self) -> None:
        self._writable.set()
        if self.bridge:
            self.bridge.resume()

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        if self._terminal:
            self._terminal.resize(*size(width, height))

    def signal_received(self, signal: str) -> None:
        if self._terminal:
            self._terminal.cancelled.set()

    def break_received(self, msec: int) -> bool:
        self.signal_received("INT")
        return True

    def write(self, data: bytes, stream: int | None = None) -> None:
        """Send at once, however slow the client is; dropped when it is gone."""
        if not self._channel.is_closing():
            self._channel.write(data, stream)

    async def send(self, data: bytes, stream: int | None = None) -> None:
        """Send, waiting while the client is slow; BrokenPipeError once it is gone."""
        await self._writable.wait()
        if self._channel.is_closing():
            raise BrokenPipeError("the client is gone")
        self._channel.write(data, stream)

    def say(self, *lines: str) -> None:
        """Lines for a person, on stderr."""
        end = "\n" if self._size is None else "\r\n"
        self.write("".join(f"{line}{end}" for line in lines).encode(), STDERR if self._size is None else None)

    async def _run(self) -> None:
        try:
            code = await self._answer()
        except PlatformError as error:
            self.say(*(f" !     {line}" for line in error.lines()))
            code = error.exit_code
        except BrokenPipeError:
            code = 1
        except Exception:
            log.exception("session.failed", user=self.user.name)
            self.say(f" !     {BROKEN}")
            code = 1
        await self._writable.wait()
        self._channel.exit(code)

    async def _answer(self) -> int:
        """Do what is asked; the exit code."""
        if self._command is None:
            raise Invalid(NO_SHELL)
        wanted = request.parse(self._command)
        if not isinstance(wanted, GitRequest):
            return await self._run_command(wanted)
        if self._size is not None:
            raise Invalid(NO_TERMINAL)
        env = request.protocol(self._channel.get_environment_bytes())
        transfer = transfers.receive if wanted.service == "receive" else transfers.upload
        return await transfer(self, wanted.app, env)

    async def _run_command(self, words: list[str]) -> int:
        terminal = ChannelTerminal(self.hold, self.send, lambda data: self.send(data, STDERR), self.write, self._size)
        self._terminal = terminal
        if self.gone.is_set():
            terminal.cancelled.set()
        return await self.door.run_command(words, terminal, self.user)


def size(columns: int, rows: int) -> tuple[int, int]:
    """Columns and rows as sane numbers: a client may send anything."""
    return min(columns, 1000) or 80, min(rows, 1000) or 24
