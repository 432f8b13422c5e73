"""How much a request may bring."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import answer, plain

BODY_BYTES = 1 << 20
"""64 KB of config vars an app, every character escaped, fit several times."""


class TooLarge(Exception):
    """The body is longer than BODY_BYTES."""


class BodyLimit:
    """Reads a request's body before anybody else, and answers 413 when there is too much of it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        try:
            announced(scope)
            first = await whole(receive)
        except TooLarge:
            members = plain(413, "Too large", f"a request may bring {BODY_BYTES} bytes at most", "too_large")
            return await answer(members)(scope, receive, send)
        return await self.app(scope, after(first, receive), send)


def announced(scope: Scope) -> None:
    length = Headers(scope=scope).get("content-length", "0")
    if length.isdigit() and int(length) > BODY_BYTES:
        raise TooLarge


async def whole(receive: Receive) -> Message:
    """The whole body as one message, or the disconnect that came instead."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return message
        body += message.get("body", b"")
        if len(body) > BODY_BYTES:
            raise TooLarge
        if not message.get("more_body", False):
            return {"type": "http.request", "body": bytes(body), "more_body": False}


def after(first: Message, receive: Receive) -> Receive:
    """A `receive` that gives `first`, then whatever comes."""
    waiting = [first]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
