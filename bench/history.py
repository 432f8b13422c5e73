"""What an installation recorded of an app's pushes, read from its database."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select

from core.states import JobState
from models import App, Build, Database, Job, Release
from tests.installation import Installation


@dataclass(frozen=True)
class Push:
    """A push that was accepted: its place in the line, and what became of it."""

    job: int
    state: JobState
    commit: str
    release: int | None
    """The number of the release it made, if it came to that."""
    words: str
    """Of the verdict."""


def pushes(installation: Installation, name: str) -> list[Push]:
    """Every accepted push of an app, in the order of arrival."""
    database = Database(installation.settings().database)
    try:
        with database.begin() as session:
            app = session.scalars(select(App).where(App.name == name)).one()
            numbers = {
                one.job_id: one.number for one in session.scalars(select(Release).where(Release.app_id == app.id))
            }
            query = select(Job, Build).join(Build, Build.id == Job.build_id)
            rows = session.execute(query.where(Job.app_id == app.id, Job.kind == "push").order_by(Job.id)).all()
            return [pushed(job, build, numbers.get(job.id)) for job, build in rows]
    finally:
        database.close()


def pushed(job: Job, build: Build, release: int | None) -> Push:
    words = str((job.verdict or {}).get("message", ""))
    return Push(job.id, JobState(job.state), build.commit, release, words)
