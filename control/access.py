"""The one gate: who may do what to which app."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from control.values import User
from core.errors import Denied, NotFound
from models import App


def find(session: Session, user: User, name: str) -> App:
    """The app of that name if `user` may see it; NotFound otherwise, whether or not it exists."""
    app = session.scalar(select(App).where(App.name == name))
    if app is None or app.deleting or not may_see(user, app):
        raise NotFound(f"there is no app {name!r}", "apps:list shows yours.")
    return app


def may_see(user: User, app: App) -> bool:
    return user.admin or app.owner_id == user.id


def refuse_locked(app: App | None) -> None:
    """Denied, with who locked the app and why, when it takes no pushes."""
    if app is not None and app.locked is not None:
        why = f": {app.locked}" if app.locked else ""
        raise Denied(f"{app.name} is locked by {app.locked_by}{why}", f"ssh paas apps:unlock {app.name}")
