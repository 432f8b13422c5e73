"""The one thing every verb is given first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from builder.base import ImageStore
from control.journal import Journal
from control.lease import Lease
from control.taps import Taps
from control.turns import Turns
from control.values import Job, Ref
from core.config import Settings
from core.failpoints import INERT, FailPoints
from core.sealing import unseal
from models import App, Database
from router.base import Proxy
from runtime.base import Observer, Runtime

Result = TypeVar("Result")


@dataclass
class Standing:
    """What has been found out about a push so far; forgotten when its session ends."""

    app: str
    """The app's id."""
    new: bool
    """Whether it is the app's first: the App row comes with the first ref accepted."""
    refs: list[Ref] = field(default_factory=list)
    branch: str | None = None
    options: tuple[str, ...] = ()
    """What was given with `git push -o`."""
    reasons: dict[str, str] = field(default_factory=dict)
    job: Job | None = None
    guard: threading.Lock = field(default_factory=threading.Lock)
    """Held while the push is queued: by its hook, or by the end of its session."""


@dataclass(frozen=True)
class Context:
    settings: Settings
    db: Database
    images: ImageStore
    runtime: Runtime
    observer: Observer
    proxy: Proxy
    master_key: bytes
    base: str
    """What every image stands on: digests of the stack, version of the builder."""
    journal: Journal
    turns: Turns = field(default_factory=Turns)
    taps: Taps = field(default_factory=Taps)
    pushes: dict[str, Standing] = field(default_factory=dict)
    """Pushes in progress, by their id."""
    guard: Callable[[], None] = lambda: None
    """Closes the host to instances again, whoever opened it."""
    fail: FailPoints = INERT
    server: str = "server"
    """This server's name among those on the same database."""
    leases: dict[int, Lease] = field(default_factory=dict)
    """Of every job this server works on, by the job's id."""
    lease: Lease | None = None
    """Of the job that is being done in this context."""

    def at(self, point: str) -> None:
        """A named point of a job: tests break things here, and a job that was cancelled or lost ends here."""
        self.fail(point)
        self.check()

    def check(self) -> None:
        """End here when the job was cancelled or is another server's by now."""
        if self.lease is not None:
            self.lease.check()

    def fence(self) -> None:
        """End here, and put nothing in order, when the job is another server's by now."""
        if self.lease is not None:
            self.lease.fence()

    def ending(self, interrupt: Callable[[], object]) -> AbstractContextManager[None]:
        """While inside, `interrupt` is called when the job must end."""
        return self.lease.interrupted_by(interrupt) if self.lease is not None else nullcontext()

    def result(self, future: Future[Result]) -> Result:
        """What `future` gives, unless the job must end first."""
        return self.lease.result(future) if self.lease is not None else future.result()

    def data_key(self, app: App) -> bytes:
        """The key this app's secrets are sealed with."""
        return unseal(self.master_key, app.data_key, app.id, "data-key")

    @property
    def scratch(self) -> Path:
        """Where this server unpacks sources; emptied when it starts."""
        return self.settings.home / "tmp" / self.server

    def repository(self, app_id: str) -> Path:
        """The app's bare repository: named by id, so a rename moves nothing."""
        return self.settings.home / "repos" / f"{app_id}.git"
