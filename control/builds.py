"""Builds: attempts to turn a commit into an image."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from builder import build as building
from builder import source
from builder.base import BuildRequest, Image
from builder.build import Prepared
from control import access, configvars, places, queue, requirements, values
from control.context import Context
from control.events import said
from control.machines import advance
from control.progress import Progress
from core.errors import BuildFailed, Cancelled, Conflict, NotFound, PlatformError, StepFailed
from core.states import BuildState
from models import App, Build, Job, Release, User
from models.base import now

log = structlog.get_logger()


@dataclass(frozen=True)
class Made:
    """What an image is made from: the same three make the same image."""

    tree: str
    base: str
    config: str
    """Digest of the config vars; counts only where a build step reads them."""


def add(session: Session, app: App, user: values.User, commit: str, retry_of: str | None = None) -> Build:
    """A PENDING build, in the caller's transaction; others that number builds of the app wait until it ends."""
    session.execute(select(App.id).where(App.id == app.id).with_for_update())
    latest = session.scalar(select(func.max(Build.number)).where(Build.app_id == app.id)) or 0
    build = Build(app_id=app.id, number=latest + 1, commit=commit, user_id=user.id or None, retry_of=retry_of)
    session.add(build)
    session.flush()
    return build


def of_job(ctx: Context, job: Job) -> Build:
    """The job's build; a new row when a dead server left the first one running, or failed without a verdict."""
    with ctx.db.begin() as session:
        build = session.get_one(Build, session.get_one(Job, job.id).build_id)
    if build.state == BuildState.RUNNING:
        ctx.images.cancel(build.id)
    if build.state in (BuildState.PENDING, BuildState.SUCCEEDED):
        return build
    with ctx.db.begin() as session:
        session.add(build)
        advance(session, build, BuildState.FAILED, reason="interrupted", finished_at=now())
        user = values.User(id=build.user_id or "", name="")
        again = add(session, session.get_one(App, build.app_id), user, build.commit, retry_of=build.id)
        session.get_one(Job, job.id).build_id = again.id
        return again


def made_from(ctx: Context, app: App, commit: str) -> Made:
    """What an image of this commit would be made from now."""
    with ctx.db.begin() as session:
        config = configvars.snapshot(ctx, session, app)
    tree = source.tree_of(ctx.repository(app.id), commit)
    return Made(tree=tree, base=ctx.base, config=configvars.digest(config))


def serves(ctx: Context, app: App, commit: str) -> Release | None:
    """The current release when a release of `commit` would be the very same thing."""
    made = made_from(ctx, app, commit)
    with ctx.db.begin() as session:
        release = session.get(Release, app.release_id) if app.release_id else None
        build = session.get(Build, release.build_id) if release and release.build_id else None
        if release is None or build is None or not same(build, made):
            return None
        config = configvars.open_snapshot(ctx, app, release.number, release.sealed_config)
        return release if configvars.digest(config) == made.config else None


def same(build: Build, made: Made) -> bool:
    """Whether the image of `build` is what `made` would give."""
    return (build.tree, build.base) == (made.tree, made.base) and build.config_digest in (None, made.config)


def make(ctx: Context, app: App, build: Build, say: Progress, *, force: bool = False, use_cache: bool = True) -> Build:
    """Build the commit, or take the image of an earlier build made from the same."""
    if build.state == BuildState.SUCCEEDED:  # the job was taken up again after its image was made
        return build
    say.step(f"Building {app.name} from {build.commit[:7]}")
    attach = f"ssh paas builds:attach {app.name} {build.number}"
    say.detail(f"Build {build.number} goes on when you leave: {attach}")
    try:
        made = made_from(ctx, app, build.commit)
        earlier = None if force or not use_cache else alike(ctx, app, made)
        if earlier is not None and requirements.met(ctx, app, earlier):
            say.detail(f"Nothing it is made from has changed since build {earlier.number}: its image is used")
            start(ctx, build)
            return succeed(ctx, build, earlier)
        places.take(ctx, build, say)
        ctx.at("build.started")
        return compile_image(ctx, app, build, made, say, use_cache)
    except Exception as error:
        fail(ctx, build, error, say)
        raise
    finally:
        places.free(ctx)


