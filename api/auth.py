"""Who is asking: a Bearer token from the database, or one made for a session on the unix socket."""

from __future__ import annotations

import hashlib
import secrets
from typing import Annotated

from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from api.errors import Unauthenticated
from control import accounts
from control.context import Context
from control.values import User

LONGEST = 512


class SessionTokens:
    """Random tokens that live as long as one SSH session, kept in memory only.

    Looked up by digest, so that the time an answer takes says nothing about the tokens there are.
    """

    def __init__(self) -> None:
        self._users: dict[bytes, User] = {}

    def mint(self, user: User) -> str:
        """A new token of 256 random bits that is `user` until `revoke`."""
        token = secrets.token_urlsafe(32)
        self._users[digest(token)] = user
        return token

    def revoke(self, token: str) -> None:
        self._users.pop(digest(token), None)

    def user(self, token: str) -> User | None:
        return self._users.get(digest(token))


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def bearer(connection: HTTPConnection) -> str:
    """The token of the Authorization header, or Unauthenticated."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(token) <= LONGEST or not token.isascii():
        raise Unauthenticated
    return token


def on_socket(connection: HTTPConnection) -> bool:
    """Whether the connection came through the unix socket: the server then has a path and no port."""
    server = connection.scope.get("server")
    return server is not None and server[1] is None and server[0].startswith("/")


def context(connection: HTTPConnection) -> Context:
    found: Context = connection.app.state.ctx
    return found


async def current_user(connection: HTTPConnection) -> User:
    """Who asks, or Unauthenticated."""
    token = bearer(connection)
    sessions: SessionTokens = connection.app.state.sessions
    user = sessions.user(token) if on_socket(connection) else None
    user = user or await run_in_threadpool(accounts.identify_token, context(connection), token)
    if user is None:
        raise Unauthenticated
    return user


Ctx = Annotated[Context, Depends(context)]
Me = Annotated[User, Depends(current_user)]
