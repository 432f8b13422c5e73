"""The only writer of the states of builds, deployments and jobs."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from control.events import audit
from core.states import BuildState, DeploymentState, JobState, allowed
from models import Build, Deployment, Job

STATES: dict[type[Any], type[StrEnum]] = {Build: BuildState, Deployment: DeploymentState, Job: JobState}


def advance(session: Session, row: Build | Deployment | Job, new: StrEnum, **changes: Any) -> bool:
    """Swap the row's state for `new` if nobody else moved it first, with an audit entry; tell whether we did."""
    kind: Any = type(row)
    old = STATES[kind](row.state)
    if not allowed(old, new):
        return False
    mine = [kind.id == row.id, kind.state == old.value]
    if isinstance(row, Job):  # whoever holds an older generation is fenced
        mine.append(kind.generation == row.generation)
    swapped = session.execute(update(kind).where(*mine).values(state=new.value, **changes).returning(kind.id))
    if swapped.first() is None:
        return False
    session.refresh(row)
    audit(session, f"{kind.__name__.lower()}.{new}", app=row.app_id, id=row.id)
    return True