def start(ctx: Context, build: Build) -> None:
    """RUNNING, for the moment that it takes to note a result that is there."""
    with ctx.db.begin() as session:
        session.add(build)
        advance(session, build, BuildState.RUNNING, started_at=now())


def alike(ctx: Context, app: App, made: Made) -> Build | None:
    """The latest build that made the same image, if the engine still has it."""
    with ctx.db.begin() as session:
        query = select(Build).where(
            Build.app_id == app.id, Build.state == BuildState.SUCCEEDED, Build.tree == made.tree
        )
        found = [build for build in session.scalars(query.order_by(Build.number.desc())) if same(build, made)]
    if not found:
        return None
    kept = set(ctx.images.images())
    return next((build for build in found if build.image in kept), None)


def compile_image(ctx: Context, app: App, build: Build, made: Made, say: Progress, use_cache: bool) -> Build:
    """Export the tree, plan it, make the image."""
    folder = Path(tempfile.mkdtemp(prefix="build-", dir=ctx.scratch))
    try:
        tree = source.export(ctx.repository(app.id), build.commit, folder / "src", limits(ctx))
        for path in tree.submodules:
            say.detail(f"Submodule {path} is not fetched")
        ctx.at("build.exported")
        prepared = building.plan(tree.folder, ctx.settings.stack)
        for line in prepared.words():
            say(line)
        config = requirements.meet(ctx, app, build, prepared.manifest, prepared.expected, say)
        request = BuildRequest(
            build=build.id,
            app=app.id,
            folder=tree.folder,
            plan=prepared.plan,
            config=config,
            use_cache=use_cache,
        )
        ctx.at("build.planned")
        image = image_of(ctx, request, say)
        ctx.at("build.built")
        return succeed(ctx, build, result_of(prepared, replace(made, config=configvars.digest(config)), image))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def result_of(prepared: Prepared, made: Made, image: Image) -> Build:
    """What a build row says once its image is there."""
    port = prepared.plan.port or image.port
    return Build(
        tree=made.tree,
        base=made.base,
        config_digest=made.config if prepared.plan.reads_config else None,
        image=image.digest,
        port=port if prepared.plan.pack == "dockerfile" else None,
        processes={
            name: {"argv": list(argv), "command": prepared.commands[name]} for name, argv in prepared.processes.items()
        },
        pack=prepared.plan.pack,
        manifest=prepared.document(),
    )


def limits(ctx: Context) -> source.Limits:
    return source.Limits(ctx.settings.blob_limit, ctx.settings.tree_limit, ctx.settings.tree_files)


def image_of(ctx: Context, request: BuildRequest, say: Progress) -> Image:
    """Let the engine build it; a job that must end takes the build and all it started with it."""
    with ctx.ending(lambda: ctx.images.cancel(request.build)):
        try:
            return ctx.images.build(request, say)
        except StepFailed:
            ctx.check()  # when it was cancelled, that is what there is to say
            raise


RESULT = ("tree", "base", "config_digest", "image", "port", "processes", "pack", "manifest")


def succeed(ctx: Context, build: Build, result: Build, reason: str | None = None) -> Build:
    """Record the result: a new one, or that of an earlier build."""
    changes = {"reason": reason, **{name: getattr(result, name) for name in RESULT}}
    with ctx.db.begin() as session:
        session.add(build)
        advance(session, build, BuildState.SUCCEEDED, finished_at=now(), **changes)
    ctx.at("build.recorded")
    return build


def unchanged(ctx: Context, build: Build, number: int) -> None:
    """The attempt found everything as release `number` has it: that release's image is its result."""
    with ctx.db.begin() as session:
        release = session.scalar(select(Release).where(Release.app_id == build.app_id, Release.number == number))
        serving = session.get(Build, release.build_id) if release and release.build_id else None
    if serving is not None and build.state == BuildState.PENDING:
        start(ctx, build)
        succeed(ctx, build, serving, reason="unchanged")


def fail(ctx: Context, build: Build, error: Exception, say: Progress) -> None:
    state, reason = ended(error)
    with ctx.db.begin() as session:
        session.add(build)
        advance(session, build, state, reason=reason, error=say.hide(str(error)), finished_at=now())


