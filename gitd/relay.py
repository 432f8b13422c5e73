"""The socket the hooks talk to: what a push may, and what becomes of it, line by line."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog

from control import events, push
from control.context import Context
from control.values import Push, Ref
from core.errors import Denied, PlatformError, Unavailable
from core.text import clean
from hooks import wire

log = structlog.get_logger()
R = TypeVar("R")

LONGEST_REQUEST = 16 << 20
"""About 100 000 refs in one push."""
LONGEST_PATH = 107
"""What the kernel takes for a socket's path."""
BROKEN = "something went wrong on the server; its log says what"


@dataclass
class Standing:
    """A push in progress."""

    push: Push
    declined: str = ""
    """Why the whole push was refused."""


class Relay:
    def __init__(self, ctx: Context, pool: ThreadPoolExecutor) -> None:
        self.path = ctx.settings.home / "run" / f"hooks-{ctx.server}.sock"
        self._ctx = ctx
        self._pool = pool
        self._standing: dict[str, Standing] = {}
        self._server: asyncio.Server | None = None

    async def open(self, owner: tuple[int, int]) -> None:
        """Listen; only `owner` (user and group id) and root may connect."""
        if len(os.fsencode(self.path)) > LONGEST_PATH:
            raise Unavailable(f"{self.path} is too long a path for a socket", "Choose a shorter PAAS_HOME.")
        self.path.parent.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            self.path.unlink()
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._answer, self.path, limit=LONGEST_REQUEST)
        finally:
            os.umask(before)
        if owner != (os.geteuid(), os.getegid()):
            os.chown(self.path, *owner)

    async def close(self) -> None:
        if self._server:
            self._server.close()
            with suppress(FileNotFoundError):
                self.path.unlink()

    def enter(self, entry: Push) -> Standing:
        """Let the hooks of this push talk."""
        standing = self._standing[entry.id] = Standing(entry)
        return standing

    def leave(self, entry: Push) -> None:
        self._standing.pop(entry.id, None)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            code = await self._converse(reader, writer)
            writer.write(wire.verdict(code))
            await writer.drain()
        except OSError:  # the hook is gone, its session was cut; what it was told about goes on
            pass
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        """The hook's exit code."""
        standing = None
        try:
            request = json.loads(await reader.readline())
            standing = self._standing[request["push"]]
            await self._serve(standing, request, writer)
        except PlatformError as error:
            if standing:
                standing.declined = error.message
            await say(writer, *(f" !     {line}" for line in error.lines()))
            return 1
        except OSError:
            raise
        except Exception:
            log.exception("hook.failed")
            await say(writer, f" !     {BROKEN}")
            return 1
        return 0

    async def _serve(self, standing: Standing, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        refs = [Ref(*line) for line in request["refs"]]
        if request["phase"] == "pre-receive":
            await self._judge(standing.push, refs, request["objects"], request["options"], writer)
            return
        job = await self._call(push.announce, standing.push, refs)
        if job is not None and push.DETACH in request["options"]:
            attach = f"ssh paas builds:attach {job.app} {job.build}"
            await say(writer, f"-----> Queued as build {job.build} of {job.app}", f"       Its log: {attach}")
        elif job is not None:
            async for line in events.follow(self._ctx, job.id):
                await say(writer, line)

    async def _judge(
        self, entry: Push, refs: list[Ref], objects: dict[str, str], options: list[str], writer: asyncio.StreamWriter
    ) -> None:
        await self._call(push.policy, entry, refs, objects, options)
        if push.PLAN in options:
            await say(writer, *await self._call(push.rehearse, entry, objects))
            raise Denied("this was only the plan", "Push without -o plan to do it.")

    async def _call(self, verb: Callable[..., R], *arguments: object) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(verb, self._ctx, *arguments))


async def say(writer: asyncio.StreamWriter, *lines: str) -> None:
    """Send lines to print, without control characters."""
    writer.writelines(wire.say(clean(line)) for line in lines)
    await writer.drain()
