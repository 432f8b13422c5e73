"""The commands people type over SSH, for the SSH door, which must not know the program that runs them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from api.auth import SessionTokens
from cli.client import Client
from cli.main import run
from cli.terminal import Terminal
from control.values import User

RunCommand = Callable[[list[str], Terminal, User], Awaitable[int]]

HOST = "http://localhost"
"""What requests on the socket name as their host."""


def make_run_command(api_socket: Path, sessions: SessionTokens) -> RunCommand:
    """What runs a command line as a user: a client of the API on its socket, with a token of this session alone."""

    async def run_command(argv: list[str], terminal: Terminal, user: User) -> int:
        token = sessions.mint(user)
        try:
            async with Client(HOST, token, api_socket) as client:
                return await run(argv, terminal, client)
        finally:
            sessions.revoke(token)

    return run_command
