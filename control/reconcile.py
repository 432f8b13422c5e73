"""Wanted minus observed, until there is no difference: at start, after every change, and whenever the engine stirs."""

from __future__ import annotations

import fcntl
import shutil
import threading
import time
from collections.abc import Sequence
from datetime import timedelta

import structlog
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from control import builds, deployments, garbage, places, push, queue, routes, values, wanted
from control.context import Context
from control.machines import advance
from core.errors import Conflict, PlatformError
from core.states import BuildState, DeploymentState
from models import App, Build, Deployment
from models.base import now
from repos import bare
from router.base import Route
from runtime.base import Instance

log = structlog.get_logger()

LONGEST_REST = 60.0
"""Seconds without any event after which it looks all the same: an event may be lost with the engine."""
KEPT_REST = 15.0
"""The same while instances are kept: a clock that jumps is no event either."""
GRACE = 5.0
"""Seconds something must look orphaned before it is removed: it may be just being made."""

AGAIN = timedelta(minutes=1)
"""How long after a destruction that failed the next one begins."""

Suspects = dict[str, float]
"""What looks orphaned (app id or image digest), and since when on the monotonic clock."""


def run(ctx: Context, stopping: threading.Event) -> None:
    """Reconcile until told to stop."""
    suspects: Suspects = {}
    while not stopping.is_set():
        ctx.turns.drifted.clear()
        ctx.turns.uneasy.clear()
        suspects = look(ctx, suspects)
        ctx.turns.mended.set()
        ctx.turns.drifted.wait(GRACE if suspects or ctx.turns.uneasy.is_set() else rest(ctx))


def rest(ctx: Context) -> float:
    """Seconds until something is due by itself: instances kept for a return go when their time is over."""
    due = select(func.min(Deployment.retained_until)).where(Deployment.retained_until > now())
    try:
        with ctx.db.begin() as session:
            end = session.scalar(due)
    except PlatformError:
        return GRACE
    if end is None:
        return LONGEST_REST
    return min(max((end - now()).total_seconds(), 0.1), KEPT_REST)


def look(ctx: Context, suspects: Suspects) -> Suspects:
    """One pass, whatever happens; one that fails is made again soon."""
    try:
        return once(ctx, suspects)
    except PlatformError as error:
        log.warning("reconcile.failed", error=str(error))
    except Exception:
        log.exception("reconcile.failed")
    ctx.turns.uneasy.set()
    return suspects


def once(ctx: Context, suspects: Suspects, grace: float = GRACE) -> Suspects:
    """One pass; returns what looks orphaned, to be removed when it still does `grace` seconds later."""
    ctx.guard()
    instances, known = ctx.runtime.instances(), ctx.proxy.routes()
    with ctx.db.begin() as session:
        apps = list(session.scalars(select(App)))
        drifted = [app.id for app in apps if drifts(ctx, session, app, instances, known)]
    for app_id in drifted:
        with ctx.turns.if_free(app_id) as free:
            if free:
                mend_quietly(ctx, app_id)
            elif app_id not in ctx.turns.working:  # a job wakes us when it ends; whoever else has the turn does not
                ctx.turns.uneasy.set()
    present = {one.app for one in instances} | {route.app for route in known}
    strays = stray_apps(ctx, present, {app.id for app in apps})
    return sweep(ctx, strays, suspects, grace)


def drifts(ctx: Context, session: Session, app: App, instances: Sequence[Instance], known: Sequence[Route]) -> bool:
    """Whether anything of the app is not as wanted, from one look at the engine and the proxy."""
    want = wanted.of(ctx, session, app)
    mine = [one for one in instances if one.app == app.id]
    unrouted = app.release_id is not None and routes.compute(want, mine, known) not in known
    try:
        moved = tip(ctx, app) not in (None, app.live_commit)
    except PlatformError:  # mending says what is wrong with the repository
        moved = True
    if app.deleting:
        return queue.rested(session, app.id, "destroy", AGAIN)
    half_done = bool(want.in_flight or session.scalar(unfinished(app))) and not queue.waits(session, app.id)
    return bool(unrouted or moved or half_done or want.missing(mine) or want.surplus(mine))


def mend_quietly(ctx: Context, app_id: str) -> None:
    """One app's trouble never keeps the others waiting."""
    try:
        mend(ctx, app_id)
        return
    except PlatformError as error:
        log.warning("mend.failed", app=app_id, error=str(error))
    except Exception:
        log.exception("mend.failed", app=app_id)
    ctx.turns.uneasy.set()


