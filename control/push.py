"""THE FLOW: a push becomes the running version of an app, or changes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from control import access, apps, builds, deployments, queue, rehearsal, releases, routes, values
from control.context import Context, Standing
from control.deployments import Manner
from control.events import audit
from control.progress import Progress
from control.values import Push, Ref
from core import names
from core.errors import Conflict, Denied, Invalid, NotFound, Unavailable
from core.states import JobState
from models import App, Build, Job
from repos import bare

log = structlog.get_logger()

DETACH, NOCACHE, PLAN, CANCEL = "detach", "nocache", "plan", "cancel-on-disconnect"
OPTIONS = {
    DETACH: "return as soon as the deploy is queued",
    NOCACHE: "build everything anew",
    PLAN: "say what would happen and change nothing",
    CANCEL: "cancel the deploy when the connection is lost",
}
HEADS = "refs/heads/"
TAGS = "refs/tags/"
ZERO = "0" * 40


def push(ctx: Context, app: App, job: Job, say: Progress, *, force: bool = False) -> str:
    """Make the job's commit the running version of `app`; return its URL."""
    with say.phase("build"):
        use_cache = NOCACHE not in job.payload.get("options", ())
        build = builds.make(ctx, app, builds.of_job(ctx, job), say, force=force, use_cache=use_cache)
    release = releases.of_job(ctx, job) or releases.cut(ctx, app, job, build, describe(build, job), say)
    try:
        deployments.deploy(ctx, app, release, say, Manner(push=True))
    except Exception:
        ctx.fence()
        builds.discard(ctx, app, build)
        raise
    say.section(f"Live at {routes.url(ctx, app)} (v{release.number}, {say.summary()})")
    return routes.url(ctx, app)


def describe(build: Build, job: Job) -> str:
    return f"{'Redeploy' if job.kind == 'redeploy' else 'Deploy'} {build.commit[:7]}"


# What the SSH door calls, in this order: begin, policy, announce, settle.


def begin(ctx: Context, user: values.User, name: str) -> Push:
    """Let a push in: the app's repository, made on its first push; nothing is recorded yet."""
    max_pack, refusal = room(ctx)
    with ctx.db.begin() as session:
        row = session.scalar(select(App).where(App.name == name))
        if row is not None and not access.may_see(user, row):
            raise Conflict(f"the name {name!r} is not available", "Choose another name for the app.")
        if row is not None and row.deleting:
            raise Conflict(f"{name} is being destroyed", "Try again in a moment.")
    if row is None:
        names.app(name)
        if not ctx.settings.create_on_push:
            raise NotFound(f"there is no app {name!r}", f"Create it first: ssh paas apps:create {name}")
    app_id = row.id if row else names.new_id()
    entry = Push(names.new_id(), app_id, name, ctx.repository(app_id), user, max_pack, refusal)
    ctx.pushes[entry.id] = Standing(app=app_id, new=row is None)
    mark(ctx, entry).touch()
    if row is None:
        apps.make_repository(ctx, app_id)
    ctx.fail("push.begun")
    return entry


def mark(ctx: Context, entry: Push) -> Path:
    """While this file is there, on whichever server, the app's repository and its branch are somebody's business."""
    return ctx.scratch / f"push-{entry.app}-{entry.id}"


def room(ctx: Context) -> tuple[int, str]:
    """Bytes a pack may have, and the words for a larger one; Unavailable when the disk is too full for any."""
    free = shutil.disk_usage(ctx.settings.home).free
    spare = free - ctx.settings.disk_reserve
    numbers = f"{megabytes(free)} free, {megabytes(ctx.settings.disk_reserve)} are kept in reserve"
    if spare <= 0:
        raise Unavailable("the disk is too full to take a push", "Free some space on the server.", evidence=numbers)
    most = min(ctx.settings.pack_limit, spare)
    return most, f"the pack is larger than the {megabytes(most)} allowed ({numbers})"


def megabytes(size: int) -> str:
    return f"{size / (1 << 20):.0f} MB"


def repository(ctx: Context, user: values.User, name: str) -> Path:
    """The repository for a clone or fetch, which never makes one."""
    with ctx.db.begin() as session:
        return ctx.repository(access.find(session, user, name).id)


def notices(ctx: Context, entry: Push) -> list[str]:
    """What a pusher should know first: a deploy of this app that has not ended."""
    with ctx.db.begin() as session:
        query = select(Build.commit, Build.number).join(Job, Job.build_id == Build.id)
        query = query.where(Job.app_id == entry.app, Job.state.in_([JobState.PENDING, JobState.RUNNING]))
        found = session.execute(query.order_by(Job.id)).all()
    return [
        f"a deploy of {commit[:7]} is in flight: ssh paas builds:attach {entry.name} {number}"
        for commit, number in found
    ]


