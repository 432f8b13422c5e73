"""What can be seen of instances on a Docker engine."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from threading import Event
from typing import Any

from core.errors import Unavailable
from core.text import clean
from runtime import marks
from runtime.base import Answer, Check, Instance, LogLine
from runtime.budget import PACE, Budget, Pace
from runtime.engine import CHUNK, Engine, Refused, filters
from runtime.frames import Frames, Lines, Log
from runtime.marks import Marks
from runtime.probe import get

Source = tuple[str, int]
"""What an instance is called in logs: `web.1`, and its release."""
CHANGES = ["start", "die", "stop", "destroy", "oom"]
LISTENING = "0A"
"""The state TCP_LISTEN in /proc/net/tcp."""
EMBEDDED_DNS = IPv4Address("127.0.0.11")
TAIL_WIDTH = 1000
"""Characters kept of a line shown as evidence."""


class DockerObserver:
    """Implements `runtime.base.Observer`."""

    def __init__(self, docker_host: str, installation: str, pace: Pace = PACE) -> None:
        self.engine = Engine(docker_host)
        self.pace = pace
        self.marks = Marks(installation)

    async def logs(self, instance: str, since: float) -> AsyncGenerator[LogLine, None]:
        last: float | None = since
        budget = Budget(self.pace)
        while source := await self.source(instance):
            before = time.time()
            async with aclosing(self.follow(instance, source, last, budget)) as lines:
                async for line in lines:
                    last = line.at
                    yield line
            if budget.left < 0:
                yield budget.refusal(*source)
                await asyncio.sleep(self.pace.burst)
                last, budget = None, Budget(self.pace)
                continue
            # The engine ends the stream with the process; a restart continues the same log.
            last = before if last is None else last
            if not await self.started_again(instance, before):
                return

    def events(self) -> AsyncGenerator[str, None]:
        # The engine replays what happens between this call and the first read.
        return self.changes(time.time())

    async def changes(self, since: float) -> AsyncGenerator[str, None]:
        wanted = filters(type=["container"], event=CHANGES, label=self.marks.matching())
        async with aclosing(self.happened(since, wanted)) as events:
            async for event in events:
                attributes = event["Actor"]["Attributes"]
                if marks.ONEOFF not in attributes:
                    yield attributes[marks.APP]

    async def happened(self, since: float, wanted: str) -> AsyncGenerator[dict[str, Any], None]:
        """The engine's events since then; ends in Unavailable when it goes away."""
        lines = Lines()
        async with self.engine.stream("/events", since=f"{since:.9f}", filters=wanted) as reader:
            while data := await reader.read(CHUNK):
                for line in lines.feed(data):
                    yield json.loads(line)
        raise Unavailable("the Docker engine went away")

    def tail(self, instance: str, lines: int) -> list[str]:
        try:
            raw = self.engine.read(f"/containers/{instance}/logs", stdout=1, stderr=1, tail=lines)
        except Refused as error:
            if error.answered == 404:
                return []
            raise
        text = b"".join(data for _, data in Frames().feed(raw)).decode(errors="replace")
        return [clean(line)[:TAIL_WIDTH] for line in text.splitlines()][-lines:]

    def listening(self, instance: str) -> list[str]:
        try:
            pid = self.engine.call("GET", f"/containers/{instance}/json")["State"]["Pid"]
        except Refused as error:
            if error.answered == 404:
                return []
            raise
        return listeners(Path(f"/proc/{pid}/net")) if pid else []

    def probe(
        self, instance: Instance, host: str, check: Check, timeout: float, cancelled: Event | None = None
    ) -> Answer | None:
        return get(str(instance.address), check.port or instance.port or 80, host, check, timeout, cancelled)

    async def source(self, instance: str) -> Source | None:
        """Its name and release; None when the instance is gone."""
        try:
            labels = (await self.engine.acall("GET", f"/containers/{instance}/json"))["Config"]["Labels"]
        except Refused as error:
            if error.answered == 404:
                return None
            raise
        return f"{labels[marks.PROCESS]}.{labels[marks.NUMBER]}", int(labels[marks.RELEASE])

    async def follow(
        self, instance: str, source: Source, since: float | None, budget: Budget
    ) -> AsyncGenerator[LogLine, None]:
        """Lines after `since` (None: from now on) until the process ends or the budget is used up."""
        name, release = source
        # With a time the engine reads the whole log to find its place; without lines of the past it just goes on.
        begin: dict[str, str | int] = {"tail": 0} if since is None else {"since": f"{since:.9f}"}
        streams = {"follow": 1, "stdout": 1, "stderr": 1, "timestamps": 1}
        log = Log()
        async with self.engine.stream(f"/containers/{instance}/logs", **begin, **streams) as reader:
            while data := await reader.read(CHUNK):
                for piece in log.feed(data):
                    if not budget.take(piece.at, piece.size):
                        return
                    for text in piece.lines:
                        if since is None or piece.at > since:
                            yield LogLine(piece.at, name, text, release)
        for text in log.rest():
            yield LogLine(log.at, name, text, release)

    async def started_again(self, instance: str, since: float) -> bool:
        """Wait for what comes first after `since`: the instance starts again, or it is gone."""
        wanted = filters(container=[instance], event=["start", "destroy"], type=["container"])
        if not await self.source(instance):
            return False
        async with aclosing(self.happened(since, wanted)) as events:
            return bool((await anext(events))["Action"] == "start")


def listeners(folder: Path) -> list[str]:
    """`address:port` of the TCP sockets that listen in the network namespace `folder` (a /proc/PID/net) shows."""
    found = []
    for table in ("tcp", "tcp6"):
        try:
            rows = (folder / table).read_text().splitlines()[1:]
        except OSError:
            continue
        found += [row.split()[1] for row in rows if row.split()[3] == LISTENING]
    return sorted({socket for raw in found if (socket := readable(raw))})


def readable(raw: str) -> str:
    """`0100007F:1388` as `127.0.0.1:5000`; empty for the engine's own name server."""
    digits, _, port = raw.partition(":")
    # Each 32-bit word is printed in this machine's byte order, which is little-endian wherever Docker runs.
    words = [bytes.fromhex(digits[i : i + 8])[::-1] for i in range(0, len(digits), 8)]
    packed = b"".join(words)
    if len(packed) == 16:
        return f"[{IPv6Address(packed)}]:{int(port, 16)}"
    address = IPv4Address(packed)
    return "" if address == EMBEDDED_DNS else f"{address}:{int(port, 16)}"
