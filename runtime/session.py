"""A one-off command on a Docker engine, bridged on the event loop: no thread waits for it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any

from core.errors import DeployFailed, Unavailable
from runtime.base import KILLED, OneOff
from runtime.engine import CHUNK, Engine, Refused, hang_up
from runtime.frames import Frames

END_TIMEOUT = 10.0
"""Seconds the engine may take to note the end of a command whose output has ended."""


class EngineSession:
    """What both kinds share: bytes in and out of a hijacked connection. Subclasses `open`, `finish` and `kill`."""

    def __init__(self, engine: Engine, wanted: OneOff) -> None:
        self.engine = engine
        self.wanted = wanted
        self.size = wanted.size
        self.started = asyncio.Event()
        self.exhausted = False
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def output(self) -> AsyncGenerator[tuple[int, bytes], None]:
        try:
            await self.open()
            if self.wanted.tty:
                await self.resize(*self.size)
        finally:
            self.started.set()
        assert self.reader
        cutter = Frames()
        while data := await received(self.reader):
            # A terminal has one output only, which comes as it is.
            for chunk in [(1, data)] if self.wanted.tty else cutter.feed(data):
                yield chunk
        self.exhausted = True

    async def write(self, data: bytes) -> None:
        await self.started.wait()
        # What a command that has ended does not read is nobody's error.
        with suppress(ConnectionError):
            if self.writer:
                self.writer.write(data)
                await self.writer.drain()

    async def eof(self) -> None:
        await self.started.wait()
        with suppress(OSError):
            if self.writer:
                self.writer.write_eof()

    async def resize(self, columns: int, rows: int) -> None:
        self.size = (columns, rows)
        # Refused before it has started, when `output` sends the size itself, and after its end.
        with suppress(Refused):
            await self.send_size(columns, rows)

    async def close(self) -> int:
        try:
            if not self.exhausted:
                await self.kill()
            return await self.finish()
        finally:
            if self.writer:
                await hang_up(self.writer)

    async def open(self) -> None:
        """Start the command, with `reader` and `writer` set as soon as there is a connection to close."""
        raise NotImplementedError

    async def send_size(self, columns: int, rows: int) -> None:
        raise NotImplementedError

    async def kill(self) -> None:
        raise NotImplementedError

    async def finish(self) -> int:
        raise NotImplementedError


class ContainerSession(EngineSession):
    """A command in a container of its own, which removes itself at the end."""

    def __init__(self, engine: Engine, wanted: OneOff, prepare: Callable[[], dict[str, Any]]) -> None:
        super().__init__(engine, wanted)
        self.prepare = prepare
        self.container = ""
        self.end: asyncio.Task[Any] | None = None

    async def open(self) -> None:
        body = await asyncio.to_thread(self.prepare)
        creating = asyncio.ensure_future(self.engine.acall("POST", "/containers/create", body))
        try:
            self.container = (await asyncio.shield(creating))["Id"]
        except asyncio.CancelledError:  # told to end while the engine makes it: it is there to be removed all the same
            self.container = (await creating)["Id"]
            raise
        path = f"/containers/{self.container}"
        # Asked for before the start: the container is removed at its end, and its exit code with it.
        self.end = asyncio.create_task(self.engine.acall("POST", f"{path}/wait", condition="removed"))
        attach = f"{path}/attach?stream=1&stdin=1&stdout=1&stderr=1"
        self.reader, self.writer = await self.engine.hijack(attach)
        try:
            await self.engine.acall("POST", f"{path}/start")
        except Refused as error:
            raise DeployFailed("the command cannot be started", evidence=error.reason) from error

    async def send_size(self, columns: int, rows: int) -> None:
        if self.container:
            await self.engine.acall("POST", f"/containers/{self.container}/resize", w=columns, h=rows)

    async def kill(self) -> None:
        if self.container:
            with suppress(Refused):
                await self.engine.acall("DELETE", f"/containers/{self.container}", force=1, v=1)

    async def finish(self) -> int:
        if self.end is None:
            return KILLED
        return int((await self.end)["StatusCode"])


class ExecSession(EngineSession):
    """A command inside a running instance."""

    def __init__(self, engine: Engine, wanted: OneOff) -> None:
        super().__init__(engine, wanted)
        self.exec = ""

    async def open(self) -> None:
        body = {
            "Cmd": list(self.wanted.command),
            "Env": [f"{key}={value}" for key, value in self.wanted.env.items()],
            "Tty": self.wanted.tty,
            **{f"Attach{name}": True for name in ("Stdin", "Stdout", "Stderr")},
        }
        self.exec = (await self.engine.acall("POST", f"/containers/{self.wanted.instance}/exec", body))["Id"]
        begin = {"Detach": False, "Tty": self.wanted.tty}
        self.reader, self.writer = await self.engine.hijack(f"/exec/{self.exec}/start", begin)

    async def send_size(self, columns: int, rows: int) -> None:
        if self.exec:
            await self.engine.acall("POST", f"/exec/{self.exec}/resize", w=columns, h=rows)

    async def kill(self) -> None:
        # The engine has no call for it; the command leads a session of its own on this machine.
        seen = await self.seen()
        if seen and seen["Running"] and seen["Pid"]:
            with suppress(ProcessLookupError):
                os.killpg(seen["Pid"], signal.SIGKILL)

    async def finish(self) -> int:
        try:
            async with asyncio.timeout(END_TIMEOUT):
                while (seen := await self.seen()) and seen["Running"]:
                    await asyncio.sleep(0.01)
        except TimeoutError as error:
            raise Unavailable("the command has closed its output but does not end") from error
        return int(seen["ExitCode"]) if seen and seen["ExitCode"] is not None else KILLED

    async def seen(self) -> dict[str, Any] | None:
        """What the engine knows of the command; None before its start and after its container is gone."""
        if not self.exec:
            return None
        try:
            answer: dict[str, Any] = await self.engine.acall("GET", f"/exec/{self.exec}/json")
        except Refused:
            return None
        return answer


async def received(reader: asyncio.StreamReader) -> bytes:
    """What has arrived; nothing once the other side is done."""
    try:
        return await reader.read(CHUNK)
    except ConnectionError:
        return b""
