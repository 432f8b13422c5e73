"""Follows what every instance writes, into its app's store and to those who watch."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import structlog

from control import logs
from control.context import Context
from control.taps import OVERHEAD
from core.errors import PlatformError
from core.states import InstanceState
from runtime.base import PLATFORM, Instance, LogLine

log = structlog.get_logger()

ROOM = 8 << 20
"""Characters waiting to be written before reading waits; the engine keeps what is not read."""


class Collector:
    """Lives in the event loop: a task for each instance, and one that writes in batches."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.seen: dict[str, float] = {}
        """When each instance wrote the last line we took."""
        self.known: dict[str, Instance] = {}
        """Each instance as it was when we last looked."""
        self.pending: defaultdict[str, list[LogLine]] = defaultdict(list)
        self.size = 0
        """Characters in `pending`."""
        self.dirty, self.room = asyncio.Event(), asyncio.Event()
        self.room.set()

    async def run(self) -> None:
        """Until cancelled; comes back when the engine does."""
        loop = asyncio.get_running_loop()
        self.ctx.taps.voice = partial(self.speak, loop)
        try:
            async with asyncio.TaskGroup() as parts:
                parts.create_task(self.write())
                parts.create_task(self.keep_watching())
        finally:
            for task in self.tasks.values():
                task.cancel()

    async def keep_watching(self) -> None:
        while True:
            with suppress(PlatformError):
                await self.watch()
            await asyncio.sleep(1)  # the engine is away: nothing tells when it is back

    async def watch(self) -> None:
        """Follow new instances as the engine tells of them, and wake reconcile at each change."""
        events = self.ctx.observer.events()
        present = await asyncio.to_thread(self.ctx.runtime.instances)
        self.known = {one.id: self.known.get(one.id, one) for one in present}
        await self.find_places(present)
        self.take(present)
        await self.tell_ends(present)
        self.ctx.turns.drifted.set()
        async for app_id in events:
            if app_id not in self.ctx.turns.working:
                self.ctx.turns.drifted.set()
            present = await asyncio.to_thread(self.ctx.runtime.instances, app_id)
            self.take(present)
            await self.tell_ends(present)
            here = {one.id for one in present}
            self.known = {key: one for key, one in self.known.items() if one.app != app_id or key in here}

    async def find_places(self, present: Sequence[Instance]) -> None:
        """Where to go on reading instances that an earlier server followed, as far as the stores go."""
        self.seen = {one.id: self.seen[one.id] for one in present if one.id in self.seen}
        apps: defaultdict[str, list[Instance]] = defaultdict(list)
        for one in present:
            if one.id not in self.seen:
                apps[one.app].append(one)
        for app_id, instances in apps.items():
            store = logs.store(self.ctx, app_id)
            last = await asyncio.to_thread(store.last, {(one.name, one.release) for one in instances})
            self.seen |= {one.id: last[one.name, one.release] for one in instances}

    def take(self, instances: Sequence[Instance]) -> None:
        """Follow those that are not followed yet."""
        self.tasks = {key: task for key, task in self.tasks.items() if not task.done()}
        for instance in instances:
            if instance.id not in self.tasks:
                self.tasks[instance.id] = asyncio.create_task(self.collect(instance))

    async def tell_ends(self, instances: Sequence[Instance]) -> None:
        """Tell the app which of its instances ended by themselves: the engine restarts those, and no others."""
        for now in instances:
            before = self.known.get(now.id, replace(now, restarts=0))
            if now.restarts > before.restarts:
                ended = await asyncio.to_thread(self.ctx.runtime.look, before)
                if ended.state is not InstanceState.GONE:
                    await self.keep(now.app, LogLine(time.time(), PLATFORM, obituary(ended)))
            self.known[now.id] = now

    async def collect(self, instance: Instance) -> None:
        """Take one instance's lines from where the store ends."""
        try:
            async for line in self.ctx.observer.logs(instance.id, self.seen.get(instance.id, 0.0)):
                self.seen[instance.id] = line.at
                await self.keep(instance.app, line)
        except PlatformError as error:
            log.info("logs.ended", instance=instance.id, cause=str(error))
        except Exception:
            log.exception("logs.failed", instance=instance.id)

    def speak(self, loop: asyncio.AbstractEventLoop, app_id: str, line: LogLine) -> None:
        """Hand a line of the platform's own over, from any thread."""
        loop.call_soon_threadsafe(self.hear, app_id, line)

    def hear(self, app_id: str, line: LogLine) -> None:
        """Take a line of the platform's own: few, and never waiting."""
        self.pending[app_id].append(logs.tidy(line))
        self.dirty.set()

    async def keep(self, app_id: str, line: LogLine) -> None:
        """Hand a line to the writer, once it has room."""
        await self.room.wait()
        self.pending[app_id].append(logs.tidy(line))
        self.size += len(line.text) + OVERHEAD
        if self.size > ROOM:
            self.room.clear()
        self.dirty.set()

    async def write(self) -> None:
        """Write what has gathered while the batch before was being written."""
        while True:
            await self.dirty.wait()
            batches, self.pending, self.size = self.pending, defaultdict(list), 0
            self.dirty.clear()
            self.room.set()
            for app_id, lines in batches.items():
                async with self.ctx.taps.writing:
                    await self.store(app_id, lines)
                    self.ctx.taps.send(app_id, lines)

    async def store(self, app_id: str, lines: Sequence[LogLine]) -> None:
        if not self.ctx.turns.leading.is_set():  # another server on the same state has them too, and writes
            return
        try:
            await asyncio.to_thread(logs.store(self.ctx, app_id).append, lines)
        except OSError as error:  # a full disk loses log lines, nothing else
            log.warning("logs.lost", app=app_id, lines=len(lines), error=str(error))


def obituary(ended: Instance) -> str:
    """How an instance ended, and that the engine restarts it."""
    if ended.oom:
        how = f"ran out of memory (limit {ended.memory >> 20} MB)"
    elif ended.exit_code is None:
        how = "ended"
    else:
        how = f"exited with code {ended.exit_code}"
    times = f" ({ended.restarts} times)" if ended.restarts > 1 else ""
    return f"{ended.name} (v{ended.release}) {how} and was restarted{times}"
