"""Deployments: the same few words for a push, a rollback, a config change and a restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy import func, select, update

from control import access, checks, configvars, formation, limits, queue, routes, scripts, values, wanted
from control.context import Context
from control.events import audit
from control.machines import advance
from control.progress import Progress
from control.returns import Kept, retain
from control.wanted import ROUTED, Wanted
from core.errors import Conflict, PlatformError
from core.states import DeploymentState
from models import App, Deployment, Release
from models.base import now
from router.base import Target
from runtime import health
from runtime.base import Check, Instance, ProcessSpec

log = structlog.get_logger()

OVERTAKEN = Conflict("this deploy was overtaken by another one", "releases shows what runs now.")
SHORTEST_DRAIN = 0.3
"""Seconds; a request may be on its way from the proxy when the target stops getting new ones."""


@dataclass(frozen=True)
class Manner:
    """How a release becomes current."""

    once: bool = True
    """Run what its repository wants run before the switch, and what after it."""
    push: bool = False
    """Its commit becomes the one the branch stands on."""
    wakes: bool = True
    """A stopped app is started; otherwise it stays stopped."""
    retains: bool = True
    """What ran before is kept, stopped, while the new release is watched."""
    kept: Kept | None = None
    """Instances to start again instead of new ones."""


def deploy(ctx: Context, app: App, release: Release, say: Progress, manner: Manner) -> None:
    """Make `release` what the app runs: old instances serve until the new ones are healthy."""
    say.redact(configvars.open_snapshot(ctx, app, release.number, release.sealed_config).values())
    deployment = begin(ctx, app, release, manner.kept)
    try:
        specs = provision(ctx, app, release, deployment, say, manner)
        start(ctx, app, specs, deployment, say)
        go_live(ctx, app, release, deployment, specs, say, manner)
    except Exception as error:
        ctx.fence()
        fail(ctx, app, release, deployment, say.hide(str(error)))
        raise
    if manner.once:
        scripts.after(ctx, app, release, say)


def begin(ctx: Context, app: App, release: Release, kept: Kept | None = None) -> Deployment:
    """A PENDING deployment with a generation of its own, or that of instances kept; what a dead server left in flight
    has failed."""
    with ctx.db.begin() as session:
        for left in session.scalars(wanted.in_flight(app)).all():
            advance(session, left, DeploymentState.FAILED, error="interrupted", finished_at=now())
        latest = session.scalar(select(func.max(Deployment.generation)).where(Deployment.app_id == app.id)) or 0
        deployment = Deployment(
            app_id=app.id,
            release_id=release.id,
            generation=kept.generation if kept else max(latest, app.generation) + 1,
            runs_as=kept.release if kept else None,
        )
        session.add(deployment)
        session.flush()
    ctx.at("deploy.begun")
    return deployment


def move(ctx: Context, deployment: Deployment, state: DeploymentState) -> None:
    with ctx.db.begin() as session:
        session.add(deployment)
        swapped = advance(session, deployment, state)
        if not swapped:
            raise OVERTAKEN


def provision(
    ctx: Context, app: App, release: Release, deployment: Deployment, say: Progress, manner: Manner
) -> list[ProcessSpec]:
    """What is to run; the predeploy script and the release command have run when this returns."""
    move(ctx, deployment, DeploymentState.PROVISIONING)
    with ctx.db.begin() as session:
        counts = formation.opening(session, app, release)
        specs = wanted.specs(ctx, session, app, release, deployment.generation, deployment.runs_as, counts)
    if manner.once:
        scripts.before(ctx, app, release, say)
    ctx.at("deploy.provisioned")
    return [] if app.stopped and not manner.wakes else specs


def start(ctx: Context, app: App, specs: Sequence[ProcessSpec], deployment: Deployment, say: Progress) -> None:
    """Start every process of the release and wait until all are healthy."""
    move(ctx, deployment, DeploymentState.DEPLOYING)
    for spec in specs:
        say.step(f"Starting {spec.process} ({spec.count})")
    with say.phase("start"):
        bring_up(ctx, app, specs, say)
    ctx.at("deploy.healthy")


def bring_up(ctx: Context, app: App, specs: Sequence[ProcessSpec], say: Progress) -> None:
    """Apply the specs and wait for the health of every instance, all at once."""
    pool, enough = ThreadPoolExecutor(max_workers=8), threading.Event()
    try:
        instances = [one for started in pool.map(ctx.runtime.apply, specs) for one in started]
        ctx.at("deploy.started")
        instances.sort(key=lambda one: one.process != ROUTED)  # the others settle while the routed ones are probed
        waits = [pool.submit(wait_for, ctx, app, instance, enough) for instance in instances]
        with limits.advising(app):
            for wait in waits:
                say.detail(ctx.result(wait))
    finally:
        enough.set()
        pool.shutdown(wait=False)


def wait_for(ctx: Context, app: App, instance: Instance, enough: threading.Event) -> str:
    """Wait until the instance is healthy or it is `enough`; the words for it."""
    with ctx.db.begin() as session:
        asked: list[Check | None] = [*checks.of(session, instance, "startup", "readiness")]
    if instance.process != ROUTED and not asked:
        health.settled(ctx.runtime, ctx.observer, instance, cancelled=enough)
        return f"{instance.name} started"
    found = [
        health.wait(
            ctx.runtime,
            ctx.observer,
            instance,
            path=app.health_path,
            host=wanted.host(ctx, app),
            timeout=ctx.settings.start_timeout,
            cancelled=enough,
            check=check,
        )
        for check in asked or [None]
    ]
    answers = ", ".join(f"GET {one.path} {one.status}" for one in found)
    return f"{instance.name} healthy after {sum(one.seconds for one in found):.1f}s ({answers})"


def go_live(
    ctx: Context,
    app: App,
    release: Release,
    deployment: Deployment,
    specs: Sequence[ProcessSpec],
    say: Progress,
    manner: Manner,
) -> None:
    """Route to the new instances, then record that they are current, then let the old ones finish."""
    say.step("Routing")
    with say.phase("route"), ctx.turns.route_lock(app.id):
        with ctx.db.begin() as session:
            hosts = wanted.hosts(ctx, session.get_one(App, app.id))
        routes.offer(ctx, Wanted(app=app.id, hosts=hosts, specs=tuple(specs)), ctx.runtime.instances(app.id))
        ctx.fail("deploy.routed")  # the new instances serve: from here on it is too late to cancel
        record(ctx, app, release, deployment, manner)
    ctx.fail("deploy.committed")
    ctx.turns.switched.set()
    retire_soon(ctx, app.id)


def record(ctx: Context, app: App, release: Release, deployment: Deployment, manner: Manner) -> None:
    """One transaction: RUNNING, the older ones STOPPED, the app's current release."""
    with ctx.db.begin() as session:
        older = select(Deployment).where(Deployment.app_id == app.id, Deployment.state == DeploymentState.RUNNING.value)
        before = list(session.scalars(older).all())
        for row in before:
            advance(session, row, DeploymentState.STOPPED, finished_at=now())
        session.add(deployment)
        if not advance(session, deployment, DeploymentState.RUNNING):
            raise OVERTAKEN
        session.execute(update(Release).where(Release.id == release.id).values(ran=True))
        current = session.get_one(App, app.id)
        formation.settle(session, current, release)
        if current.release_id != release.id:
            retain(ctx, session, current, before if manner.retains else [])
        current.release_id, current.generation = release.id, deployment.generation
        current.runs_as = deployment.runs_as
        current.stopped = current.stopped and not manner.wakes
        if manner.push:
            current.live_commit = release.commit
        audit(session, "app.live", user=release.user_id, app=app.id, release=release.number)


