"""The machine's places for builds: the next free one goes to whoever has the fewest builds running, then to who came
first. Counted in rows, so that all servers on one database share them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import select

from control.context import Context
from control.machines import advance
from control.progress import Progress
from core.states import BuildState, JobState
from models import Build, Job
from models.base import now

ELSEWHERE = 1.0
"""Seconds after which a place may have become free on another server."""


def take(ctx: Context, build: Build, say: Progress) -> None:
    """Wait for a place; the build is RUNNING when this returns, and has its place until it is in another state."""
    with ctx.db.begin() as session:
        session.add(build)
        build.waiting = True
    with ctx.ending(lambda: free(ctx)), ctx.turns.places:
        if begin(ctx, build):
            return
        say.detail("Waiting for other builds on this machine")
        while not begin(ctx, build):
            ctx.check()
            ctx.turns.places.wait(ELSEWHERE if ctx.settings.shared else None)


def begin(ctx: Context, build: Build) -> bool:
    """RUNNING, if there is a place and nobody who waits comes before."""
    with ctx.db.begin() as session:
        ctx.db.alone(session)
        users = session.scalars(select(Build.user_id).where(Build.state == BuildState.RUNNING)).all()
        if len(users) >= ctx.settings.builds or next_one(session.execute(WAITING).all(), Counter(users)) != build.id:
            return False
        session.add(build)
        advance(session, build, BuildState.RUNNING, started_at=now(), waiting=False)
    ctx.turns.places.notify_all()  # there may be a place for the next one too
    return True


WAITING = (
    select(Build.id, Build.user_id, Job.id)
    .join(Job, Job.build_id == Build.id)
    .where(Build.waiting.is_(True), Build.state == BuildState.PENDING, Job.state == JobState.RUNNING)
)


def next_one(waiting: Sequence[tuple[str, str | None, int]], running: Counter[str | None]) -> str | None:
    """The build whose turn it is, of (build, user, job); None when nobody waits."""
    turns = sorted((running[user], job, build) for build, user, job in waiting)
    return turns[0][2] if turns else None


def free(ctx: Context) -> None:
    """A build has ended, or need not wait any longer: let those that wait look again."""
    with ctx.turns.places:
        ctx.turns.places.notify_all()