def ended(error: Exception) -> tuple[BuildState, str]:
    """The state and the reason of a build that ended with `error`."""
    if isinstance(error, Cancelled):
        return BuildState.CANCELLED, "cancelled"
    if isinstance(error, StepFailed):
        return BuildState.FAILED, error.reason
    return BuildState.FAILED, "step" if isinstance(error, BuildFailed) else "error"


def discard(ctx: Context, app: App, build: Build) -> None:
    """Remove the image of a build whose release failed, unless another release stands on it."""
    with ctx.db.begin() as session:
        query = select(Release.id).where(
            Release.app_id == app.id, Release.image == build.image, Release.failed.is_(False)
        )
        needed = session.scalar(query.limit(1)) is not None
        if needed or build.image is None:
            return
        for row in session.scalars(select(Build).where(Build.app_id == app.id, Build.image == build.image)):
            row.image = None
        digest = build.image
    try:
        ctx.images.remove(digest)
    except PlatformError as trouble:  # an instance of the attempt still has it, or the engine is away: swept later
        log.warning("image.kept", app=app.id, error=str(trouble))


def images_of(ctx: Context, app: App) -> set[str]:
    """Digests of every image the app's builds have left."""
    with ctx.db.begin() as session:
        return {build.image for build in session.scalars(select(Build).where(Build.app_id == app.id)) if build.image}


def list_builds(ctx: Context, user: values.User, app: str) -> list[values.Build]:
    """Every build, newest first."""
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        query = select(Build).where(Build.app_id == row.id).order_by(Build.number.desc())
        return [shown(session, build) for build in session.scalars(query)]


def find(session: Session, app: App, number: int | None) -> Build:
    """The app's build of that number; the latest for None."""
    query = select(Build).where(Build.app_id == app.id).order_by(Build.number.desc())
    if number is not None:
        query = query.where(Build.number == number)
    build = session.scalar(query.limit(1))
    if build is None:
        wanted = f"build {number}" if number is not None else "build yet"
        raise NotFound(f"{app.name} has no {wanted}", f"builds {app.name} shows them.")
    return build


def info(ctx: Context, user: values.User, app: str, number: int | None = None) -> values.Build:
    with ctx.db.begin() as session:
        return shown(session, find(session, access.find(session, user, app), number))


def named(session: Session, job: Job) -> str:
    """`build 12 (1a2b3c4)`, or the kind of a job that builds nothing."""
    build = session.get(Build, job.build_id) if job.build_id else None
    return f"build {build.number} ({build.commit[:7]})" if build else f"a {job.kind}"


def job_of(session: Session, build: Build) -> int | None:
    """The job that made, makes or shall make the build; that of its retry when its server died."""
    retry = session.scalar(select(Build).where(Build.retry_of == build.id))
    if retry is not None:
        return job_of(session, retry)
    return session.scalar(select(Job.id).where(Job.build_id == build.id).order_by(Job.id.desc()).limit(1))


def cancel(ctx: Context, user: values.User, app: str, number: int | None = None) -> values.Job:
    """End what is in flight now: the build of that number, or whatever is being done to the app."""
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        job = job_of(session, find(session, row, number)) if number is not None else queue.in_flight(session, row).id
    if job is None:
        raise Conflict(f"build {number} has ended", "There is nothing to cancel.")
    return queue.cancel(ctx, user, job)


def output(ctx: Context, user: values.User, app: str, number: int | None = None) -> str:
    """The log of a build: all its job has said so far."""
    with ctx.db.begin() as session:
        build = find(session, access.find(session, user, app), number)
        number_of_job = job_of(session, build)
        job = session.get(Job, number_of_job) if number_of_job is not None else None
    return said(ctx, job, f"build {build.number}")


def shown(session: Session, build: Build) -> values.Build:
    user = session.get(User, build.user_id) if build.user_id else None
    return values.Build(
        number=build.number,
        commit=build.commit,
        state=build.state,
        reason=build.reason,
        pack=build.pack,
        job=job_of(session, build),
        user=user.name if user else None,
        error=build.error,
        created_at=build.created_at,
        started_at=build.started_at,
        finished_at=build.finished_at,
    )
