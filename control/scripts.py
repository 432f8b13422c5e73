"""Commands that run once around a switch, each in an instance of its own: predeploy, release command, postdeploy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from builder.manifest import Manifest
from control import configvars, wanted
from control.context import Context
from control.progress import Progress
from core.errors import PlatformError, ReleaseCommandFailed
from models import App, Job, Release
from runtime import oneoff
from runtime.base import ONCE, OneOff

log = structlog.get_logger()

BEGUN = "postdeploy"
"""In the payload of a job: its postdeploy scripts have been started."""


@dataclass(frozen=True)
class Script:
    title: str
    """What it is called in logs."""
    line: str
    """As its author wrote it."""
    argv: tuple[str, ...]


def of(release: Release, name: str, title: str) -> Iterator[Script]:
    """The script of that name in the release's app.json, if it has one."""
    line: str = getattr(Manifest.of(release.manifest).scripts, name)
    if line and release.manifest:
        yield Script(title, line, tuple(release.manifest["argv"][name]))


def preceding(release: Release) -> list[Script]:
    """What runs before any instance starts."""
    found = list(of(release, "dokku_predeploy", "predeploy script"))
    if once := release.processes.get(ONCE):
        found.append(Script("release command", once["command"], tuple(once["argv"])))
    return found


def following(session: Session, release: Release) -> list[Script]:
    """What runs once the release is live; Heroku's script when no other release of the app ever was."""
    others = select(Release.id).where(Release.app_id == release.app_id, Release.ran.is_(True), Release.id != release.id)
    first = session.scalar(others.limit(1)) is None
    seeding = of(release, "postdeploy", "postdeploy script") if first else ()
    return [*seeding, *of(release, "dokku_postdeploy", "postdeploy script")]


def before(ctx: Context, app: App, release: Release, say: Progress) -> None:
    """Run what must succeed before the switch, in the new image with the new configuration."""
    scripts = preceding(release)
    if not scripts:
        return
    with say.phase("release"):
        for script in scripts:
            code = run(ctx, app, release, script, say)
            if code != 0:
                raise ReleaseCommandFailed(
                    f"the {script.title} exited with code {code}", "Its output is above; what ran before still does."
                )


def after(ctx: Context, app: App, release: Release, say: Progress) -> None:
    """Run what is wanted once the release is live, at the most once; trouble is told and undoes nothing."""
    try:
        with ctx.db.begin() as session:
            scripts = following(session, release)
            fresh = not scripts or begin(session, release)
        said = "" if fresh else "was cut short when the server stopped"
    except PlatformError as error:
        scripts, said = [], f"did not run: {error.message}"
    for script in scripts:
        said = said or trouble(ctx, app, release, script, say)
    if said:
        say.warn(f"postdeploy {said}; v{release.number} is live all the same")


def begin(session: Session, release: Release) -> bool:
    """Note with the job that its postdeploy scripts run; False when a server that died had begun them."""
    job = session.get(Job, release.job_id) if release.job_id else None
    if job is None:
        return True
    fresh = BEGUN not in job.payload
    job.payload = {**job.payload, BEGUN: release.number}
    return fresh


def trouble(ctx: Context, app: App, release: Release, script: Script, say: Progress) -> str:
    """Run it; what went wrong, in words, whatever it was: the release is live."""
    try:
        with say.phase("postdeploy"):
            code = run(ctx, app, release, script, say)
    except PlatformError as error:
        return f"did not end well: {error.message}"
    except Exception as error:
        log.exception("postdeploy.failed", app=app.id, release=release.number)
        return f"did not end well: {type(error).__name__}"
    return f"failed with exit code {code}" if code else ""


def run(ctx: Context, app: App, release: Release, script: Script, say: Progress) -> int:
    """Run it to its end; its exit code."""
    # A job taken up again may run nothing but this.
    say.redact(configvars.open_snapshot(ctx, app, release.number, release.sealed_config).values())
    say.step(f"Running {script.title}: {script.line}")
    one_off = OneOff(
        app=app.id,
        release=release.number,
        image=release.image,
        subnet=IPv4Network(app.subnet),
        command=script.argv,
        env=wanted.environment(ctx, app, release),
        limits=wanted.limits_of(ctx, app, ONCE),
        process=ONCE,
    )
    ctx.at("once.started")
    code = oneoff.run_to_end(ctx.runtime, one_off, say.detail, ctx.settings.release_timeout, ctx.ending)
    ctx.at("once.ended")
    return code
