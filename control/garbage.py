"""What nobody can need any more, and removing it: images, logs, the engine's build cache, packs."""

from __future__ import annotations

import shutil
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from control import queue, wanted
from control.context import Context
from control.events import ENDED, audit
from core.errors import Conflict, PlatformError
from models import App, Build, Job, Release
from models.base import now
from repos import bare

log = structlog.get_logger()

Found = TypeVar("Found")

EVERY = 3600.0
"""Seconds between two looks at everything; each app is looked at after its own deploys too."""
READ = timedelta(hours=1)
"""How long the log of a destroyed app's last job may still be read."""
PACKS = 50
"""Packs a repository may have before they are put together."""


def run(ctx: Context, stopping: threading.Event) -> None:
    """Collect once an hour until told to stop."""
    while not stopping.is_set():
        once(ctx)
        stopping.wait(EVERY)


def once(ctx: Context) -> None:
    """Look at everything; one thing's trouble never keeps the others waiting."""
    for app_id in quietly(lambda: apps(ctx)) or ():
        collect(ctx, app_id)
    quietly(lambda: collect_logs(ctx))
    quietly(lambda: prune(ctx))


def collect(ctx: Context, app_id: str) -> None:
    """What one app no longer needs; nothing while it has work in line, whose end is the next time to look."""
    with ctx.turns.if_free(app_id) as free:
        if free:
            quietly(lambda: collect_images(ctx, app_id))
            quietly(lambda: gather(ctx, app_id))


def gather(ctx: Context, app_id: str) -> None:
    """Put the app's packs together, unless somebody waits for its turn."""
    with ctx.db.begin() as session:
        if queue.waits(session, app_id):
            return
    bare.gather(ctx.repository(app_id), PACKS)


def quietly(step: Callable[[], Found]) -> Found | None:
    try:
        return step()
    except PlatformError as error:
        log.warning("garbage.failed", error=str(error))
    except Exception:
        log.exception("garbage.failed")
    return None


def apps(ctx: Context) -> list[str]:
    with ctx.db.begin() as session:
        return list(session.scalars(select(App.id).where(App.deleting.is_(False))))


def prune(ctx: Context) -> None:
    freed = ctx.images.prune(ctx.settings.build_cache)
    if freed:
        log.info("garbage.cache", bytes=freed)


# Images.


def kept(releases: Sequence[Release], current: str | None, busy: Set[int], most: int) -> set[str]:
    """Images to keep: of the current release, the newest `most` that ran, and the numbers in `busy`."""
    ran = sorted((one.number for one in releases if one.ran and not one.failed), reverse=True)
    numbers = {*ran[:most], *busy}
    return {one.image for one in releases if one.id == current or one.number in numbers}


def collect_images(ctx: Context, app_id: str) -> None:
    """Say first that they are gone, then remove them: what is left by a death in between, reconcile finds."""
    busy = {one.release for one in ctx.runtime.instances(app_id)}
    with ctx.db.begin() as session:
        app = session.get(App, app_id)
        if app is None or queue.waits(session, app_id):
            return
        gone = write_off(ctx, session, app, busy)
    with ctx.db.begin() as session:  # a job begun meanwhile may have taken an old image up again
        gone -= spoken_of(session)
    for digest in sorted(gone):
        try:
            ctx.images.remove(digest)
        except Conflict as error:  # a one-off still has it: reconcile removes it later
            log.info("garbage.kept", image=digest, cause=str(error))


def write_off(ctx: Context, session: Session, app: App, busy: Set[int]) -> set[str]:
    """Mark the releases and builds whose image goes; the images."""
    in_flight = {one.release_id for one in session.scalars(wanted.in_flight(app))}
    releases = session.scalars(select(Release).where(Release.app_id == app.id, Release.collected.is_(False))).all()
    needed = {*busy, *(one.number for one in releases if one.id in in_flight)}
    keep = kept(releases, app.release_id, needed, ctx.settings.kept_releases)
    built = session.scalars(select(Build.image).where(Build.app_id == app.id, Build.image.is_not(None)))
    gone = {digest for digest in (*built, *(one.image for one in releases if not one.failed)) if digest} - keep
    numbers = sorted(one.number for one in releases if one.image in gone and not one.failed)
    if gone:
        of_app = (Release.app_id == app.id, Release.image.in_(gone), Release.failed.is_(False))
        session.execute(update(Release).where(*of_app).values(collected=True))
        session.execute(update(Build).where(Build.app_id == app.id, Build.image.in_(gone)).values(image=None))
        audit(session, "images.collected", app=app.id, releases=numbers)
    return gone


def spoken_of(session: Session) -> set[str]:
    """Images that a row names: of every build that has one, and of every release that may be made current."""
    built = session.scalars(select(Build.image).where(Build.image.is_not(None)))
    released = session.scalars(select(Release.image).where(Release.failed.is_(False), Release.collected.is_(False)))
    return {digest for digest in (*built, *released) if digest}


# Logs.


@dataclass(frozen=True)
class Said:
    """A job as its log is judged."""

    id: int
    app: str | None
    build: bool
    ended: datetime | None
    """None: it goes on."""


def collect_logs(ctx: Context) -> None:
    here = ctx.journal.jobs()
    with ctx.db.begin() as session:
        jobs = [said(job) for job in session.scalars(select(Job))]
    age = timedelta(days=ctx.settings.kept_log_days)
    for job_id in stale(jobs, here, now(), ctx.settings.kept_builds, age):
        ctx.journal.remove(job_id)
    with ctx.db.begin() as session:
        known = set(session.scalars(select(App.id)))
    for folder in (ctx.settings.home / "logs" / "apps").iterdir():
        if folder.name not in known:  # lines that came after their app was destroyed made it anew
            shutil.rmtree(folder, ignore_errors=True)


def said(job: Job) -> Said:
    ended = (job.finished_at or job.created_at) if job.state in ENDED else None
    return Said(job.id, job.app_id, job.build_id is not None, ended)


def stale(jobs: Sequence[Said], here: Sequence[int], at: datetime, most: int, age: timedelta) -> list[int]:
    """Logs to remove: of no job, of a destroyed app, older than `age`, or of builds before an app's newest `most`."""
    known = {job.id: job for job in jobs}
    builds: defaultdict[str | None, list[int]] = defaultdict(list)
    for job in sorted(jobs, key=lambda one: one.id, reverse=True):
        if job.build:
            builds[job.app].append(job.id)
    old = {job_id for numbers in builds.values() for job_id in numbers[most:]}

    def doomed(job_id: int) -> bool:
        job = known.get(job_id)
        if job is None:
            return True
        if job.ended is None:
            return False
        return job_id in old or at - job.ended > (READ if job.app is None else age)

    return [job_id for job_id in here if doomed(job_id)]