def policy(ctx: Context, entry: Push, refs: Sequence[Ref], env: Mapping[str, str], options: Sequence[str] = ()) -> None:
    """pre-receive: judge each ref, refuse when nothing of the push may pass, weigh what is new."""
    standing = ctx.pushes[entry.id]
    standing.refs, standing.options = list(refs), known(options)
    with ctx.db.begin() as session:
        row = session.get(App, entry.app)
        branch = row.branch if row else None
        access.refuse_locked(row)
    standing.branch = branch or chosen(refs)
    standing.reasons = judge(entry.name, standing.branch, refs)
    if refs and len(standing.reasons) == len(refs):
        raise Denied(next(iter(standing.reasons.values())))
    room(ctx)
    new = [ref.new for ref in refs if ref.new != ZERO]
    try:
        limits = ctx.settings
        bare.sizes(entry.path, new, env, limits.blob_limit, limits.tree_limit, limits.tree_files)
    except Invalid as error:
        standing.reasons = {ref.name: error.message for ref in refs}
        raise
    ctx.fail("push.judged")


def known(options: Sequence[str]) -> tuple[str, ...]:
    """`options` when there are such push options; Invalid names those there are."""
    for option in options:
        if option not in OPTIONS:
            meanings = "\n".join(f"git push -o {name}: {meaning}" for name, meaning in OPTIONS.items())
            raise Invalid(f"there is no push option {option!r}", meanings)
    return tuple(options)


def rehearse(ctx: Context, entry: Push, env: Mapping[str, str]) -> list[str]:
    """What `-o plan` says: what this push would do, read from what git has in quarantine."""
    standing = ctx.pushes[entry.id]
    mine = deploys(standing)
    if mine is None:
        return ["-----> Nothing of this would be deployed"]
    with ctx.db.begin() as session:
        row = session.get(App, entry.app)
    return rehearsal.rehearse(ctx, row, entry.name, entry.path, mine.new, env)


def deploys(standing: Standing) -> Ref | None:
    """The ref of a push that is to be deployed, if there is one."""
    name = f"{HEADS}{standing.branch}"
    return next((ref for ref in standing.refs if ref.name == name and name not in standing.reasons), None)


def chosen(refs: Sequence[Ref]) -> str | None:
    """The deploy branch an app gets by its first push: main or master, whichever comes first."""
    return next((ref.name.removeprefix(HEADS) for ref in refs if ref.name in (HEADS + "main", HEADS + "master")), None)


def judge(app: str, branch: str | None, refs: Sequence[Ref]) -> dict[str, str]:
    """Why refs of a push may not pass: ref name to reason; those not named may."""
    verdicts = {ref.name: objection(app, branch, ref) for ref in refs}
    return {name: reason for name, reason in verdicts.items() if reason}


def objection(app: str, branch: str | None, ref: Ref) -> str | None:
    if ref.name.startswith(TAGS):
        return None
    if not ref.name.startswith(HEADS):
        return "only branches and tags are taken"
    pushed = ref.name.removeprefix(HEADS)
    if pushed != branch:
        target = branch or "main"
        return f"{app} deploys from {target}: git push paas {pushed}:{target}"
    if ref.new == ZERO:
        return f"{pushed} is what {app} runs: it cannot be deleted (apps:destroy {app} removes the app)"
    return None


def announce(ctx: Context, entry: Push, refs: Sequence[Ref]) -> values.Job | None:
    """post-receive: put back what may not pass, queue the deploy branch's commit; None when nothing is to deploy."""
    standing = ctx.pushes[entry.id]
    ctx.fail("push.moved")
    back = [(ref.name, ref.new, ref.old) for ref in refs if ref.name in standing.reasons]
    if back:
        bare.move(entry.path, [(name, new, None if old == ZERO else old) for name, new, old in back])
    mine = deploys(standing)
    if mine is None:
        keep_app(ctx, entry, standing)
        return None
    with standing.guard:
        if standing.job is None:
            standing.job = enqueue(ctx, entry, standing, mine)
    ctx.fail("push.queued")
    queue.wake(ctx)
    return standing.job


def keep_app(ctx: Context, entry: Push, standing: Standing) -> None:
    """An app whose first push brought only tags exists all the same."""
    with ctx.db.begin() as session:
        adopt(ctx, session, entry, standing)


def adopt(ctx: Context, session: Session, entry: Push, standing: Standing) -> App:
    """The App row, inserted when this is its first push."""
    row = session.get(App, entry.app)
    if row is None:
        row = apps.insert(ctx, session, entry.user, entry.name, entry.app)
    if row.branch is None and standing.branch is not None:
        row.branch = standing.branch
    return row


