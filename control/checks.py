"""The health checks that app.json asks for, as the runtime takes them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from builder.manifest import HealthCheck, Manifest
from models import Release
from runtime.base import Check, Instance


def of(session: Session, instance: Instance, *kinds: str) -> list[Check]:
    """The checks of these kinds that can be asked of an instance: where nothing is routed, those that name a port."""
    release = session.scalar(select(Release).where(Release.app_id == instance.app, Release.number == instance.release))
    manifest = Manifest.of(release.manifest if release else None)
    asked = [one for kind in kinds for one in manifest.checks(instance.process, kind)]
    return [check(one) for one in asked if one.port or instance.port]


def check(asked: HealthCheck) -> Check:
    return Check(
        path=asked.path,
        attempts=asked.attempts,
        timeout=asked.timeout,
        wait=asked.wait,
        initial_delay=asked.initial_delay,
        content=asked.content,
        port=asked.port,
        headers=asked.headers,
    )
