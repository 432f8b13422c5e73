"""What all connections of the SSH door share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from control.context import Context
from control.values import User
from gitd.relay import Relay
from gitd.terminal import Terminal

P = ParamSpec("P")
R = TypeVar("R")

RunCommand = Callable[[list[str], Terminal, User], Awaitable[int]]
"""Runs a terminal command (its words, without a program's name) and returns its exit code."""


@dataclass(frozen=True)
class Door:
    ctx: Context
    run_command: RunCommand
    relay: Relay
    hooks: Path
    """`core.hooksPath` of every repository."""
    pool: ThreadPoolExecutor
    sessions: Counter[str] = field(default_factory=Counter)
    """Open sessions by key fingerprint."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    """Sessions in progress."""

    async def call(self, verb: Callable[Concatenate[Context, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """A verb of `control`, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, partial(verb, self.ctx, *args, **kwargs))

    def start(self, work: Awaitable[None]) -> None:
        """Run a session beside everything else."""
        keep(self.tasks, work)


def keep(tasks: set[asyncio.Task[None]], work: Awaitable[None]) -> None:
    """Start `work`, in `tasks` until it ends."""
    task = asyncio.ensure_future(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
