"""Doing the jobs: a thread of its own for each one that runs."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import structlog

from control import (
    builds,
    configvars,
    deployments,
    garbage,
    heartbeat,
    processes,
    push,
    queue,
    releases,
    requirements,
    returns,
    routes,
    scripts,
)
from control.context import Context
from control.deployments import Manner
from control.lease import Fenced
from control.progress import Progress
from core.errors import Cancelled, Conflict, PlatformError, Unavailable
from core.states import JobState
from models import App, Job, Release
from repos import bare
from runtime.base import ONCE

log = structlog.get_logger()

Verb = Callable[[Context, App, Job, Progress], None]

AGAIN = 1.0
"""Seconds until a database that did not answer is asked again."""


def run(ctx: Context, stopping: threading.Event) -> None:
    """Claim and start jobs until told to stop; woken when one is queued and when one ends.

    Where another server may share the database it also looks now and then, since that one may die.
    """
    watch = heartbeat.Watch()
    while not stopping.is_set():
        ctx.turns.queued.clear()
        try:
            others = heartbeat.take_over(ctx, watch) or ctx.settings.shared
            while (job := queue.claim(ctx)) is not None:
                begin(ctx, job)
        except PlatformError as error:
            log.error("claim.failed", error=str(error))
            watch.seen.clear()  # while the database is away no beat can move
            stopping.wait(AGAIN)
            continue
        except Exception:
            log.exception("claim.failed")
            stopping.wait(AGAIN)
            continue
        ctx.turns.queued.wait(ctx.settings.lease / 5 if others else None)


def begin(ctx: Context, job: Job) -> None:
    """Work on a job just claimed, in a thread of its own."""
    try:
        threading.Thread(target=work, args=(held(ctx, job), job), name=f"job-{job.id}", daemon=True).start()
    except RuntimeError:  # no more threads: without its lease it goes back into the line
        ctx.leases.pop(job.id, None)
        raise


def held(ctx: Context, job: Job) -> Context:
    """The context in which a job just claimed is done."""
    return replace(ctx, lease=queue.hold(ctx, job))


def work(ctx: Context, job: Job) -> None:
    """Do one job to its verdict, whatever happens."""
    say = Progress(lambda line: ctx.journal.write(job.id, line))
    try:
        ctx.fail("job.claimed")
        state, verdict = attempt(ctx, job, say)
        ctx.fail("job.done")
        conclude(ctx, job, state, verdict)
    except Fenced as fenced:
        log.warning("job.fenced", job=job.id, kind=job.kind, lease=str(fenced))
    except Exception:
        log.exception("job.lost", job=job.id, kind=job.kind)
    finally:
        if ctx.leases.get(job.id) is ctx.lease:
            del ctx.leases[job.id]
        ctx.journal.end(job.id)
        queue.wake(ctx)
        ctx.turns.drifted.set()
    garbage.collect(ctx, job.app_id or "")


def conclude(ctx: Context, job: Job, state: JobState, verdict: dict[str, Any]) -> None:
    """Record the verdict, however long the database is away or its disk is full."""
    while True:
        try:
            return queue.finish(ctx, job, state, verdict)
        except Unavailable as error:
            log.error("verdict.unwritten", job=job.id, error=str(error))
            time.sleep(AGAIN)


def attempt(ctx: Context, job: Job, say: Progress) -> tuple[JobState, dict[str, Any]]:
    """The verdict of one job; an unexpected error is told as such, its trace goes to the server's log."""
    try:
        ctx.check()
        with ctx.turns.work(job.app_id or "", ctx.check):
            app = prepare(ctx, job, say)
            if app is not None:
                if job.generation > 1:  # what a server that died had begun must not run beside what is begun now
                    ctx.runtime.remove(app.id, process=ONCE, grace=0)
                VERBS[job.kind](ctx, app, job, say)
            return JobState.SUCCEEDED, success(ctx, job, say)
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
    ctx.fence()
    requirements.undo(ctx, job)
    for line in failure.lines():
        say.error(line)
    ended = JobState.CANCELLED if isinstance(failure, Cancelled) else JobState.FAILED
    verdict = queue.failure(failure)
    return ended, {name: say.hide(part) if isinstance(part, str) else part for name, part in verdict.items()}


def prepare(ctx: Context, job: Job, say: Progress) -> App | None:
    """The job's app; its secrets are kept out of the log from here on."""
    with ctx.db.begin() as session:
        app = session.get(App, job.app_id) if job.app_id else None
        if app is not None:
            say.redact(configvars.snapshot(ctx, session, app).values())
        return app


def success(ctx: Context, job: Job, say: Progress) -> dict[str, Any]:
    warning = {"warning": "\n".join(say.warnings)} if say.warnings else {}
    with ctx.db.begin() as session:
        app = session.get(App, job.app_id) if job.app_id else None
        release = session.get(Release, app.release_id) if app and app.release_id else None
        return {
            "ok": True,
            "url": routes.url(ctx, app) if app else "",
            "release": release.number if release else None,
            **warning,
        }


def pushed(ctx: Context, app: App, job: Job, say: Progress) -> None:
    if not finished_before(ctx, app, job, say):
        push.land(ctx, app, job, say)


def finished_before(ctx: Context, app: App, job: Job, say: Progress) -> bool:
    """Whether the server died after this job's release had gone live; what was to run after that runs now."""
    release = releases.of_job(ctx, job)
    if release is None or release.id != app.release_id:
        return False
    if "instead_of" not in job.payload:
        scripts.after(ctx, app, release, say)
    return True


def redeployed(ctx: Context, app: App, job: Job, say: Progress) -> None:
    if finished_before(ctx, app, job, say) or app.live_commit is None:
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
    if finished_before(ctx, app, job, say):
        return
    old = releases.current(ctx, app)
    if old is None:
        return
    release = releases.of_job(ctx, job) or releases.renew(ctx, app, job, old, job.payload["description"], say)
    shift(ctx, app, release, say, Manner(wakes=False))


def rolled_back(ctx: Context, app: App, job: Job, say: Progress) -> None:
    if finished_before(ctx, app, job, say):
        return
    with ctx.db.begin() as session:
        old = releases.find(session, app, job.payload["release"])
    bad = job.payload.get("instead_of")
    if bad is not None and releases.current_number(ctx, app) != bad:
        return  # whoever changed the app meanwhile has the last word
    why = (
        f"Rollback to v{old.number}" if bad is None else f"Automatic rollback to v{old.number}: {job.payload['reason']}"
    )
    if bad is not None:
        say.step(f"v{bad} misbehaves: {job.payload['reason']}")
    release = releases.of_job(ctx, job) or releases.copy(ctx, app, job, old, why, say)
    kept = returns.kept(ctx, app, old)
    try:
        shift(ctx, app, release, say, Manner(once=bad is None, wakes=False, retains=bad is None, kept=kept))
    except PlatformError as error:
        if bad is not None and not isinstance(error, Cancelled):
            releases.watch_again(ctx, app, bad)
        raise


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
    ctx.at("app.destroying")
    ctx.proxy.delete(app.id)
    ctx.runtime.remove(app.id)
    for digest in builds.images_of(ctx, app):
        with suppress(Conflict):  # somebody else's container has it; reconcile removes it once that is gone
            ctx.images.remove(digest)
    bare.remove(ctx.repository(app.id))
    shutil.rmtree(ctx.settings.home / "logs" / "apps" / app.id, ignore_errors=True)
    ctx.at("app.forgotten")
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
