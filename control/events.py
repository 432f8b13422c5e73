"""What happened, for those who watch and those who ask later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy.orm import Session

from control.context import Context
from core.states import JobState
from models import AuditEntry, Job

ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


def audit(session: Session, verb: str, *, user: str | None = None, app: str | None = None, **detail: Any) -> None:
    """Append an entry in the caller's transaction; `detail` never holds a secret."""
    session.add(AuditEntry(verb=verb, user_id=user, app_id=app, detail=detail))


def ended(ctx: Context, job_id: int) -> bool:
    with ctx.db.begin() as session:
        job = session.get(Job, job_id)
        return job is None or job.state in ENDED


async def follow(ctx: Context, job_id: int) -> AsyncIterator[str]:
    """Lines of a job's log from its start; ends when the verdict is there."""
    offset = 0
    with ctx.journal.watch(job_id) as watcher:
        if await asyncio.to_thread(ended, ctx, job_id):
            watcher.ring(ended=True)
        while True:
            watcher.changed.clear()
            last = watcher.ended
            lines, offset = ctx.journal.read(job_id, offset)
            for line in lines:
                yield line
            if last:
                return
            await watcher.changed.wait()
