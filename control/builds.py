"""Builds: attempts to turn a commit into an image."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from builder import build as building
from builder import source
from builder.base import BuildRequest
from control import access, configvars, values
from control.context import Context
from control.events import ENDED
from control.machines import advance
from control.progress import Progress
from core.errors import BuildFailed, NotFound, StepFailed
from core.states import BuildState
from models import App, Build, Job, Release, User
from models.base import now


@dataclass(frozen=True)
class Made:
    """What an image is made from: the same three make the same image."""

    tree: str
    base: str
    config: str
    """Digest of the config vars; counts only where a build step reads them."""


def add(session: Session, app: App, user: values.User, commit: str, retry_of: str | None = None) -> Build:
    """A PENDING build, in the caller's transaction."""
    latest = session.scalar(select(func.max(Build.number)).where(Build.app_id == app.id)) or 0
    build = Build(app_id=app.id, number=latest + 1, commit=commit, user_id=user.id, retry_of=retry_of)
    session.add(build)
    session.flush()
    return build


def of_job(ctx: Context, job: Job) -> Build:
    """The job's build; a new row when a dead server left the first one running."""
    with ctx.db.begin() as session:
        build = session.get_one(Build, job.build_id)
        if build.state == BuildState.RUNNING:
            ctx.images.cancel(build.id)
            advance(session, build, BuildState.FAILED, reason="interrupted", finished_at=now())
            user = values.User(id=build.user_id or "", name="")
            app = session.get_one(App, build.app_id)
            build = add(session, app, user, build.commit, retry_of=build.id)
            session.get_one(Job, job.id).build_id = build.id
        return build


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


def make(ctx: Context, app: App, build: Build, say: Progress, *, force: bool = False) -> Build:
    """Build the commit, or take the image of an earlier build made from the same."""
    if build.state == BuildState.SUCCEEDED:  # the job was taken up again after its image was made
        return build
    say.step(f"Building {app.name} from {build.commit[:7]}")
    with ctx.db.begin() as session:
        session.add(build)
        advance(session, build, BuildState.RUNNING, started_at=now())
    try:
        made = made_from(ctx, app, build.commit)
        earlier = None if force else alike(ctx, app, made)
        if earlier is not None:
            say.detail(f"Nothing it is made from has changed since build {earlier.number}: its image is used")
            return succeed(ctx, build, earlier)
        with waiting_for_room(ctx, say):
            return compile_image(ctx, app, build, made, say)
    except Exception as error:
        fail(ctx, build, error, say)
        raise


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


@contextmanager
def waiting_for_room(ctx: Context, say: Progress) -> Iterator[None]:
    """Hold one of the machine's places for builds."""
    room = ctx.turns.builds
    if not room.acquire(blocking=False):
        say.detail("Waiting for other builds on this machine")
        room.acquire()
    try:
        yield
    finally:
        room.release()


def compile_image(ctx: Context, app: App, build: Build, made: Made, say: Progress) -> Build:
    """Export the tree, plan it, make the image."""
    folder = Path(tempfile.mkdtemp(prefix="build-", dir=ctx.settings.home / "tmp"))
    try:
        limits = source.Limits(ctx.settings.blob_limit, ctx.settings.tree_limit, ctx.settings.tree_files)
        tree = source.export(ctx.repository(app.id), build.commit, folder / "src", limits)
        for path in tree.submodules:
            say.detail(f"Submodule {path} is not fetched")
        ctx.fail("build.exported")
        prepared = building.plan(tree.folder, ctx.settings.stack)
        for line in prepared.words():
            say(line)
        with ctx.db.begin() as session:
            config = configvars.snapshot(ctx, session, app)
        request = BuildRequest(
            build=build.id,
            app=app.id,
            folder=tree.folder,
            plan=prepared.plan,
            config=config,
        )
        image = ctx.images.build(request, say)
        ctx.fail("build.built")
        processes = {
            name: {"argv": list(argv), "command": prepared.commands[name]} for name, argv in prepared.processes.items()
        }
        port = prepared.plan.port or image.port
        reads = made.config if prepared.plan.reads_config else None
        result = Build(
            tree=made.tree,
            base=made.base,
            config_digest=reads,
            image=image.digest,
            port=port if prepared.plan.pack == "dockerfile" else None,
            processes=processes,
            pack=prepared.plan.pack,
        )
        return succeed(ctx, build, result)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


RESULT = ("tree", "base", "config_digest", "image", "port", "processes", "pack")


def succeed(ctx: Context, build: Build, result: Build) -> Build:
    """Record the result: a new one, or that of an earlier build."""
    changes = {name: getattr(result, name) for name in RESULT}
    with ctx.db.begin() as session:
        session.add(build)
        advance(session, build, BuildState.SUCCEEDED, finished_at=now(), **changes)
    return build


def fail(ctx: Context, build: Build, error: Exception, say: Progress) -> None:
    reason = error.reason if isinstance(error, StepFailed) else "step" if isinstance(error, BuildFailed) else "error"
    with ctx.db.begin() as session:
        session.add(build)
        advance(session, build, BuildState.FAILED, reason=reason, error=say.hide(str(error)), finished_at=now())


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
    ctx.images.remove(digest)


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


def output(ctx: Context, user: values.User, app: str, number: int | None = None) -> str:
    """The log of a build: all its job has said so far."""
    with ctx.db.begin() as session:
        build = find(session, access.find(session, user, app), number)
        job = session.scalar(select(Job).where(Job.build_id == build.id).order_by(Job.id.desc()).limit(1))
    if job is not None and job.state in ENDED and not ctx.journal.path(job.id).exists():
        kept = f"Those of the newest {ctx.settings.kept_builds} are, for {ctx.settings.kept_log_days} days."
        raise NotFound(f"the log of build {build.number} is no longer kept", kept)
    lines, _ = ctx.journal.read(job.id) if job is not None else ([], 0)
    return "\n".join(lines) + ("\n" if lines else "")


def shown(session: Session, build: Build) -> values.Build:
    user = session.get(User, build.user_id) if build.user_id else None
    return values.Build(
        number=build.number,
        commit=build.commit,
        state=build.state,
        reason=build.reason,
        pack=build.pack,
        user=user.name if user else None,
        error=build.error,
        created_at=build.created_at,
        started_at=build.started_at,
        finished_at=build.finished_at,
    )
