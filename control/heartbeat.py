"""Leases kept alive, and those of dead servers taken over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import structlog
from sqlalchemy import select, update

from control import queue
from control.context import Context
from control.machines import advance
from core.errors import PlatformError
from core.states import JobState
from models import Job
from models.base import now

log = structlog.get_logger()

BEAT = 1.0
"""Seconds between two beats: also how soon a holder sees that somebody on another server cancelled its job."""
ATTEMPTS = 2
"""How often a job is taken up when the server dies under it."""


def run(ctx: Context, stopping: threading.Event) -> None:
    """Beat for every lease of this server, as long as there are any."""
    while not stopping.is_set():
        ctx.turns.holding.wait()
        ctx.turns.holding.clear()
        while ctx.leases and not stopping.wait(BEAT):
            try:
                beat(ctx)
            except PlatformError as error:  # nobody can take a job over either while the database is away
                log.warning("beat.failed", error=str(error))
            except Exception:
                log.exception("beat.failed")


def beat(ctx: Context) -> None:
    """Raise the beat of every job we hold; end the work on those that are cancelled or no longer ours."""
    for lease in list(ctx.leases.values()):
        mine = [Job.id == lease.job, Job.generation == lease.generation, Job.state == JobState.RUNNING]
        raised = update(Job).where(*mine).values(beat=Job.beat + 1).returning(Job.cancelled_by)
        with ctx.db.begin() as session:
            row = session.execute(raised).first()
        if row is None or row.cancelled_by:
            # In a thread of its own: an engine that is slow to end a build must not keep the other leases from beating.
            end = partial(lease.cancel, row.cancelled_by) if row else lease.end
            threading.Thread(target=end, name=f"end-{lease.job}", daemon=True).start()


@dataclass
class Watch:
    """Beats of other servers' jobs, and since when each has stood where it stands, on this server's own clock."""

    clock: Callable[[], float] = time.monotonic
    seen: dict[int, tuple[tuple[int, int], float]] = field(default_factory=dict)

    def stood(self, job: Job) -> float:
        """Seconds for which the job's beat has not moved."""
        mark, moment = (job.generation, job.beat), self.clock()
        if self.seen.get(job.id, (None, 0.0))[0] != mark:
            self.seen[job.id] = mark, moment
        return moment - self.seen[job.id][1]


def take_over(ctx: Context, watch: Watch) -> bool:
    """Put jobs whose holder is dead back into the line, or give them up; whether others are still watched.

    What this server itself held in an earlier life is free at once: a lock on its name says that life is over.
    """
    with ctx.db.begin() as session:
        foreign = [
            job for job in session.scalars(select(Job).where(Job.state == JobState.RUNNING)) if job.id not in ctx.leases
        ]
        dead = [job for job in foreign if job.holder == ctx.server or watch.stood(job) >= ctx.settings.lease]
        for job in dead:
            if job.generation < ATTEMPTS:
                freed = advance(session, job, JobState.PENDING)
            else:
                freed = advance(
                    session, job, JobState.FAILED, verdict=queue.failure(queue.INTERRUPTED), finished_at=now()
                )
            log.warning("job.abandoned", job=job.id, kind=job.kind, holder=job.holder, freed=freed)
    for job in dead:
        if job.state == JobState.FAILED:
            ctx.journal.write(job.id, f" !     {queue.INTERRUPTED.message}")
        ctx.journal.end(job.id)
        ctx.turns.drifted.set()
    watch.seen = {job.id: watch.seen[job.id] for job in foreign if job not in dead and job.id in watch.seen}
    return len(foreign) > len(dead)
