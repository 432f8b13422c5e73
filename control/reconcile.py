"""Wanted minus observed, until there is no difference: at start, after every change, and whenever the engine stirs."""

from __future__ import annotations

import threading

import structlog
from sqlalchemy import select

from control import builds as builds_
from control import deployments, push, queue, routes, values, wanted
from control.context import Context
from core.errors import PlatformError
from core.states import BuildState
from models import App, Build, Release
from repos import bare

log = structlog.get_logger()

LONGEST_REST = 60.0
"""Seconds without any event after which it looks all the same: an event may be lost with the engine."""


def run(ctx: Context, stopping: threading.Event) -> None:
    """Reconcile until told to stop."""
    suspects: frozenset[str] = frozenset()
    while not stopping.is_set():
        ctx.turns.drifted.clear()
        suspects = once(ctx, suspects)
        ctx.turns.drifted.wait(LONGEST_REST)


def once(ctx: Context, suspects: frozenset[str] = frozenset()) -> frozenset[str]:
    """One pass; returns what looked orphaned, to be removed when it still does in the next."""
    try:
        with ctx.db.begin() as session:
            apps = [app.id for app in session.scalars(select(App))]
        for app_id in apps:
            with ctx.turns.if_free(app_id) as free:
                if free:
                    mend_quietly(ctx, app_id)
        return sweep(ctx, frozenset(apps), suspects)
    except PlatformError as error:
        log.warning("reconcile.failed", error=str(error))
    except Exception:
        log.exception("reconcile.failed")
    return frozenset()


def mend_quietly(ctx: Context, app_id: str) -> None:
    """One app's trouble never keeps the others waiting."""
    try:
        mend(ctx, app_id)
    except PlatformError as error:
        log.warning("mend.failed", app=app_id, error=str(error))
    except Exception:
        log.exception("mend.failed", app=app_id)


def mend(ctx: Context, app_id: str) -> None:
    """Bring one app from what it is to what it should be."""
    with ctx.db.begin() as session:
        app = session.get(App, app_id)
        if app is None or queue.waits(session, app_id):
            return  # a job will see to it
        want = wanted.of(ctx, session, app)
    mend_tip(ctx, app)
    instances = ctx.runtime.instances(app_id)
    for spec in want.missing(instances):
        log.info("mend.apply", app=app_id, process=spec.process, release=spec.release)
        ctx.runtime.apply(spec)
    if want.missing(instances):
        instances = ctx.runtime.instances(app_id)
    if app.release_id is not None:
        with ctx.turns.route_lock(app_id):
            if routes.compute(want, instances, routes.routed(ctx, app_id)) not in ctx.proxy.routes():
                routes.offer(ctx, want, instances)
    if want.surplus(instances):
        deployments.retire_soon(ctx, app_id)


def mend_tip(ctx: Context, app: App) -> None:
    """The branch stands on what is live; a commit git took but nobody queued is queued now."""
    ref = f"{push.HEADS}{app.branch}"
    tip = bare.tip(ctx.repository(app.id), ref) if app.branch else None
    if tip is None or tip == app.live_commit:
        return
    with ctx.db.begin() as session:
        query = select(Build.id).where(Build.app_id == app.id, Build.commit == tip, Build.state != BuildState.PENDING)
        tried = session.scalar(query.limit(1)) is not None
        if not tried:
            row = session.get_one(App, app.id)
            owner = values.User(id=app.owner_id, name="")
            build = builds_.add(session, row, owner, tip)
            queue.add(session, row, "push", owner, build, commit=tip, ref=ref)
    log.warning("mend.tip", app=app.id, commit=tip, queued=not tried)
    if tried:
        push.step_back(ctx, app, ref, tip)
    else:
        queue.wake(ctx)


def sweep(ctx: Context, apps: frozenset[str], suspects: frozenset[str]) -> frozenset[str]:
    """Remove what belongs to no app, when it did not in the pass before either."""
    in_push = {app_id_of(ctx, one) for one in list(ctx.pushes)}
    strays = {one.app for one in ctx.runtime.instances() if one.app not in apps}
    strays |= {route.app for route in ctx.proxy.routes() if route.app not in apps}
    folder = ctx.settings.home / "repos"
    strays |= {path.name.removesuffix(".git") for path in folder.glob("*.git")} - apps - in_push
    known = known_images(ctx)
    images = {digest for digest in ctx.images.images() if digest not in known}
    for app_id in strays & suspects:
        log.info("sweep.app", app=app_id)
        ctx.proxy.delete(app_id)
        ctx.runtime.remove(app_id)
        bare.remove(ctx.repository(app_id))
    for digest in images & suspects:
        log.info("sweep.image", image=digest)
        ctx.images.remove(digest)
    left = frozenset(strays | images)
    if left - suspects:
        ctx.turns.drifted.set()
    return left


def app_id_of(ctx: Context, push_id: str) -> str:
    standing = ctx.pushes.get(push_id)
    return standing.app if standing else ""


def known_images(ctx: Context) -> set[str]:
    """Images that a build or release speaks of, or that a running build may be about to."""
    with ctx.db.begin() as session:
        builds = session.scalars(select(Build.image).where(Build.image.is_not(None)))
        releases = session.scalars(select(Release.image).where(Release.failed.is_(False)))
        return {*builds, *releases} - {None}
