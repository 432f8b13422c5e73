"""Instances that have made room for a new release, kept stopped while it is watched: going back starts them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from control import wanted
from control.context import Context
from control.wanted import RESTING
from models import App, Deployment, Release
from models.base import now


@dataclass(frozen=True)
class Kept:
    """Stopped instances of an earlier deployment."""

    generation: int
    release: int
    """What their labels say."""


def retain(ctx: Context, session: Session, app: App, before: Sequence[Deployment]) -> None:
    """Keep the instances of what has run until now, and no older ones, for as long as the new release is watched."""
    session.execute(update(Deployment).where(Deployment.app_id == app.id).values(retained_until=None))
    if ctx.settings.watch > 0 and not app.stopped:
        for deployment in before:
            deployment.retained_until = now() + timedelta(seconds=ctx.settings.watch)


def kept(ctx: Context, app: App, release: Release) -> Kept | None:
    """What is kept of `release`, if anything is and the engine still has it."""
    with ctx.db.begin() as session:
        found = session.scalars(wanted.retained(ctx, app).where(Deployment.release_id == release.id)).first()
    if found is None:
        return None
    here = [one for one in ctx.runtime.instances(app.id) if one.generation == found.generation]
    # One that still finishes its requests is about to be stopped: new instances are surer.
    resting = bool(here) and all(one.state in RESTING for one in here)
    return Kept(found.generation, found.runs_as or release.number) if resting else None