def mend(ctx: Context, app_id: str) -> None:
    """Bring one app from what it is to what it should be."""
    with ctx.db.begin() as session:
        app = session.get(App, app_id)
        if app is None or queue.waits(session, app_id):
            return  # a job will see to it
        close(session, app)
        if app.deleting and not queue.rested(session, app.id, "destroy", AGAIN):
            return
        if app.deleting:  # its destruction failed half-way: it goes on until nothing is left
            queue.add(ctx, session, app, "destroy", values.User(id="", name="paas"), name=app.name)
        want = wanted.of(ctx, session, app)
    places.free(ctx)
    if app.deleting:
        queue.wake(ctx)
        return
    mend_tip(ctx, app)
    instances = ctx.runtime.instances(app_id)
    for spec in want.missing(instances):
        log.info("mend.apply", app=app_id, process=spec.process, release=spec.release)
        ctx.runtime.apply(spec)
    if app.release_id is not None:
        routes.put(ctx, app_id)
    if want.surplus(instances):
        deployments.retire_soon(ctx, app_id)


def close(session: Session, app: App) -> None:
    """End what rows still call in progress although the app has no job: its server died, or its disk was full."""
    for deployment in session.scalars(wanted.in_flight(app)).all():
        advance(session, deployment, DeploymentState.FAILED, error="interrupted", finished_at=now())
    for build in session.scalars(unfinished(app)).all():
        advance(session, build, BuildState.FAILED, reason="interrupted", finished_at=now())


def unfinished(app: App) -> Select[Build]:
    """Builds of the app that have not ended."""
    return select(Build).where(Build.app_id == app.id, Build.state.in_([BuildState.PENDING, BuildState.RUNNING]))


def mend_tip(ctx: Context, app: App) -> None:
    """The branch stands on what is live; a commit git took but nobody queued is queued now."""
    ref, stands = f"{push.HEADS}{app.branch}", tip(ctx, app)
    if stands is None or stands == app.live_commit or app.id in pushed(ctx):
        return  # who pushes announces it in a moment, and the end of the push is looked at again
    with ctx.db.begin() as session:
        query = select(Build.id).where(
            Build.app_id == app.id, Build.commit == stands, Build.state != BuildState.PENDING
        )
        tried = session.scalar(query.limit(1)) is not None
        if not tried:
            row = session.get_one(App, app.id)
            owner = values.User(id=app.owner_id, name="")
            build = builds.add(session, row, owner, stands)
            queue.add(ctx, session, row, "push", owner, build, commit=stands, ref=ref)
    log.warning("mend.tip", app=app.id, commit=stands, queued=not tried)
    if tried:
        push.step_back(ctx, app, ref, stands)
    else:
        queue.wake(ctx)


def tip(ctx: Context, app: App) -> str | None:
    """The commit the app's deploy branch stands on."""
    return bare.tip(ctx.repository(app.id), f"{push.HEADS}{app.branch}") if app.branch else None


def sweep(ctx: Context, strays: set[str], suspects: Suspects, grace: float) -> Suspects:
    """Remove what has belonged to nobody for `grace` seconds."""
    images = set(ctx.images.images()) - known_images(ctx)
    seen = time.monotonic()
    since = {name: suspects.get(name, seen) for name in strays | images}
    for name in [name for name, first in since.items() if seen - first >= grace and name in suspects]:
        log.info("sweep", stray=name)
        discard_image(ctx, name) if name in images else discard_app(ctx, name)
        del since[name]
    return since


def stray_apps(ctx: Context, present: set[str], apps: set[str]) -> set[str]:
    """Ids of apps that left something behind; `present` are those the engine and the proxy know."""
    repositories = {path.name.removesuffix(".git") for path in (ctx.settings.home / "repos").glob("*.git")}
    return (present | repositories) - apps - pushed(ctx)


def pushed(ctx: Context) -> set[str]:
    """Ids of apps that somebody is pushing to, through whichever server that lives."""
    for folder in (ctx.settings.home / "tmp").iterdir():
        if folder.name != ctx.server and not alive(ctx, folder.name):
            shutil.rmtree(folder, ignore_errors=True)  # what a server that is dead was unpacking, and its pushes
    return {path.name.split("-")[1] for path in (ctx.settings.home / "tmp").glob("*/push-*")}


def alive(ctx: Context, server: str) -> bool:
    """Whether a server of that name runs: it holds the lock of its name."""
    try:
        with (ctx.settings.home / "run" / f"server-{server}.lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def discard_app(ctx: Context, app_id: str) -> None:
    ctx.proxy.delete(app_id)
    ctx.runtime.remove(app_id)
    bare.remove(ctx.repository(app_id))


def discard_image(ctx: Context, digest: str) -> None:
    try:
        ctx.images.remove(digest)
    except Conflict as error:  # an instance still has it: once that is gone, so is this
        log.info("sweep.kept", image=digest, cause=str(error))


def known_images(ctx: Context) -> set[str]:
    """Images that a build or release speaks of; all there are while a build runs, since it may have just made one."""
    with ctx.db.begin() as session:
        if session.scalar(select(Build.id).where(Build.state == BuildState.RUNNING).limit(1)):
            return set(ctx.images.images())
        return garbage.spoken_of(session)
