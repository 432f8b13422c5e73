"""Doing the jobs: a thread of its own for each one that runs."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from typing import Any

import structlog

from control import builds, configvars, deployments, garbage, processes, push, queue, releases, routes
from control.context import Context
from control.deployments import Manner
from control.progress import Progress
from core.errors import PlatformError, Unavailable
from core.states import JobState
from models import App, Job, Release
from repos import bare

log = structlog.get_logger()

Verb = Callable[[Context, App, Job, Progress], None]


def run(ctx: Context, stopping: threading.Event) -> None:
    """Claim and start jobs until told to stop; woken when one is queued and when one ends."""
    for left in queue.release_abandoned(ctx):
        log.info("job.abandoned", job=left.id, kind=left.kind, state=left.state)
    while not stopping.is_set():
        ctx.turns.queued.clear()
        try:
            while (job := queue.claim(ctx)) is not None:
                threading.Thread(target=work, args=(ctx, job), name=f"job-{job.id}", daemon=True).start()
        except PlatformError as error:
            log.error("claim.failed", error=str(error))
            stopping.wait(1)  # the database is away: look again soon
            continue
        ctx.turns.queued.wait()


def work(ctx: Context, job: Job) -> None:
    """Do one job to its verdict, whatever happens."""
    say = Progress(lambda line: ctx.journal.write(job.id, line))
    try:
        ctx.fail("job.claimed")
        state, verdict = attempt(ctx, job, say)
        ctx.fail("job.done")
        queue.finish(ctx, job, state, verdict)
    except Exception:
        log.exception("job.lost", job=job.id, kind=job.kind)
    finally:
        ctx.journal.end(job.id)
        queue.wake(ctx)
        ctx.turns.drifted.set()
    garbage.collect(ctx, job.app_id or "")


def attempt(ctx: Context, job: Job, say: Progress) -> tuple[JobState, dict[str, Any]]:
    """The verdict of one job; an unexpected error is told as such, its trace goes to the server's log."""
    try:
        with ctx.turns.work(job.app_id or ""):
            app = prepare(ctx, job, say)
            if app is not None:
                VERBS[job.kind](ctx, app, job, say)
            return JobState.SUCCEEDED, success(ctx, job)
    except PlatformError as error:
        log.info("job.failed", job=job.id, kind=job.kind, code=error.code, cause=str(error.__cause__ or ""))
        failure = error
    except Exception as error:
        log.exception("job.crashed", job=job.id, kind=job.kind)
        failure = Unavailable(
            "the server failed in a way it did not expect",
            "Try again; the server's log has the details.",
            evidence=type(error).__name__,
        )
    for line in failure.lines():
        say.error(line)
    verdict = queue.failure(failure)
    return JobState.FAILED, {name: say.hide(part) if isinstance(part, str) else part for name, part in verdict.items()}


def prepare(ctx: Context, job: Job, say: Progress) -> App | None:
    """The job's app; its secrets are kept out of the log from here on."""
    with ctx.db.begin() as session:
        app = session.get(App, job.app_id) if job.app_id else None
        if app is not None:
            say.redact(configvars.snapshot(ctx, session, app).values())
        return app


def success(ctx: Context, job: Job) -> dict[str, Any]:
    with ctx.db.begin() as session:
        app = session.get(App, job.app_id) if job.app_id else None
        release = session.get(Release, app.release_id) if app and app.release_id else None
        return {
            "ok": True,
            "url": routes.url(ctx, app) if app else "",
            "release": release.number if release else None,
        }


def pushed(ctx: Context, app: App, job: Job, say: Progress) -> None:
    if not finished_before(ctx, app, job):
        push.land(ctx, app, job, say)


def finished_before(ctx: Context, app: App, job: Job) -> bool:
    """Whether the server died after this job's release had gone live, with only the verdict to write."""
    release = releases.of_job(ctx, job)
    return release is not None and release.id == app.release_id


def redeployed(ctx: Context, app: App, job: Job, say: Progress) -> None:
    if finished_before(ctx, app, job) or app.live_commit is None:
        return
    if job.build_id is None:  # the commit that is live now: pushes that came before this job have had their turn
        user = queue.user_of(ctx, job)
        with ctx.db.begin() as session:
            row = session.get_one(Job, job.id)
            row.build_id = builds.add(session, app, user, app.live_commit).id
        job.build_id = row.build_id
    push.push(ctx, app, job, say, force=True)


def configured(ctx: Context, app: App, job: Job, say: Progress) -> None:
    """A release of the same build with the configuration as it is now."""
    if finished_before(ctx, app, job):
        return
    old = releases.current(ctx, app)
    if old is None:
        return
    release = releases.of_job(ctx, job) or releases.renew(ctx, app, job, old, job.payload["description"], say)
    shift(ctx, app, release, say, Manner(wakes=False))


def rolled_back(ctx: Context, app: App, job: Job, say: Progress) -> None:
    if finished_before(ctx, app, job):
        return
    with ctx.db.begin() as session:
        old = releases.find(session, app, job.payload["release"])
    release = releases.of_job(ctx, job) or releases.copy(ctx, app, job, old, f"Rollback to v{old.number}", say)
    shift(ctx, app, release, say, Manner(wakes=False))


def restarted(ctx: Context, app: App, job: Job, say: Progress) -> None:
    release = releases.current(ctx, app)
    if release is not None:
        shift(ctx, app, release, say, Manner(once=False))


def shift(ctx: Context, app: App, release: Release, say: Progress, manner: Manner) -> None:
    """Deploy and say what came of it."""
    deployments.deploy(ctx, app, release, say, manner)
    place = "Stopped still" if app.stopped and not manner.wakes else f"Live at {routes.url(ctx, app)}"
    say.section(f"{place} (v{release.number}, {say.summary()})")


def scaled(ctx: Context, app: App, job: Job, say: Progress) -> None:
    processes.apply_scale(ctx, app, job.payload["counts"], say)


def stopped(ctx: Context, app: App, job: Job, say: Progress) -> None:
    processes.halt(ctx, app, say)


def destroyed(ctx: Context, app: App, job: Job, say: Progress) -> None:
    """Everything of the app: route, instances, network, images, repository, logs, rows."""
    say.step(f"Destroying {app.name}")
    ctx.proxy.delete(app.id)
    ctx.runtime.remove(app.id)
    for digest in builds.images_of(ctx, app):
        ctx.images.remove(digest)
    bare.remove(ctx.repository(app.id))
    shutil.rmtree(ctx.settings.home / "logs" / "apps" / app.id, ignore_errors=True)
    with ctx.db.begin() as session:
        session.delete(session.get_one(App, app.id))
    say.section(f"{app.name} is gone")


VERBS: dict[str, Verb] = {
    "push": pushed,
    "redeploy": redeployed,
    "config": configured,
    "rollback": rolled_back,
    "restart": restarted,
    "start": restarted,
    "scale": scaled,
    "stop": stopped,
    "destroy": destroyed,
}
