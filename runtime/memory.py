"""A runtime without an engine: instances are records. For tests of everything above, and a model of the contract.

How an instance behaves is said by `MISBEHAVE` in its environment: `crash` (exits with code 1 at once), `oom`, `deaf`
(listens on no port), `elsewhere` (listens on 127.0.0.1:5000), `mute` (accepts, never answers) or an HTTP status.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import time
from collections.abc import AsyncGenerator, Mapping
from ipaddress import IPv4Address
from threading import RLock

from core.errors import Unavailable
from core.states import InstanceState
from runtime.base import Instance, LogLine, OneOff, ProcessSpec, Session
from runtime.networks import free
from runtime.shell import MemorySession

OOM = 137


@dataclasses.dataclass
class Record:
    """One instance and what it does."""

    instance: Instance
    env: Mapping[str, str]
    lines: list[LogLine] = dataclasses.field(default_factory=list)

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
            for number in [number for number in here if number > spec.count]:
                self.drop(here.pop(number))
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
            return record.instance if record else dataclasses.replace(instance, state=InstanceState.GONE)

    def remove(
        self,
        app: str,
        process: str | None = None,
        release: int | None = None,
        ids: frozenset[str] | None = None,
    ) -> None:
        with self.lock:
            for instance in self.instances(app):
                wanted = process in (None, instance.process) and release in (None, instance.release)
                if wanted and (ids is None or instance.id in ids):
                    self.drop(instance)

    def run(self, one_off: OneOff) -> Session:
        if one_off.instance and one_off.instance not in self.records:
            raise Unavailable("the instance is gone")
        return MemorySession(one_off, self.ran)

    def write(self, instance: str, text: str) -> None:
        """Let an instance write a line."""
        with self.lock:
            record = self.records[instance]
            record.lines.append(LogLine(time.time(), record.instance.name, text))

    def crash(self, instance: str, code: int = 1) -> None:
        """Let an instance exit."""
        with self.lock:
            record = self.records[instance]
            record.instance = dataclasses.replace(
                record.instance, state=InstanceState.CRASHED, exit_code=code, oom=code == OOM
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

    def __init__(self, runtime: MemoryRuntime) -> None:
        self.runtime = runtime

    async def logs(self, instance: str, since: float) -> AsyncGenerator[LogLine, None]:
        read = 0
        while record := self.runtime.records.get(instance):
            new, read = record.lines[read:], len(record.lines)
            for line in new:
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

    def probe(self, instance: Instance, host: str, path: str, timeout: float) -> int | None:
        record = self.runtime.records.get(instance.id)
        if not record or f"0.0.0.0:{instance.port}" not in self.listening(instance.id):
            return None
        if record.misbehaves == "mute":
            raise TimeoutError
        return int(record.misbehaves or 200)


def of(record: Record, spec: ProcessSpec) -> bool:
    """Whether a record is of this app, process, release and generation."""
    key = ("app", "process", "release", "generation")
    return all(getattr(record.instance, name) == getattr(spec, name) for name in key)
