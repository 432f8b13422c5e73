"""The one thing every verb is given first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from builder.base import ImageStore
from control.journal import Journal
from control.taps import Taps
from control.turns import Turns
from control.values import Job, Ref
from core.config import Settings
from core.failpoints import FailPoints
from core.sealing import unseal
from models import App, Database
from router.base import Proxy
from runtime.base import Observer, Runtime


@dataclass
class Standing:
    """What has been found out about a push so far; forgotten when its session ends."""

    app: str
    """The app's id."""
    new: bool
    """Whether it is the app's first: the App row comes with the first ref accepted."""
    refs: list[Ref] = field(default_factory=list)
    branch: str | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    job: Job | None = None


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
    fail: FailPoints = field(default_factory=FailPoints)

    def data_key(self, app: App) -> bytes:
        """The key this app's secrets are sealed with."""
        return unseal(self.master_key, app.data_key, app.id, "data-key")

    def repository(self, app_id: str) -> Path:
        """The app's bare repository: named by id, so a rename moves nothing."""
        return self.settings.home / "repos" / f"{app_id}.git"
