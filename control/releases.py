"""Releases: an image and a configuration, numbered and immutable."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from control import access, configvars, queue, values
from control.context import Context
from control.events import audit, said
from control.progress import Progress
from core.errors import Conflict, NotFound
from models import App, Build, Job, Release, User


def cut(ctx: Context, app: App, job: Job, build: Build, description: str, say: Progress) -> Release:
    """A release of this build with the configuration as it is now."""
    if build.image is None or build.processes is None:
        raise Conflict(f"build {build.number} has no image", "Push again.")
    fresh = Release(
        build_id=build.id,
        commit=build.commit,
        image=build.image,
        port=build.port,
        processes=build.processes,
        manifest=build.manifest,
    )
    return renew(ctx, app, job, fresh, description, say)


def renew(ctx: Context, app: App, job: Job, old: Release, description: str, say: Progress) -> Release:
    """A new release of the same image with the configuration as it is now."""
    with ctx.db.begin() as session:
        config = configvars.snapshot(ctx, session, app)
    return again(ctx, app, job, old, description, config, say)


def copy(ctx: Context, app: App, job: Job, old: Release, description: str, say: Progress) -> Release:
    """A new release with the image, configuration and process types of an old one."""
    refuse_collected(ctx, old)
    config = configvars.open_snapshot(ctx, app, old.number, old.sealed_config)
    return again(ctx, app, job, old, description, config, say)


def refuse_collected(ctx: Context, release: Release) -> None:
    """Conflict when the release's image was removed to make room."""
    if release.collected:
        kept = f"the newest {ctx.settings.kept_releases} are"
        raise Conflict(f"v{release.number}'s image is no longer kept ({kept})", "Push its commit again.")


def again(
    ctx: Context, app: App, job: Job, old: Release, description: str, config: Mapping[str, str], say: Progress
) -> Release:
    say.redact(config.values())
    release = Release(
        build_id=old.build_id,
        commit=old.commit,
        image=old.image,
        port=old.port,
        processes=old.processes,
        manifest=old.manifest,
        description=description,
    )
    with ctx.db.begin() as session:
        insert(ctx, session, app, job, release, config)
    say.step(f"Releasing v{release.number}")
    ctx.at("release.cut")
    return release


def insert(ctx: Context, session: Session, app: App, job: Job, release: Release, config: Mapping[str, str]) -> None:
    """Number the release, seal its configuration and add it."""
    latest = session.scalar(select(func.max(Release.number)).where(Release.app_id == app.id)) or 0
    release.app_id, release.job_id, release.user_id = app.id, job.id, job.user_id
    release.number = latest + 1
    release.sealed_config = configvars.seal_snapshot(ctx, app, release.number, config)
    session.add(release)
    session.flush()
    audit(session, "release.cut", user=job.user_id, app=app.id, number=release.number)


def current(ctx: Context, app: App) -> Release | None:
    with ctx.db.begin() as session:
        return session.get(Release, app.release_id) if app.release_id else None


def current_number(ctx: Context, app: App) -> int | None:
    release = current(ctx, app)
    return release.number if release else None


def of_job(ctx: Context, job: Job) -> Release | None:
    """The release this job has cut already, when it is taken up a second time."""
    with ctx.db.begin() as session:
        query = select(Release).where(Release.job_id == job.id, Release.failed.is_(False))
        return session.scalar(query.order_by(Release.number.desc()).limit(1))


def find(session: Session, app: App, number: int) -> Release:
    release = session.scalar(select(Release).where(Release.app_id == app.id, Release.number == number))
    if release is None:
        raise NotFound(f"{app.name} has no release v{number}", f"releases {app.name} shows them.")
    return release


def list_releases(ctx: Context, user: values.User, app: str) -> list[values.Release]:
    """Every release, newest first."""
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        query = select(Release).where(Release.app_id == row.id).order_by(Release.number.desc())
        return [shown(session, row, release) for release in session.scalars(query)]


