"""An app's line of work, kept in rows: one job at a time, in the order of arrival."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from control import access, values
from control.context import Context
from control.events import ENDED, audit
from control.machines import advance
from core.errors import NotFound, PlatformError
from core.states import JobState
from models import App, Build, Job, User
from models.base import now

ATTEMPTS = 2
"""How often a job is taken up when the server dies under it."""


def add(session: Session, app: App, kind: str, user: values.User, build: Build | None = None, **payload: Any) -> Job:
    """Append a job to the app's line, in the caller's transaction; call `wake` after it."""
    job = Job(app_id=app.id, kind=kind, user_id=user.id, payload=payload, build_id=build.id if build else None)
    session.add(job)
    session.flush()
    audit(session, f"{kind}.queued", user=user.id, app=app.id, job=job.id)
    return job


def wake(ctx: Context) -> None:
    """Tell the dispatcher that there may be something to claim."""
    ctx.turns.queued.set()


def claim(ctx: Context) -> Job | None:
    """The oldest job whose app has none running, now RUNNING and ours; None when there is none."""
    other = aliased(Job)
    busy = select(other.id).where(other.app_id == Job.app_id, other.state == JobState.RUNNING).exists()
    waiting = select(Job).where(Job.state == JobState.PENDING, ~busy).order_by(Job.id).limit(1)
    try:
        with ctx.db.begin() as session:
            job = session.scalar(waiting)
            if job is None or not advance(session, job, JobState.RUNNING, generation=job.generation + 1):
                return None
            return job
    except IntegrityError:  # another server was faster
        return None


def finish(ctx: Context, job: Job, state: JobState, verdict: dict[str, Any]) -> None:
    """Record how a job ended and tell its readers."""
    with ctx.db.begin() as session:
        session.add(job)
        advance(session, job, state, verdict=verdict, finished_at=now())
    ctx.journal.end(job.id)


def supersede(session: Session, app: App, newer: Job) -> list[Job]:
    """Cancel the pushes that still wait; the newest one brings all they had."""
    waiting = select(Job).where(
        Job.app_id == app.id, Job.kind == "push", Job.state == JobState.PENDING, Job.id < newer.id
    )
    verdict = failure(PlatformError("superseded by a newer push", "Fetch what was pushed after it."))
    return [
        job
        for job in session.scalars(waiting).all()
        if advance(session, job, JobState.CANCELLED, verdict=verdict, finished_at=now())
    ]


def release_abandoned(ctx: Context) -> list[Job]:
    """At start: jobs a dead server left RUNNING go back into the line once, or fail."""
    with ctx.db.begin() as session:
        left = session.scalars(select(Job).where(Job.state == JobState.RUNNING)).all()
        given_up = failure(PlatformError("interrupted: the server stopped twice under this job", "Try again."))
        for job in left:
            if job.generation < ATTEMPTS:
                advance(session, job, JobState.PENDING)
            else:
                advance(session, job, JobState.FAILED, verdict=given_up, finished_at=now())
        return list(left)


def user_of(ctx: Context, job: Job) -> values.User:
    """Who asked for the job."""
    with ctx.db.begin() as session:
        user = session.get(User, job.user_id) if job.user_id else None
        return values.User(user.id, user.name, user.admin) if user else values.User(id="", name="")


def failure(error: PlatformError) -> dict[str, Any]:
    """The verdict of a job that ended with `error`."""
    return {
        "ok": False,
        "code": error.code,
        "exit_code": error.exit_code,
        "message": error.message,
        "evidence": error.evidence,
        "hint": error.hint,
    }


def waits(session: Session, app_id: str, kinds: Sequence[str] | None = None) -> bool:
    """Whether the app has a job that has not ended (of one of `kinds`)."""
    query = select(Job.id).where(Job.app_id == app_id, Job.state.not_in(ENDED))
    if kinds is not None:
        query = query.where(Job.kind.in_(kinds))
    return session.scalar(query.limit(1)) is not None


def info(ctx: Context, user: values.User, job_id: int) -> values.Job:
    """A job of an app `user` may see, or one of their own."""
    with ctx.db.begin() as session:
        job = session.get(Job, job_id)
        app = session.get(App, job.app_id) if job and job.app_id else None
        seen = job is not None and (access.may_see(user, app) if app else job.user_id == user.id)
        if job is None or not seen:
            raise NotFound(f"there is no job {job_id}")
        return shown(session, job)


def shown(session: Session, job: Job) -> values.Job:
    app = session.get(App, job.app_id) if job.app_id else None
    build = session.get(Build, job.build_id) if job.build_id else None
    return values.Job(
        id=job.id,
        app=app.name if app else "",
        kind=job.kind,
        state=job.state,
        build=build.number if build else None,
        verdict=job.verdict,
    )