def fail(ctx: Context, app: App, release: Release, deployment: Deployment, reason: str) -> None:
    """Record the failure and take away what the attempt started; the old release was never touched."""
    with ctx.db.begin() as session:
        session.add(deployment)
        if not advance(session, deployment, DeploymentState.FAILED, error=reason, finished_at=now()):
            return  # it is live, or somebody else has ended it: reconcile knows what to do with its instances
        session.execute(update(Release).where(Release.id == release.id, Release.ran.is_(False)).values(failed=True))
        first = session.get_one(App, app.id).release_id is None
    for step in (partial(routes.put, ctx, app.id), partial(take_away, ctx, app, deployment, first)):
        try:
            step()
        except PlatformError as trouble:  # reconcile puts it in order when the engine and the proxy are back
            log.warning("deploy.leftovers", app=app.id, error=str(trouble))
            ctx.turns.uneasy.set()


def take_away(ctx: Context, app: App, deployment: Deployment, first: bool) -> None:
    """Remove what a failed attempt has started; with an app's first, its network too."""
    if first:
        ctx.runtime.remove(app.id)
        return
    started = [one.id for one in ctx.runtime.instances(app.id) if one.generation == deployment.generation]
    if started:
        ctx.runtime.remove(app.id, ids=frozenset(started), grace=0)  # they have never served