def info(ctx: Context, user: values.User, app: str, number: int) -> values.Release:
    """One release with the names of the config vars that differ from the one before."""
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        release = find(session, row, number)
        query = select(Release).where(Release.app_id == row.id, Release.number < number)
        previous = session.scalar(query.order_by(Release.number.desc()).limit(1))
        new = configvars.open_snapshot(ctx, row, release.number, release.sealed_config)
        old = configvars.open_snapshot(ctx, row, previous.number, previous.sealed_config) if previous else {}
        return shown(
            session,
            row,
            release,
            added=tuple(sorted(new.keys() - old.keys())),
            changed=tuple(sorted(name for name in new.keys() & old.keys() if new[name] != old[name])),
            removed=tuple(sorted(old.keys() - new.keys())),
        )


def output(ctx: Context, user: values.User, app: str, number: int) -> str:
    """What the job that made the release has said: its build, the release command, the switch."""
    with ctx.db.begin() as session:
        release = find(session, access.find(session, user, app), number)
        job = session.get(Job, release.job_id) if release.job_id is not None else None
    return said(ctx, job, f"v{number}")


def shown(
    session: Session,
    app: App,
    release: Release,
    added: tuple[str, ...] = (),
    changed: tuple[str, ...] = (),
    removed: tuple[str, ...] = (),
) -> values.Release:
    user = session.get(User, release.user_id) if release.user_id else None
    build = session.get(Build, release.build_id) if release.build_id else None
    return values.Release(
        number=release.number,
        current=release.id == app.release_id,
        failed=release.failed,
        trouble=release.trouble,
        commit=release.commit,
        description=release.description,
        user=user.name if user else None,
        created_at=release.created_at,
        build=build.number if build else None,
        image=release.image,
        processes={name: process["command"] for name, process in release.processes.items()},
        config_added=added,
        config_changed=changed,
        config_removed=removed,
        collected=release.collected,
    )


def roll_back(ctx: Context, user: values.User, app: str, number: int | None = None) -> values.Job:
    """Make an older release current again, as a new one: the one before, or `number`."""
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        target = find(session, row, number) if number is not None else before(session, row)
        if target.failed or not target.ran:
            raise Conflict(f"v{target.number} never ran", f"releases {app} shows which did.")
        if target.id == row.release_id:
            raise Conflict(f"v{target.number} is what runs now", f"releases {app} shows the others.")
        refuse_collected(ctx, target)
        job = queue.shown(session, queue.add(ctx, session, row, "rollback", user, release=target.number))
    queue.wake(ctx)
    return job


def take_back(ctx: Context, app: App, bad: Release, good: Release, reason: str) -> None:
    """Queue the return from a release that misbehaves to the one before it, once."""
    with ctx.db.begin() as session:
        row = session.get_one(Release, bad.id)
        if row.trouble is not None:
            return
        row.trouble = reason
        nobody = values.User(id="", name="paas")
        audit(session, "release.misbehaved", app=app.id, number=bad.number, reason=reason)
        queue.add(ctx, session, app, "rollback", nobody, release=good.number, instead_of=bad.number, reason=reason)
    ctx.taps.tell(app.id, f"v{bad.number} is taken back, v{good.number} returns: {reason}")
    queue.wake(ctx)


def watch_again(ctx: Context, app: App, number: int) -> None:
    """The return from this release did not succeed: it is watched as before."""
    with ctx.db.begin() as session:
        find(session, app, number).trouble = None


def before(session: Session, app: App) -> Release:
    """The release that ran before the current one."""
    now = session.get(Release, app.release_id) if app.release_id else None
    query = select(Release).where(Release.app_id == app.id, Release.ran.is_(True), Release.failed.is_(False))
    if now is not None:
        query = query.where(Release.number < now.number)
    release = session.scalar(query.order_by(Release.number.desc()).limit(1))
    if now is None or release is None:
        raise Conflict(f"{app.name} has no release to go back to", f"releases {app.name} shows them.")
    return release
