"""An app's line of work, kept in rows: one job at a time, in the order of arrival."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from control import access, values
from control.context import Context
from control.events import ENDED, audit
from control.lease import Lease
from control.machines import advance
from core.errors import Cancelled, Conflict, NotFound, PlatformError
from core.states import BuildState, JobState
from models import App, Build, Job, User
from models.base import now

INTERRUPTED = PlatformError("interrupted: the server stopped twice under this job", "Try again.")


def add(
    ctx: Context, session: Session, app: App, kind: str, user: values.User, build: Build | None = None, **payload: Any
) -> Job:
    """Append a job to the app's line, in the caller's transaction; call `wake` after it.

    Conflict when as many of this user's jobs wait as one user may have waiting.
    """
    waiting = select(func.count()).where(Job.user_id == user.id, Job.state == JobState.PENDING)
    if (session.scalar(waiting) or 0) >= ctx.settings.queue_limit:
        raise Conflict(
            f"{ctx.settings.queue_limit} jobs of yours are waiting already",
            "Wait until some are done, or cancel some: builds:cancel APP.",
        )
    job = Job(app_id=app.id, kind=kind, user_id=user.id or None, payload=payload, build_id=build.id if build else None)
    session.add(job)
    session.flush()
    audit(session, f"{kind}.queued", user=user.id or None, app=app.id, job=job.id)
    return job


def wake(ctx: Context) -> None:
    """Tell the dispatcher that there may be something to claim."""
    ctx.turns.queued.set()


def claim(ctx: Context) -> Job | None:
    """The oldest job whose app has none running, now RUNNING and ours; None when there is none."""
    other = aliased(Job)
    before = (other.state == JobState.RUNNING) | ((other.state == JobState.PENDING) & (other.id < Job.id))
    busy = select(other.id).where(other.app_id == Job.app_id, before).exists()
    waiting = select(Job).where(Job.state == JobState.PENDING, ~busy).order_by(Job.id).limit(1)
    while True:
        try:
            with ctx.db.begin() as session:
                job = session.scalar(waiting.with_for_update(skip_locked=True))
                if job is None:
                    return None
                if advance(session, job, JobState.RUNNING, generation=job.generation + 1, holder=ctx.server):
                    return job
        except IntegrityError:  # another server has just claimed a job of that app: look again
            continue


def hold(ctx: Context, job: Job) -> Lease:
    """The lease of a job just claimed; beats until it is let go."""
    lease = ctx.leases[job.id] = Lease(ctx.db, job)
    if job.cancelled_by:  # somebody did while nobody held it
        lease.cancel(job.cancelled_by)
    ctx.turns.holding.set()
    return lease


def finish(ctx: Context, job: Job, state: JobState, verdict: dict[str, Any]) -> None:
    """Record how a job ended and tell its readers."""
    with ctx.db.begin() as session:
        row = session.get(Job, job.id)
        # A fresh row, not the one in hand: this may have to be done again when the database fails in the middle.
        if row is not None and row.generation == job.generation:
            advance(session, row, state, verdict=verdict, finished_at=now())
    ctx.fail("job.finished")
    ctx.journal.end(job.id)


def supersede(session: Session, app: App, newer: Job) -> list[Job]:
    """Cancel the pushes that still wait; the newest one brings all they had."""
    waiting = select(Job).where(
        Job.app_id == app.id, Job.kind == "push", Job.state == JobState.PENDING, Job.id < newer.id
    )
    return [job for job in session.scalars(waiting).all() if overtake(session, job)]


def overtake(session: Session, job: Job) -> bool:
    """Take a push that waits out of the line: a newer one brings all it had."""
    error = Cancelled("superseded by a newer push", "Fetch what was pushed after it.")
    return drop(session, job, "superseded", error)


def drop(session: Session, job: Job, reason: str, error: PlatformError) -> bool:
    """Take a job that still waits out of the line, with its build."""
    waits = job.state == JobState.PENDING
    if not waits or not advance(session, job, JobState.CANCELLED, verdict=failure(error), finished_at=now()):
        return False
    build = session.get(Build, job.build_id) if job.build_id else None
    if build is not None:
        advance(session, build, BuildState.CANCELLED, reason=reason, error=error.message, finished_at=now())
    return True


def in_flight(session: Session, app: App) -> Job:
    """What of the app is being done, or else comes next; Conflict when nothing does."""
    query = select(Job).where(Job.app_id == app.id, Job.state.not_in(ENDED))
    job = session.scalar(query.order_by(Job.state != JobState.RUNNING, Job.id).limit(1))
    if job is None:
        raise Conflict(f"nothing of {app.name} is in flight", f"builds {app.name} shows what was.")
    return job


def cancel(ctx: Context, user: values.User, job_id: int) -> values.Job:
    """End a job now: one that waits leaves the line, one that runs stops what it does."""
    with ctx.db.begin() as session:
        job = seen(session, user, job_id)
        if job.state in ENDED:
            raise Conflict(f"the {job.kind} has ended: {job.state}", "There is nothing to cancel.")
        job.cancelled_by = user.name
        audit(session, "job.cancel", user=user.id, app=job.app_id, job=job.id)
        waited = drop(session, job, "cancelled", Cancelled(f"cancelled by {user.name}"))
        result = shown(session, job)
    if waited:
        ctx.journal.write(job_id, f" !     cancelled by {user.name}")
        ctx.journal.end(job_id)
        ctx.turns.drifted.set()
    elif lease := ctx.leases.get(job_id):
        # In a thread of its own: the engine may be slow to end what is in progress, and the beat sees to the rest.
        threading.Thread(target=lease.cancel, args=(user.name,), name=f"end-{job_id}", daemon=True).start()
    return result


def ahead(session: Session, job: Job) -> list[Job]:
    """What of the app comes before this job."""
    query = select(Job).where(Job.app_id == job.app_id, Job.id < job.id, Job.state.not_in(ENDED))
    return list(session.scalars(query.order_by(Job.id)))


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


def rested(session: Session, app_id: str, kind: str, since: timedelta) -> bool:
    """Whether no job of the app is in line, and the last of this kind ended that long ago."""
    newest = select(func.max(Job.finished_at)).where(Job.app_id == app_id, Job.kind == kind)
    ended = session.scalar(newest)
    return not waits(session, app_id) and (ended is None or now() - ended >= since)


def scaling(session: Session, app_id: str) -> dict[str, int]:
    """How many of each process type the job that scales the app now is bringing up."""
    query = select(Job).where(Job.app_id == app_id, Job.kind == "scale", Job.state == JobState.RUNNING)
    job = session.scalar(query)
    return dict(job.payload["counts"]) if job else {}


def waits(session: Session, app_id: str, kinds: Sequence[str] | None = None) -> bool:
    """Whether the app has a job that has not ended (of one of `kinds`)."""
    query = select(Job.id).where(Job.app_id == app_id, Job.state.not_in(ENDED))
    if kinds is not None:
        query = query.where(Job.kind.in_(kinds))
    return session.scalar(query.limit(1)) is not None


def seen(session: Session, user: values.User, job_id: int) -> Job:
    """A job of an app `user` may see, or one of their own; NotFound otherwise."""
    job = session.get(Job, job_id)
    app = session.get(App, job.app_id) if job and job.app_id else None
    if job is None or not (access.may_see(user, app) if app else job.user_id == user.id):
        raise NotFound(f"there is no job {job_id}")
    return job


def info(ctx: Context, user: values.User, job_id: int) -> values.Job:
    with ctx.db.begin() as session:
        return shown(session, seen(session, user, job_id))


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
