"""What only the operator of the machine does: the database's shape and the first administrator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from alembic.util.exc import CommandError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from control import accounts
from control.context import Context
from core.errors import Conflict, Unavailable
from migrations.apply import downgrade, upgrade
from models import User


def migrate(url: str) -> None:
    """Give the database the newest shape; nothing when it has it. Unavailable with the reason."""
    with translated():
        upgrade(url)


def empty(url: str) -> None:
    """Remove our tables."""
    with translated():
        downgrade(url, "base")


@contextmanager
def translated() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, CommandError) as error:
        hint = "Is PAAS_DATABASE_URL right, and does the database answer?"
        raise Unavailable("the database cannot be migrated", hint, evidence=str(error)) from error


def has_people(ctx: Context) -> bool:
    """Whether anybody can sign in."""
    with ctx.db.begin() as session:
        return session.scalar(select(User.id).limit(1)) is not None


def register(ctx: Context, name: str, public_keys: Sequence[str]) -> None:
    """Make `name` an administrator who signs in with these keys; those in use already are passed over."""
    user = accounts.add_user(ctx, name, admin=True)
    for number, public_key in enumerate(public_keys, 1):
        try:
            accounts.add_key(ctx, user, f"{name}-{number}", public_key)
        except Conflict:
            continue
