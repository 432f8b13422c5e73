"""How many of each process type a new app starts with: app.json's counts, until somebody scales."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.orm import Session

from builder.manifest import Manifest
from control import wanted
from models import App, Formation, Release
from runtime.base import ONCE

DEFAULT = {"web": 1}
"""What every app is created with."""


def opening(session: Session, app: App, release: Release) -> dict[str, int]:
    """What the first release to go live changes of the counts; nothing once one has been live."""
    if app.release_id is not None:
        return {}
    return asked(wanted.counts(session, app), Manifest.of(release.manifest), release.processes)


def asked(rows: Mapping[str, int], manifest: Manifest, processes: Mapping[str, object]) -> dict[str, int]:
    """app.json's counts of those `processes` that nobody has scaled."""
    return {
        process: count
        for process, count in manifest.formation.items()
        if process in processes and process != ONCE and rows.get(process, 0) == DEFAULT.get(process, 0)
    }


def settle(session: Session, app: App, release: Release) -> None:
    """Keep the counts that the app's first release starts with, in the transaction that makes it current."""
    for process, count in opening(session, app, release).items():
        session.merge(Formation(app_id=app.id, process=process, count=count))
