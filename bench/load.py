"""A steady load of HTTP requests: half on kept connections, half on new ones; every answer is judged and timed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlsplit

PATIENCE = 30.0
"""Seconds a request may take."""
BETWEEN = 0.001
"""Seconds between looks at the clock when nothing is due."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Report:
    sent: int
    failures: dict[str, int]
    """What went wrong, how often."""
    latencies: tuple[float, ...]
    """Milliseconds of every answered request, sorted."""

    @property
    def failed(self) -> int:
        return sum(self.failures.values())

    def percentile(self, share: float) -> float:
        """Milliseconds within which `share` (0 to 1) of the requests were answered; 0 without any."""
        if not self.latencies:
            return 0.0
        return self.latencies[min(len(self.latencies) - 1, int(share * len(self.latencies)))]

    def line(self) -> str:
        times = ", ".join(
            f"{name} {value:.1f} ms"
            for name, value in (
                ("p50", self.percentile(0.5)),
                ("p99", self.percentile(0.99)),
                ("max", self.percentile(1)),
            )
        )
        return f"{self.failed} failed of {self.sent} requests; {times}"


class Load:
    """`rate` GET requests a second for `url` with the Host header `host`, from `start()` to `stop()`, in a thread."""

    def __init__(self, url: str, host: str, rate: float = 100) -> None:
        parts = urlsplit(url)
        self._place = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._head = f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: load\r\n"
        self._rate = rate
        self._kept: list[Connection] = []
        self._sent = 0
        self._failures: Counter[str] = Counter()
        self._latencies: list[float] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> Report:
        """End, wait for what is in progress, and report."""
        self._ending.set()
        self._thread.join()
        return Report(self._sent, dict(self._failures), tuple(sorted(self._latencies)))

    @property
    def sent(self) -> int:
        """Requests begun so far."""
        return self._sent

    async def _run(self) -> None:
        """Send on a fixed schedule, whether earlier requests are answered or not."""
        began = time.monotonic()
        running: set[asyncio.Task[None]] = set()
        while not self._ending.is_set():
            if self._sent >= (time.monotonic() - began) * self._rate:
                await asyncio.sleep(BETWEEN)
                continue
            self._sent += 1
            task = asyncio.create_task(self._one(keep=self._sent % 2 == 0))
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)
        for _, writer in self._kept:
            writer.close()

    async def _one(self, keep: bool) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                status = await self._request(keep)
        except (OSError, EOFError, ValueError) as error:  # TimeoutError is an OSError
            self._failures[type(error).__name__] += 1
            return
        self._latencies.append((time.monotonic() - began) * 1000)
        if status != 200:
            self._failures[f"status {status}"] += 1

    async def _request(self, keep: bool) -> int:
        connection = (self._idle() if keep else None) or await asyncio.open_connection(*self._place)
        reader, writer = connection
        kept = False
        try:
            writer.write((self._head + ("\r\n" if keep else "Connection: close\r\n\r\n")).encode())
            status, more = await answer(reader)
            kept = keep and more
        finally:
            if kept:
                self._kept.append(connection)
            else:
                writer.close()
        return status

    def _idle(self) -> Connection | None:
        """A kept connection that the other side has not closed for idleness."""
        while self._kept:
            connection = self._kept.pop()
            if not connection[0].at_eof():
                return connection
            connection[1].close()
        return None


async def answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Read one response to its end: the status, and whether the connection can be used again."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    lines = [line.partition(":") for line in head.split("\r\n")[1:]]
    fields = {name: value.strip() for name, _, value in lines}
    keep = fields.get("connection") != "close"
    if fields.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    elif "content-length" in fields:
        await reader.readexactly(int(fields["content-length"]))
    else:
        await reader.read()
        keep = False
    return int(head.split(" ", 2)[1]), keep
