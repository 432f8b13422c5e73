"""Attempts, their results, and an app's line of work."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.names import new_id
from core.states import BuildState, DeploymentState, JobState
from models.base import Base, now


class Build(Base):
    """An attempt: commit to image."""

    __tablename__ = "builds"
    __table_args__ = (UniqueConstraint("app_id", "number"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id", ondelete="CASCADE"), index=True)
    number: Mapped[int]
    """1, 2, ... within the app: what people say."""
    commit: Mapped[str]
    state: Mapped[str] = mapped_column(default=BuildState.PENDING.value)
    reason: Mapped[str | None]
    """Why it ended badly: step, timeout, oom, interrupted, superseded, cancelled."""
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    pack: Mapped[str | None]
    tree: Mapped[str | None]
    """Id of the commit's tree."""
    base: Mapped[str | None]
    """What the image stands on: digests of the stack, version of the builder."""
    config_digest: Mapped[str | None]
    """Of the config vars, where a build step reads them; None: the image is the same whatever they say."""
    image: Mapped[str | None]
    port: Mapped[int | None]
    processes: Mapped[dict[str, Any] | None]
    """Process type to {"argv", "command"}: what is run, and how its author wrote it."""
    error: Mapped[str | None]
    retry_of: Mapped[str | None]
    waiting: Mapped[bool] = mapped_column(default=False)
    """Whether its job wants one of the machine's places for builds."""
    manifest: Mapped[dict[str, Any] | None]
    """What the tree's app.json asks for."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Release(Base):
    """Immutable: image digest, config snapshot, process types, who, why."""

    __tablename__ = "releases"
    __table_args__ = (UniqueConstraint("app_id", "number"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id", ondelete="CASCADE"), index=True)
    number: Mapped[int]
    build_id: Mapped[str | None] = mapped_column(ForeignKey("builds.id", ondelete="SET NULL"))
    commit: Mapped[str]
    image: Mapped[str]
    port: Mapped[int | None]
    """What the image EXPOSEs, if it does."""
    processes: Mapped[dict[str, Any]]
    job_id: Mapped[int | None]
    """The job that cut it: a job taken up again finds its own release."""
    sealed_config: Mapped[bytes] = mapped_column(LargeBinary)
    """JSON of the config vars, sealed under the app's data key and bound to app and release number."""
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    description: Mapped[str]
    failed: Mapped[bool] = mapped_column(default=False)
    ran: Mapped[bool] = mapped_column(default=False)
    """Whether it was ever current: only then a rollback target."""
    manifest: Mapped[dict[str, Any] | None]
    """What the tree's app.json asks for."""
    trouble: Mapped[str | None]
    """Why it was taken back by itself."""
    collected: Mapped[bool] = mapped_column(default=False)
    """Whether its image has been removed to make room; the row still says which it was."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class Deployment(Base):
    """An attempt to make a release current."""

    __tablename__ = "deployments"
    __table_args__ = (
        Index(
            "one_deployment_in_flight",
            "app_id",
            unique=True,
            sqlite_where=text("state IN ('provisioning', 'deploying')"),
            postgresql_where=text("state IN ('provisioning', 'deploying')"),
        ),
    )
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    app_id: Mapped[str] = mapped_column(ForeignKey("apps.id", ondelete="CASCADE"), index=True)
    release_id: Mapped[str] = mapped_column(ForeignKey("releases.id", ondelete="CASCADE"), index=True)
    generation: Mapped[int]
    state: Mapped[str] = mapped_column(default=DeploymentState.PENDING.value)
    error: Mapped[str | None]
    runs_as: Mapped[int | None]
    """Number of the release whose kept instances it starts again; None: it has instances of its own."""
    retained_until: Mapped[datetime | None]
    """Of one that STOPPED: its instances are kept, stopped, until then."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    finished_at: Mapped[datetime | None]


class Job(Base):
    """A place in an app's line of work: one runs at a time, in the order of arrival."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index(
            "one_job_running",
            "app_id",
            unique=True,
            sqlite_where=text("state = 'running'"),
            postgresql_where=text("state = 'running'"),
        ),
    )
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    """Order of arrival."""
    app_id: Mapped[str | None] = mapped_column(ForeignKey("apps.id", ondelete="SET NULL"), index=True)
    """None once the app is destroyed: the verdict outlives it."""
    kind: Mapped[str]
    """push, config, scale, restart, stop, start, rollback, redeploy, ..."""
    payload: Mapped[dict[str, Any]]
    """What the verb needs; never a secret."""
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    build_id: Mapped[str | None] = mapped_column(ForeignKey("builds.id", ondelete="SET NULL"))
    state: Mapped[str] = mapped_column(default=JobState.PENDING.value)
    generation: Mapped[int] = mapped_column(default=0)
    """Raised by every claim: who holds an older one is fenced."""
    beat: Mapped[int] = mapped_column(default=0)
    """Raised by its holder while it works; one that stands still is a dead holder's."""
    holder: Mapped[str | None]
    """The server that claimed it."""
    cancelled_by: Mapped[str | None]
    """Who wants it to end; its holder sees it at the next beat."""
    verdict: Mapped[dict[str, Any] | None]
    """How it ended: {"message", "hint", "evidence", "code"} of an error, or {"url", "release"}."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    finished_at: Mapped[datetime | None]
