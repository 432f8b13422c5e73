"""A runtime without an engine: instances are records. For tests of everything above, and a model of the contract.

How an instance behaves is said by `MISBEHAVE` in its environment: `crash` (exits with code 1 at once), `oom`, `deaf`
(listens on no port), `elsewhere` (listens on 127.0.0.1:5000), `mute` (accepts, never answers), `flood` (writes 20 000
lines at once) or an HTTP status. Every body is `well`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import time
from collections.abc import AsyncGenerator, Mapping
from ipaddress import IPv4Address
from threading import Event, RLock

from core.errors import Unavailable
from core.states import InstanceState
from runtime.base import Answer, Check, Instance, LogLine, OneOff, ProcessSpec, Session
from runtime.budget import PACE, Budget, Pace
from runtime.networks import free
from runtime.shell import MemorySession

OOM = 137
FLOOD = 20_000
"""Lines."""


@dataclasses.dataclass
class Record:
    """One instance and what it does."""

    instance: Instance
    env: Mapping[str, str]
    lines: list[LogLine] = dataclasses.field(default_factory=list)
    end: Instance | None = None
    """As it was when it ended the last time."""

    @property
    def misbehaves(self) -> str:
        return self.env.get("MISBEHAVE", "")


class MemoryRuntime:
    """Implements `runtime.base.Runtime`; safe to call from several threads."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.ran: list[OneOff] = []
        """The one-offs that were started, the oldest first."""
        self.lock = RLock()
        self.counter = itertools.count(1)
        self.changes: list[str] = []
        """The app id of every change, the oldest first."""

    def apply(self, spec: ProcessSpec) -> list[Instance]:
        with self.lock:
            here = {record.instance.number: record.instance for record in self.records.values() if of(record, spec)}
            here = {number: one for number, one in here.items() if number <= spec.count}
            missing = [number for number in range(1, spec.count + 1) if number not in here]
            addresses = free(spec.subnet, self.taken(spec.app), len(missing))
            for number, address in zip(missing, addresses, strict=True):
                here[number] = self.start(spec, number, address)
            return [self.revived(here[number]) for number in sorted(here)]

    def instances(self, app: str | None = None) -> list[Instance]:
        with self.lock:
            return [record.instance for record in self.records.values() if app in (None, record.instance.app)]

    def look(self, instance: Instance) -> Instance:
        with self.lock:
            record = self.records.get(instance.id)
            if record is None:
                return dataclasses.replace(instance, state=InstanceState.GONE)
            now, end = record.instance, record.end
            if end is not None and now.restarts > instance.restarts and now.exit_code is None:
                return dataclasses.replace(now, exit_code=end.exit_code, oom=end.oom)
            return now

    def remove(
        self,
        app: str,
        process: str | None = None,
        release: int | None = None,
        ids: frozenset[str] | None = None,
        grace: int | None = None,
        keep: bool = False,
    ) -> None:
        with self.lock:
            for instance in self.instances(app):
                wanted = process in (None, instance.process) and release in (None, instance.release)
                if wanted and (ids is None or instance.id in ids):
                    self.crash(instance.id, 0) if keep else self.drop(instance)

    def run(self, one_off: OneOff) -> Session:
        if one_off.instance and one_off.instance not in self.records:
            raise Unavailable("the instance is gone")
        return MemorySession(one_off, self.ran)

    def write(self, instance: str, text: str) -> None:
        """Let an instance write a line."""
        with self.lock:
            record = self.records[instance]
            record.lines.append(LogLine(time.time(), record.instance.name, text, record.instance.release))

    def crash(self, instance: str, code: int = 1) -> None:
        """Let an instance exit; like an engine's, it counts as restarted from then on."""
        with self.lock:
            record = self.records[instance]
            restarts = record.instance.restarts + 1
            record.end = record.instance = dataclasses.replace(
                record.instance, state=InstanceState.CRASHED, exit_code=code, oom=code == OOM, restarts=restarts
            )
            self.changes.append(record.instance.app)

    def taken(self, app: str) -> set[IPv4Address]:
        return {instance.address for instance in self.instances(app) if instance.address}

    def start(self, spec: ProcessSpec, number: int, address: IPv4Address) -> Instance:
        instance = Instance(
            id=f"memory-{next(self.counter)}",
            app=spec.app,
            process=spec.process,
            release=spec.release,
            number=number,
            generation=spec.generation,
            address=address,
            port=spec.port,
            state=InstanceState.UP,
            started_at=time.time(),
            memory=spec.limits.memory,
        )
        record = self.records[instance.id] = Record(instance, spec.env)
        self.changes.append(spec.app)
        for number in range(FLOOD if record.misbehaves == "flood" else 0):
            self.write(instance.id, f"line {number}")
        if record.misbehaves in ("crash", "oom"):
            self.write(instance.id, f"told to {record.misbehaves}")
            self.crash(instance.id, 1 if record.misbehaves == "crash" else OOM)
        return record.instance

    def revived(self, instance: Instance) -> Instance:
        """Started again when it had exited by itself; what misbehaves exits again."""
        record = self.records[instance.id]
        if instance.state is InstanceState.CRASHED and not record.misbehaves:
            record.instance = dataclasses.replace(
                instance, state=InstanceState.UP, exit_code=None, oom=False, started_at=time.time()
            )
            self.changes.append(instance.app)
        return record.instance

    def drop(self, instance: Instance) -> None:
        del self.records[instance.id]
        self.changes.append(instance.app)