def retire_soon(ctx: Context, app_id: str) -> None:
    """Retire in the background: a push returns when the new release serves, not when the old one is gone."""
    if ctx.turns.begin_retiring(app_id):
        threading.Thread(target=retire_all, args=(ctx, app_id), name=f"retire-{app_id}", daemon=True).start()


def retire_all(ctx: Context, app_id: str) -> None:
    """Retire until nothing is surplus; asked again meanwhile, look again."""
    while ctx.turns.keep_retiring(app_id):
        try:
            retire(ctx, app_id)
        except PlatformError as error:
            log.warning("retire.failed", app=app_id, error=str(error))
            ctx.turns.uneasy.set()
        except Exception:
            log.exception("retire.failed", app=app_id)
            ctx.turns.uneasy.set()


def retire(ctx: Context, app_id: str) -> None:
    """Let surplus instances finish their requests, stop them, remove those that are not kept, and forget their
    targets."""
    surplus, _ = look(ctx, app_id)
    if not surplus:
        return
    route = routes.put(ctx, app_id)
    names = {wanted.target(one) for one in surplus if one.address}
    draining = [target for target in (route.draining if route else ()) if target in names]
    ctx.fail("retire.begun")
    await_drained(lambda: routes.sessions(ctx, app_id, draining), ctx.settings.drain_timeout, draining)
    ctx.fail("retire.drained")
    still, retained = look(ctx, app_id)  # what was surplus may be wanted again by now
    leaving = {one.id for one in surplus}
    going = [one for one in still if one.id in leaving]
    kept = frozenset(one.id for one in going if one.generation in retained)
    gone = frozenset(one.id for one in going) - kept
    if kept:
        ctx.runtime.remove(app_id, ids=kept, keep=True)
    if gone:
        ctx.runtime.remove(app_id, ids=gone)
    ctx.fail("retire.ended")
    routes.put(ctx, app_id)


def look(ctx: Context, app_id: str) -> tuple[list[Instance], frozenset[int]]:
    """The app's surplus instances, and generations of which they are kept; those that a job is scaling it up to are no
    surplus, though the formation does not say so yet."""
    with ctx.db.begin() as session:
        app = session.get(App, app_id)
        if app is None:
            return [], frozenset()
        want = wanted.of(ctx, session, app)
        coming = queue.scaling(session, app_id)
    surplus = want.surplus(ctx.runtime.instances(app_id))
    grown = [one for one in surplus if one.generation == app.generation and one.number <= coming.get(one.process, 0)]
    return [one for one in surplus if one not in grown], want.retained


def await_drained(count: Callable[[], int], seconds: float, draining: Sequence[Target]) -> None:
    """Return when nothing is in progress on the draining targets, or time is up; the proxy has no event for it."""
    if not draining:
        return
    began = time.monotonic()
    while (waited := time.monotonic() - began) < seconds:
        if waited >= SHORTEST_DRAIN and count() == 0:
            return
        time.sleep(0.1)


def redeploy(ctx: Context, user: values.User, app: str) -> values.Job:
    """Build the live commit again with the configuration of now, and make that current."""
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        if row.live_commit is None:
            raise Conflict(f"{app} has never been deployed", "Push it first: git push paas main")
        job = queue.shown(session, queue.add(ctx, session, row, "redeploy", user))
    queue.wake(ctx)
    return job
