"""What happened, for those who watch and those who ask later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from sqlalchemy.orm import Session

from control.context import Context
from core.errors import NotFound
from core.states import JobState
from models import AuditEntry, Job

LONGEST_SILENCE = 15.0
"""Seconds after which a follower looks at the verdict all the same: whoever was to tell may have died."""
ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


def audit(session: Session, verb: str, *, user: str | None = None, app: str | None = None, **detail: Any) -> None:
    """Append an entry in the caller's transaction; `detail` never holds a secret."""
    session.add(AuditEntry(verb=verb, user_id=user, app_id=app, detail=detail))


def ended(ctx: Context, job_id: int) -> bool:
    with ctx.db.begin() as session:
        job = session.get(Job, job_id)
        return job is None or job.state in ENDED


def said(ctx: Context, job: Job | None, what: str) -> str:
    """All a job has said so far of what it makes; NotFound once that is no longer kept."""
    if job is not None and job.state in ENDED and not ctx.journal.path(job.id).exists():
        kept = f"Those of the newest {ctx.settings.kept_builds} are, for {ctx.settings.kept_log_days} days."
        raise NotFound(f"the log of {what} is no longer kept", kept)
    found: list[str] = []
    offset, lines = 0, [""]
    while job is not None and lines:
        lines, offset = ctx.journal.read(job.id, offset)
        found += lines
    return "".join(f"{line}\n" for line in found)


async def follow(ctx: Context, job_id: int) -> AsyncIterator[str]:
    """Lines of a job's log from its start; ends when the verdict is there."""
    offset = 0
    with ctx.journal.watch(job_id) as changed:
        while True:
            changed.clear()
            last = await asyncio.to_thread(ended, ctx, job_id)
            while lines := (read := await asyncio.to_thread(ctx.journal.read, job_id, offset))[0]:
                offset = read[1]
                for line in lines:
                    yield line
            if last:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), LONGEST_SILENCE)
