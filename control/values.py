"""What the verbs return: frozen values, never rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class User:
    """Who acts. Every verb takes one."""

    id: str
    name: str
    admin: bool = False


@dataclass(frozen=True)
class Key:
    name: str
    fingerprint: str
    created_at: datetime


@dataclass(frozen=True)
class Token:
    name: str
    created_at: datetime
    expires_at: datetime | None = None
    secret: str = ""
    """The token itself: set once, in the answer to its creation."""


@dataclass(frozen=True)
class App:
    id: str
    name: str
    owner: str
    branch: str | None
    url: str
    release: int | None
    """Number of the current release."""
    stopped: bool
    domains: tuple[str, ...]
    created_at: datetime
    locked: str | None = None
    """Why no push is taken; None: open."""
    locked_by: str | None = None


@dataclass(frozen=True)
class Build:
    number: int
    commit: str
    state: str
    reason: str | None
    pack: str | None
    job: int | None
    """The job whose log is the build's; None when it made nothing new and was forgotten."""
    user: str | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class Release:
    number: int
    current: bool
    failed: bool
    trouble: str | None
    """Why it was taken back by itself."""
    commit: str
    description: str
    user: str | None
    created_at: datetime
    build: int | None = None
    image: str = ""
    processes: dict[str, str] = field(default_factory=dict)
    """Process type to command line."""
    config_added: tuple[str, ...] = ()
    config_changed: tuple[str, ...] = ()
    config_removed: tuple[str, ...] = ()
    """Names that differ from the release before; never values."""
    collected: bool = False
    """Whether its image is no longer kept."""


@dataclass(frozen=True)
class Instance:
    name: str
    state: str
    release: int
    started_at: float
    """Seconds since the epoch; 0 when it never started."""
    restarts: int
    exit_code: int | None
    oom: bool = False
    """Whether it ended for want of memory."""


@dataclass(frozen=True)
class Limits:
    """What one instance of a process type may use."""

    process: str
    memory: int
    """Bytes."""
    cpus: float
    pids: int
    chosen: tuple[str, ...] = ()
    """Which of the three were set for this process type; the others are the installation's."""


@dataclass(frozen=True)
class Process:
    type: str
    wanted: int
    command: str
    instances: tuple[Instance, ...]


@dataclass(frozen=True)
class Job:
    """A place in an app's line of work; `verdict` is set once it has ended.

    A good verdict: {"ok": true, "url": ..., "release": 4}, with "warning" when a script failed after the switch; a bad
    one: {"ok": false, "code", "exit_code", "message", "evidence", "hint"}.
    """

    id: int
    app: str
    kind: str
    state: str
    build: int | None = None
    verdict: dict[str, Any] | None = None


@dataclass(frozen=True)
class Ref:
    """One line of what git's hooks read on stdin."""

    old: str
    new: str
    name: str


@dataclass(frozen=True)
class Push:
    """A `git push` that was let in and has not ended; it lives and dies with its SSH session."""

    id: str
    app: str
    """The app's id, also of one that does not exist yet."""
    name: str
    path: Path
    """The bare repository."""
    user: User
    max_pack: int
    """Bytes the disk and the settings allow: `receive.maxInputSize`."""
    refusal: str
    """What to say when git refuses a larger pack, with both numbers."""
