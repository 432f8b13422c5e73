"""People, and what proves who they are."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from control import values
from control.context import Context
from control.events import audit
from core.errors import Conflict, Invalid, NotFound
from models import SSHKey, Token, User
from models.base import now

TOKEN_PREFIX = "paas_"
KEY_TYPES = frozenset(
    {
        "ssh-ed25519",
        "sk-ssh-ed25519@openssh.com",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    }
)


def shown(user: User) -> values.User:
    return values.User(id=user.id, name=user.name, admin=user.admin)


def identify_key(ctx: Context, fingerprint: str) -> values.User | None:
    """Whose key this is; the caller has seen the signature."""
    with ctx.db.begin() as session:
        key = session.scalar(select(SSHKey).where(SSHKey.fingerprint == fingerprint))
        return shown(key.user) if key else None


def identify_token(ctx: Context, token: str) -> values.User | None:
    """Whose token this is, if it has not expired."""
    with ctx.db.begin() as session:
        row = session.scalar(select(Token).where(Token.digest == digest(token)))
        if row is None or (row.expires_at is not None and row.expires_at <= now()):
            return None
        user = session.get(User, row.user_id)
        return shown(user) if user else None


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def add_user(ctx: Context, name: str, admin: bool = False) -> values.User:
    """The user of that name, made if there is none."""
    with ctx.db.begin() as session:
        user = session.scalar(select(User).where(User.name == name))
        if user is None:
            user = User(name=name, admin=admin)
            session.add(user)
            session.flush()
            audit(session, "user.added", user=user.id, name=name)
        return shown(user)


def parse_key(public_key: str) -> tuple[str, str, str]:
    """`(normal form, fingerprint, comment)` of one line of an authorized-keys file without options."""
    words = public_key.strip().split(None, 2)
    problem = Invalid("that is not an SSH public key", "Try: ssh paas keys:add laptop < ~/.ssh/id_ed25519.pub")
    if len(words) < 2 or words[0] not in KEY_TYPES or "\n" in public_key.strip():
        raise problem
    try:
        blob = base64.b64decode(words[1], validate=True)
    except binascii.Error as error:
        raise problem from error
    named = words[0].encode()
    if blob[: 4 + len(named)] != len(named).to_bytes(4, "big") + named:
        raise problem
    fingerprint = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"{words[0]} {words[1]}", f"SHA256:{fingerprint}", words[2] if len(words) == 3 else ""


def keys(ctx: Context, user: values.User) -> list[values.Key]:
    with ctx.db.begin() as session:
        rows = session.scalars(select(SSHKey).where(SSHKey.user_id == user.id).order_by(SSHKey.name)).all()
        return [values.Key(row.name, row.fingerprint, row.created_at) for row in rows]


def add_key(ctx: Context, user: values.User, name: str, public_key: str) -> values.Key:
    """Let this key sign in as `user`."""
    normal, fingerprint, _ = parse_key(public_key)
    if not name or len(name) > 100 or not name.isprintable():
        raise Invalid(f"{name!r} is not a key name", "Use a short word, like the name of the machine it is on.")
    try:
        with ctx.db.begin() as session:
            taken = session.scalar(select(SSHKey).where(SSHKey.user_id == user.id, SSHKey.name == name))
            if taken:
                raise Conflict(f"you have a key {name!r} already", f"Try: keys:remove {name}")
            row = SSHKey(user_id=user.id, name=name, fingerprint=fingerprint, public_key=normal)
            session.add(row)
            audit(session, "key.added", user=user.id, fingerprint=fingerprint)
            session.flush()
            return values.Key(row.name, row.fingerprint, row.created_at)
    except IntegrityError as error:
        raise Conflict("that key is in use already", "A key signs in one user.") from error


def remove_key(ctx: Context, user: values.User, name: str) -> None:
    """The key no longer signs in; the last one stays, or nobody could come back."""
    with ctx.db.begin() as session:
        rows = session.scalars(select(SSHKey).where(SSHKey.user_id == user.id)).all()
        row = next((row for row in rows if name in (row.name, row.fingerprint)), None)
        if row is None:
            raise NotFound(f"you have no key {name!r}", "keys:list shows yours.")
        if len(rows) == 1:
            raise Conflict("that is your only key", "Add another one first.")
        session.delete(row)
        audit(session, "key.removed", user=user.id, fingerprint=row.fingerprint)


def tokens(ctx: Context, user: values.User) -> list[values.Token]:
    with ctx.db.begin() as session:
        rows = session.scalars(select(Token).where(Token.user_id == user.id).order_by(Token.name)).all()
        return [values.Token(row.name, row.created_at, row.expires_at) for row in rows]


def create_token(ctx: Context, user: values.User, name: str, days: int | None = None) -> values.Token:
    """A token for the API and the local command; only this answer holds it."""
    if not name or len(name) > 100 or not name.isprintable():
        raise Invalid(f"{name!r} is not a token name", "Use a short word for where it will be used.")
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    expires = now() + timedelta(days=days) if days is not None else None
    with ctx.db.begin() as session:
        if session.scalar(select(Token).where(Token.user_id == user.id, Token.name == name)):
            raise Conflict(f"you have a token {name!r} already", f"Try: tokens:revoke {name}")
        row = Token(user_id=user.id, name=name, digest=digest(secret), expires_at=expires)
        session.add(row)
        audit(session, "token.created", user=user.id, name=name)
        session.flush()
        return values.Token(row.name, row.created_at, row.expires_at, secret)


def revoke_token(ctx: Context, user: values.User, name: str) -> None:
    with ctx.db.begin() as session:
        row = session.scalar(select(Token).where(Token.user_id == user.id, Token.name == name))
        if row is None:
            raise NotFound(f"you have no token {name!r}", "tokens:list shows yours.")
        session.delete(row)
        audit(session, "token.revoked", user=user.id, name=name)