def enqueue(ctx: Context, entry: Push, standing: Standing, ref: Ref) -> values.Job:
    """App, build and job in one transaction; the pushes that still wait are superseded."""
    try:
        with ctx.db.begin() as session:
            app = adopt(ctx, session, entry, standing)
            build = builds.add(session, app, entry.user, ref.new)
            wishes = [option for option in standing.options if option == NOCACHE]
            job = queue.add(ctx, session, app, "push", entry.user, build, commit=ref.new, ref=ref.name, options=wishes)
            audit(session, "push.accepted", user=entry.user.id, app=app.id, commit=ref.new)
            # Of two hooks the one of the older push may be the later to ask.
            late = bare.tip(entry.path, ref.name) != ref.new
            old = [job] if late and queue.overtake(session, job) else queue.supersede(session, app, job)
            told = {one.id: builds.named(session, one) for one in old}
            before = [builds.named(session, one) for one in queue.ahead(session, job)]
            result = queue.shown(session, job)
    except Conflict as error:  # somebody else took the name since `begin`, or too much waits
        standing.reasons[ref.name] = error.message
        bare.move(entry.path, [(ref.name, ref.new, None if ref.old == ZERO else ref.old)])
        raise
    tell(ctx, result, told, before)
    bare.set_head(entry.path, ref.name.removeprefix(HEADS))
    return result


def tell(ctx: Context, job: values.Job, superseded: Mapping[int, str], before: Sequence[str]) -> None:
    """Write into the logs of those concerned what a push that was accepted means for them."""
    for older, name in superseded.items():
        if older != job.id:
            ctx.journal.write(job.id, f"-----> Supersedes {name}, which was still waiting")
        ctx.journal.write(older, f" !     superseded by {'a newer push' if older == job.id else f'build {job.build}'}")
        ctx.journal.end(older)
    if before:
        ctx.journal.write(job.id, f"-----> Waiting for {', '.join(before)}")


def settle(ctx: Context, entry: Push, gone: bool = False) -> dict[str, str]:
    """receive-pack has ended: ref name to reason for each ref whose `ok` must become `ng`.

    Queues a deploy branch that moved although no hook announced it; removes a repository that came to nothing.
    `gone`: the client is, before the verdict.
    """
    standing = ctx.pushes.pop(entry.id)
    ctx.fail("push.settled")
    name = f"{HEADS}{standing.branch}"
    moved = deploys(standing)
    with standing.guard:
        if standing.job is None and moved is not None and bare.tip(entry.path, name) == moved.new != moved.old:
            log.warning("push.unannounced", app=entry.app, commit=moved.new)
            standing.job = enqueue(ctx, entry, standing, moved)
            queue.wake(ctx)
    if standing.new and not exists(ctx, entry.app):
        bare.remove(entry.path)
    mark(ctx, entry).unlink(missing_ok=True)
    if standing.job is None:
        ctx.turns.drifted.set()
    if gone and standing.job is not None and CANCEL in standing.options:
        with suppress(Conflict):  # it has just ended
            queue.cancel(ctx, entry.user, standing.job.id)
    reasons = dict(standing.reasons)
    if standing.job is not None:
        reasons.update(verdict_reason(ctx, standing.job.id, name))
    return reasons


def exists(ctx: Context, app_id: str) -> bool:
    with ctx.db.begin() as session:
        return session.get(App, app_id) is not None


def verdict_reason(ctx: Context, job_id: int, ref: str) -> dict[str, str]:
    with ctx.db.begin() as session:
        job = session.get(Job, job_id)
        verdict = job.verdict if job else None
    return {} if verdict is None or verdict.get("ok") else {ref: str(verdict["message"]).splitlines()[0]}


# What the worker calls.


def land(ctx: Context, app: App, job: Job, say: Progress) -> str:
    """Do the job of a push; when it fails the branch stands again on what last succeeded."""
    commit, ref = job.payload["commit"], job.payload["ref"]
    try:
        release = None if job.payload.get("options") else builds.serves(ctx, app, commit)
        if release is not None and not app.stopped:
            return already(ctx, app, job, release.number, commit, say)
        return push(ctx, app, job, say)
    except Exception:
        ctx.fence()
        step_back(ctx, app, ref, commit)
        raise


def already(ctx: Context, app: App, job: Job, number: int, commit: str, say: Progress) -> str:
    """The current release is this very thing: only the tip moves, and the attempt has its result."""
    with ctx.db.begin() as session:
        session.get_one(App, app.id).live_commit = commit
    builds.unchanged(ctx, builds.of_job(ctx, job), number)
    say.section(f"Nothing has changed: v{number} serves this at {routes.url(ctx, app)} ({say.summary()})")
    return routes.url(ctx, app)


def step_back(ctx: Context, app: App, ref: str, commit: str) -> None:
    """Move the ref back, unless a newer push has moved it on already."""
    ctx.fail("push.returning")
    with ctx.db.begin() as session:
        live = session.get_one(App, app.id).live_commit
    try:
        bare.move(ctx.repository(app.id), [(ref, commit, live)])
    except Conflict:
        log.info("push.overtaken", app=app.id, commit=commit)
