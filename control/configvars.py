"""Config vars: sealed at rest, a release at every change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from control import access, queue, values
from control.context import Context
from control.events import audit
from core import names
from core.errors import Invalid
from core.sealing import seal, unseal
from models import App, ConfigVar

LIMIT = 64 * 1024
"""Bytes of all names and values of an app."""


def snapshot(ctx: Context, session: Session, app: App) -> dict[str, str]:
    """Every config var of the app, in clear."""
    key = ctx.data_key(app)
    rows = session.scalars(select(ConfigVar).where(ConfigVar.app_id == app.id).order_by(ConfigVar.name))
    return {row.name: unseal(key, row.sealed, app.id, row.name, row.version).decode() for row in rows}


def seal_snapshot(ctx: Context, app: App, number: int, config: Mapping[str, str]) -> bytes:
    """The config vars of release `number`, as they lie in its row."""
    return seal(ctx.data_key(app), json.dumps(dict(config)).encode(), app.id, "release", number)


def open_snapshot(ctx: Context, app: App, number: int, sealed: bytes) -> dict[str, str]:
    config: dict[str, str] = json.loads(unseal(ctx.data_key(app), sealed, app.id, "release", number))
    return config


def digest(config: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(config.items())).encode()).hexdigest()


def show(ctx: Context, user: values.User, app: str) -> dict[str, str]:
    with ctx.db.begin() as session:
        return snapshot(ctx, session, access.find(session, user, app))


def change(
    ctx: Context, user: values.User, app: str, changes: Mapping[str, str | None], restart: bool = True
) -> values.Job | None:
    """Set vars, unset those whose value is None; the job that restarts the app, None when nothing has to."""
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        before = snapshot(ctx, session, row)
        wanted = {name: value for name, value in {**before, **changes}.items() if value is not None}
        check(wanted, changes)
        if wanted == before:
            return None
        write(ctx, session, row, before, changes)
        audit(session, "config.changed", user=user.id, app=row.id, names=sorted(changes))
        if row.release_id is None or not restart:
            return None
        job = queue.shown(session, queue.add(ctx, session, row, "config", user, description=describe(changes)))
    queue.wake(ctx)
    return job


def describe(changes: Mapping[str, str | None]) -> str:
    """`Set A, B; unset C`: names only."""
    groups = {
        "Set": sorted(name for name, value in changes.items() if value is not None),
        "unset": sorted(name for name, value in changes.items() if value is None),
    }
    text = "; ".join(f"{verb} {', '.join(group)}" for verb, group in groups.items() if group)
    return text[:1].upper() + text[1:]


def check(wanted: Mapping[str, str], changes: Mapping[str, str | None]) -> None:
    for name in changes:
        names.config_key(name)
        if name in names.GIVEN:
            raise Invalid(f"{name} is set by the platform", "Choose another name.")
    if any("\0" in value for value in wanted.values()):
        raise Invalid("a config value holds a NUL byte", "Encode it, in base64 say.")
    size = sum(len(name.encode()) + len(value.encode()) for name, value in wanted.items())
    if size > LIMIT:
        raise Invalid(f"the config vars take {size} bytes, more than {LIMIT}", "Keep large values in files.")


def write(
    ctx: Context, session: Session, app: App, before: Mapping[str, str], changes: Mapping[str, str | None]
) -> None:
    """Seal what has changed under a new version."""
    key = ctx.data_key(app)
    app.config_version += 1
    for name, value in changes.items():
        if before.get(name) == value:
            continue
        row = session.get(ConfigVar, (app.id, name))
        if row is not None:
            session.delete(row)
            session.flush()
        if value is not None:
            version = app.config_version
            sealed = seal(key, value.encode(), app.id, name, version)
            session.add(ConfigVar(app_id=app.id, name=name, version=version, sealed=sealed))
