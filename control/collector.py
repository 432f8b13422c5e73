"""Follows what every instance writes, into its app's store and to those who watch."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

import structlog

from control import logs
from control.context import Context
from core.errors import PlatformError
from runtime.base import Instance, LogLine

log = structlog.get_logger()

BACKLOG = 50_000
"""Lines waiting to be written before more of the same app are dropped."""


class Collector:
    """Lives in the event loop: a task for each instance, and one that writes in batches."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.seen: dict[str, float] = {}
        """When each instance wrote the last line we took."""
        self.pending: defaultdict[str, list[LogLine]] = defaultdict(list)
        self.dropped: defaultdict[str, int] = defaultdict(int)
        self.dirty = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled; comes back when the engine does."""
        writer = asyncio.create_task(self.write())
        try:
            while True:
                with suppress(PlatformError):
                    await self.watch()
                await asyncio.sleep(1)  # the engine is away: nothing tells when it is back
        finally:
            for task in (writer, *self.tasks.values()):
                task.cancel()

    async def watch(self) -> None:
        """Follow new instances as the engine tells of them, and wake reconcile at each change."""
        events = self.ctx.observer.events()
        present = await asyncio.to_thread(self.ctx.runtime.instances)
        self.seen = {one.id: self.seen[one.id] for one in present if one.id in self.seen}
        for one in present:
            if one.id not in self.seen:  # followed by an earlier server, as far as the store goes
                store = logs.store(self.ctx, one.app)
                self.seen[one.id] = await asyncio.to_thread(store.last, one.name)
        self.take(present)
        self.ctx.turns.drifted.set()
        async for app_id in events:
            if app_id not in self.ctx.turns.working:
                self.ctx.turns.drifted.set()
            self.take(await asyncio.to_thread(self.ctx.runtime.instances, app_id))

    def take(self, instances: Sequence[Instance]) -> None:
        """Follow those that are not followed yet."""
        self.tasks = {key: task for key, task in self.tasks.items() if not task.done()}
        for instance in instances:
            if instance.id not in self.tasks:
                self.tasks[instance.id] = asyncio.create_task(self.collect(instance))

    async def collect(self, instance: Instance) -> None:
        """Take one instance's lines from where the store ends."""
        try:
            async for line in self.ctx.observer.logs(instance.id, self.seen.get(instance.id, 0.0)):
                self.seen[instance.id] = line.at
                if len(self.pending[instance.app]) < BACKLOG:
                    self.pending[instance.app].append(line)
                else:
                    self.dropped[instance.app] += 1
                self.dirty.set()
        except PlatformError as error:
            log.info("logs.ended", instance=instance.id, cause=str(error))

    async def write(self) -> None:
        """Write what has gathered while the batch before was being written."""
        while True:
            await self.dirty.wait()
            self.dirty.clear()
            batches, self.pending = self.pending, defaultdict(list)
            for app_id, lines in batches.items():
                if lost := self.dropped.pop(app_id, 0):
                    lines.append(LogLine(lines[-1].at, "paas", f"{lost} lines dropped: written faster than stored"))
                try:
                    await asyncio.to_thread(logs.store(self.ctx, app_id).append, lines)
                except OSError as error:  # a full disk loses log lines, nothing else
                    log.warning("logs.lost", app=app_id, lines=len(lines), error=str(error))
                self.ctx.taps.send(app_id, lines)
