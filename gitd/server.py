"""The SSH door: accepts connections, proves who is there, and closes again."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import asyncssh
import structlog

from control.context import Context
from core.config import Settings
from core.errors import Unavailable
from gitd.auth import Visitor
from gitd.connection import Connection, prove
from gitd.door import Door, RunCommand, keep
from gitd.doorway import Doorway, Visit
from gitd.relay import Relay
from hooks.install import account, install

log = structlog.get_logger()

THREADS = 16
BACKLOG = 512
FIRST_LINE = 1.0
"""Seconds a client has to say what it is; then we speak first."""
FAREWELL = 10.0
"""Seconds sessions have to end when the door closes."""
# OpenSSH takes the first of its own list that we have too: chacha20 and ctr cost half as much again.
FAST = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"]
OTHERS = [*FAST, "aes256-ctr", "aes192-ctr", "aes128-ctr"]
TERMS = {
    "server_version": "paas",
    "login_timeout": 20,
    "keepalive_interval": 15,
    "encoding": None,
    "compression_algs": None,
    "line_editor": False,
    "password_auth": False,
    "kbdint_auth": False,
    "host_based_auth": False,
    "gss_auth": False,
    "gss_kex": False,
    "gss_host": None,
    "agent_forwarding": False,
    "x11_forwarding": False,
    "allow_scp": False,
}


@dataclass
class Porch:
    """The listening socket and those who stand before the door."""

    door: Door
    listener: socket.socket
    key: asyncssh.SSHKey
    doorway: Doorway = field(default_factory=Doorway)
    connections: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    async def accept(self) -> None:
        """Let people in until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self.listener)
            except OSError as error:  # out of descriptors: those who leave give theirs back
                log.warning("ssh.accept", error=str(error))
                await self.somebody_left()
                continue
            keep(self.connections, self.welcome(connection, str(address[0])))

    async def somebody_left(self) -> None:
        if self.connections:
            await asyncio.wait(self.connections, return_when=asyncio.FIRST_COMPLETED)
        else:  # the descriptors are not ours to wait for
            await asyncio.sleep(FIRST_LINE)

    async def welcome(self, connection: socket.socket, address: str) -> None:
        """One connection, from its first line to its end."""
        task = asyncio.current_task()
        assert task
        try:
            line = await first_line(connection)
            visit = Visit(address, task.cancel, silent=not line)
            if not self.doorway.enter(visit):
                log.warning("ssh.crowded", address=address)
                return
            try:
                visitor = await self.prove(connection, FAST if line.startswith(b"SSH-2.0-OpenSSH") else OTHERS)
            finally:
                self.doorway.leave(visit)
            async with visitor:
                await visitor.wait_closed()
        except (OSError, asyncssh.Error) as error:
            log.info("ssh.out", address=address, error=str(error))
        finally:
            connection.close()

    async def prove(self, connection: socket.socket, ciphers: list[str]) -> Connection:
        """The connection once a key has signed."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        options = asyncssh.SSHServerConnectionOptions(
            server_factory=partial(Visitor, self.door), server_host_keys=[self.key], encryption_algs=ciphers, **TERMS
        )
        return await prove(connection, options)


async def first_line(connection: socket.socket) -> bytes:
    """What the client sends first, left in the socket; empty when it says nothing in time."""
    loop = asyncio.get_running_loop()
    connection.setblocking(False)
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await asyncio.wait_for(readable.wait(), FIRST_LINE)
        return connection.recv(255, socket.MSG_PEEK)
    except (TimeoutError, BlockingIOError):
        return b""
    finally:
        loop.remove_reader(connection)


@asynccontextmanager
async def listen(ctx: Context, run_command: RunCommand) -> AsyncIterator[Porch]:
    """The door, open while inside; everything is ended when leaving. Unavailable when it cannot open."""
    asyncssh.set_log_level("WARNING")
    settings = ctx.settings
    listener = opened(settings)
    key = host_key(settings.home / "keys" / "ssh_host_ed25519")
    with listener, ThreadPoolExecutor(THREADS, "gitd") as pool:
        relay = Relay(ctx, pool)
        await relay.open(account(settings.git_user))
        hooks = await asyncio.to_thread(installed_hooks, settings)
        porch = Porch(Door(ctx, run_command, relay, hooks, pool), listener, key)
        accepting = asyncio.create_task(porch.accept())
        try:
            yield porch
        finally:
            await end({accepting})
            await end(porch.connections)
            await finish(porch.door.tasks)
            await relay.close()


def installed_hooks(settings: Settings) -> Path:
    try:
        return install(settings.home / "hooks", settings.git_user)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable("git's hooks cannot be installed", evidence=str(error)) from error


async def end(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await finish(tasks)


async def finish(tasks: set[asyncio.Task[None]]) -> None:
    """Wait for `tasks`, within reason: a session whose client is gone puts its push in order."""
    if tasks:
        await asyncio.wait(tasks, timeout=FAREWELL)


def opened(settings: Settings) -> socket.socket:
    try:
        listener = socket.create_server((settings.bind, settings.ssh_port), backlog=BACKLOG)
    except OSError as error:
        raise Unavailable(
            f"port {settings.ssh_port} for SSH cannot be opened",
            "Set PAAS_SSH_PORT to another one.",
            evidence=str(error),
        ) from error
    listener.setblocking(False)
    return listener


def host_key(path: Path) -> asyncssh.SSHKey:
    """The key the door proves itself with, made on first use."""
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            key = asyncssh.generate_private_key("ssh-ed25519", "paas")
            path.touch(0o600, exist_ok=False)
            path.write_bytes(key.export_private_key())
            path.with_suffix(".pub").write_bytes(key.export_public_key())
        return asyncssh.read_private_key(path)
    except (OSError, asyncssh.KeyImportError) as error:
        raise Unavailable(f"the host key {path} cannot be read", evidence=str(error)) from error
