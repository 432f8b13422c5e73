"""A command line, from its words to its exit code: over SSH (`run`) and as the local program (`main`)."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

from cli import commands, settings
from cli.call import Call, Machine
from cli.client import Client
from cli.commands.help import explain
from cli.follow import INTERRUPTED
from cli.machine import OwnMachine
from cli.parse import asks_help, parse
from cli.registry import Command, find
from cli.stdio import StdioTerminal
from cli.terminal import Terminal
from core.errors import Denied, PlatformError

__all__ = ["commands", "main", "run"]


async def run(argv: list[str], terminal: Terminal, client: Client, machine: Machine | None = None) -> int:
    """Do what `argv` says on `terminal`; the exit code. Errors are told on stderr and never raised.

    `machine` is the user's own; without it commands that need one are refused.
    """
    call = Call(terminal, client, machine)
    with suppress(OSError):  # nobody reads any more
        try:
            return await until_cancelled(call, argv)
        except PlatformError as error:
            await call.error(error.lines())
            return error.exit_code
    return INTERRUPTED


async def until_cancelled(call: Call, argv: list[str]) -> int:
    """Run the command until it ends or the person has gone; it may still say a last word then."""
    working = asyncio.create_task(perform(call, argv))
    leaving = asyncio.create_task(call.terminal.cancelled.wait())
    try:
        await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        working.cancel()
        with suppress(asyncio.CancelledError):
            return await working
        return INTERRUPTED
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def perform(call: Call, argv: list[str]) -> int:
    if not argv or asks_for_list(argv):
        argv = ["help", *argv[1:]]
    command, words = find(argv)
    if asks_help(command, words):
        await explain(call, command)
        return 0
    refuse_local(call, command)
    call.args = parse(command, words)
    return await command.body(call) or 0


def asks_for_list(argv: list[str]) -> bool:
    return argv[0] in ("-h", "--help")


def refuse_local(call: Call, command: Command) -> None:
    if command.local and call.machine is None:
        raise Denied(
            f"`{command.name}` works on your own machine, not over SSH", "Install the `paas` command there first."
        )


async def local(argv: list[str], config: Path | None = None) -> int:
    """Do what `argv` says here, with the server and token of the config file."""
    machine = OwnMachine(config) if config else OwnMachine()
    terminal = StdioTerminal()
    try:
        login = settings.load(machine.config)
    except PlatformError as error:
        await Call(terminal, Client("", ""), machine).error(error.lines())
        login = None
    async with Client(login.url if login else "", login.token if login else "") as client:
        return await run(argv, terminal, client, machine)


def main() -> None:
    """The `paas` program."""
    sys.exit(asyncio.run(local(sys.argv[1:])))


if __name__ == "__main__":
    main()
