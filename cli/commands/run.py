"""Commands in an app's own environment, with this terminal."""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import nullcontext, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from cli.call import Call
from cli.client import problem
from cli.parse import split
from cli.registry import argument, command
from cli.terminal import READ_BYTES
from core.errors import Unavailable

STDIN, STDERR = 0, 2
SHELL = ["/bin/sh", "-c", "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi"]


@command(
    "run",
    "run a command in a new instance of an app",
    argument("command", nargs=argparse.REMAINDER, metavar="CMD"),
    app=True,
    trailing=True,
    usage="run app CMD...",
)
async def run(call: Call) -> int:
    return await bridge(call, {"command": words(call.args.command) or SHELL})


@command(
    "enter",
    "open a shell in a running instance of an app",
    argument("instance", nargs="?", help="web.1 when not given"),
    argument("command", nargs=argparse.REMAINDER, metavar="CMD"),
    app=True,
    trailing=True,
    usage="enter app [web.1] [CMD...]",
)
async def enter(call: Call) -> int:
    command = words(call.args.command) or SHELL
    return await bridge(call, {"command": command, "enter": True, "instance": call.args.instance})


def words(command: list[str]) -> list[str]:
    """The command's words; one word with spaces in it is a line."""
    command = command[1:] if command[:1] == ["--"] else command
    return split(command[0]) if len(command) == 1 else command


async def bridge(call: Call, request: dict[str, Any]) -> int:
    """Connect this terminal to the command; its exit code."""
    terminal = call.terminal
    async with call.client.socket(f"{call.app}/run") as socket:
        await socket.send(json.dumps(request | {"tty": terminal.tty, "size": terminal.size}))
        with terminal.raw() if terminal.tty else nullcontext():
            senders = [asyncio.create_task(typed(call, socket)), asyncio.create_task(resized(call, socket))]
            try:
                return await shown(call, socket)
            finally:
                for sender in senders:
                    sender.cancel()
                await asyncio.gather(*senders, return_exceptions=True)


async def typed(call: Call, socket: ClientConnection) -> None:
    """Standard input, to its end."""
    with suppress(ConnectionClosed):
        while data := await call.terminal.stdin.read(READ_BYTES):
            await socket.send(bytes([STDIN]) + data)
        await socket.send(json.dumps({"eof": True}))


async def resized(call: Call, socket: ClientConnection) -> None:
    with suppress(ConnectionClosed):
        while True:
            await call.terminal.resized.wait()
            call.terminal.resized.clear()
            await socket.send(json.dumps({"resize": call.terminal.size}))


async def shown(call: Call, socket: ClientConnection) -> int:
    """What the command writes, until it ends."""
    async for message in socket:
        if isinstance(message, bytes):
            sink = call.terminal.stderr if message[:1] == bytes([STDERR]) else call.terminal.stdout
            await sink.write(message[1:])
        else:
            return verdict(json.loads(message))
    raise Unavailable("the connection ended before the command did", "Run it again.")


def verdict(last: dict[str, Any]) -> int:
    if "error" in last:
        raise problem(last["error"])
    return int(last["exit"])
