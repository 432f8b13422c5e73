"""WebSockets held open to an app; when one is closed, by which release it was served and when."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

BETWEEN = 0.5
"""Seconds between two words said on each socket."""
PATIENCE = 10.0


@dataclass(frozen=True)
class Closed:
    """A socket the other side ended."""

    release: str
    opened: float
    at: float


@dataclass(frozen=True)
class Held:
    """What became of all sockets."""

    opened: int
    closed: Sequence[Closed]
    failures: dict[str, int]
    """Sockets that could not be opened, or did not echo what was said."""


class Sockets:
    """`count` sockets, each opened anew when it is closed, from `start()` to `stop()`, in a thread."""

    def __init__(self, port: int, host: str, count: int) -> None:
        self._port, self._address, self._count = port, f"ws://{host}:{port}/socket", count
        self._opened = 0
        self._closed: list[Closed] = []
        self._failures: Counter[str] = Counter()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> Held:
        """Close them all and report."""
        self._ending.set()
        self._thread.join()
        return Held(self._opened, tuple(self._closed), dict(self._failures))

    async def _run(self) -> None:
        await asyncio.gather(*(self._keep() for _ in range(self._count)))

    async def _keep(self) -> None:
        while not self._ending.is_set():
            try:
                async with connect(
                    self._address, host="127.0.0.1", port=self._port, proxy=None, open_timeout=PATIENCE
                ) as socket:
                    self._opened += 1
                    await self._talk(socket)
            except (OSError, InvalidHandshake) as error:
                self._failures[f"opening: {type(error).__name__}: {error}"] += 1
                await asyncio.sleep(BETWEEN)

    async def _talk(self, socket: ClientConnection) -> None:
        """Say something now and then until one side ends it."""
        opened, release = time.monotonic(), "?"
        try:
            release = str(await asyncio.wait_for(socket.recv(), PATIENCE))
            number = 0
            while not self._ending.is_set():
                number += 1
                await socket.send(f"word {number}")
                if await asyncio.wait_for(socket.recv(), PATIENCE) != f"word {number}":
                    self._failures["another word came back"] += 1
                await asyncio.sleep(BETWEEN)
        except ConnectionClosed:
            self._closed.append(Closed(release, opened, time.monotonic()))
        except TimeoutError:
            self._failures["no word came back"] += 1