class MemoryObserver:
    """Implements `runtime.base.Observer` over a MemoryRuntime."""

    STEP = 0.005
    """Seconds between two looks at the records."""

    def __init__(self, runtime: MemoryRuntime, pace: Pace = PACE) -> None:
        self.runtime = runtime
        self.pace = pace

    async def logs(self, instance: str, since: float) -> AsyncGenerator[LogLine, None]:
        read, budget = 0, Budget(self.pace)
        while record := self.runtime.records.get(instance):
            new, read = record.lines[read:], len(record.lines)
            for line in new:
                if not budget.take(line.at, len(line.text)):
                    yield budget.refusal(record.instance.name, record.instance.release)
                    await asyncio.sleep(self.pace.burst)
                    read, budget = len(record.lines), Budget(self.pace)
                    break
                if line.at > since:
                    yield line
            await asyncio.sleep(self.STEP)

    def events(self) -> AsyncGenerator[str, None]:
        return self.changes(len(self.runtime.changes))

    async def changes(self, read: int) -> AsyncGenerator[str, None]:
        while True:
            new, read = self.runtime.changes[read:], len(self.runtime.changes)
            for app in new:
                yield app
            await asyncio.sleep(self.STEP)

    def tail(self, instance: str, lines: int) -> list[str]:
        record = self.runtime.records.get(instance)
        return [line.text for line in record.lines[-lines:]] if record else []

    def listening(self, instance: str) -> list[str]:
        record = self.runtime.records.get(instance)
        if not record or record.instance.state is not InstanceState.UP or record.misbehaves == "deaf":
            return []
        if record.misbehaves == "elsewhere":
            return ["127.0.0.1:5000"]
        return [f"0.0.0.0:{record.instance.port}"] if record.instance.port else []

    def probe(
        self, instance: Instance, host: str, check: Check, timeout: float, cancelled: Event | None = None
    ) -> Answer | None:
        record = self.runtime.records.get(instance.id)
        if not record or f"0.0.0.0:{check.port or instance.port}" not in self.listening(instance.id):
            return None
        if record.misbehaves == "mute":
            raise TimeoutError
        status = int(record.misbehaves) if record.misbehaves.isdigit() else 200
        return Answer(status, b"well" if check.content else b"")


def of(record: Record, spec: ProcessSpec) -> bool:
    """Whether a record is of this app, process, release and generation."""
    key = ("app", "process", "release", "generation")
    return all(getattr(record.instance, name) == getattr(spec, name) for name in key)
