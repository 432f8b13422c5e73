"""One-off commands over a WebSocket.

The first message is text: `RunRequest`. Then binary messages both ways, whose first byte is the stream (0 stdin,
1 stdout, 2 stderr), and text from the client (`Control`). The server ends with `{"exit": code}` or
`{"error": problem}`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Protocol

from fastapi import APIRouter, WebSocket
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocketDisconnect

from api.auth import Ctx, Me
from api.errors import problem, refused_fields
from api.schemas import Control, InPath, RunRequest
from control import processes
from control.context import Context
from control.values import User
from core.errors import Invalid, PlatformError

router = APIRouter()

FIRST_MESSAGE_SECONDS = 10
STDIN = 0


class Session(Protocol):
    """What a door needs of a command in progress."""

    def output(self) -> AsyncIterator[tuple[int, bytes]]: ...
    async def write(self, data: bytes) -> None: ...
    async def eof(self) -> None: ...
    async def resize(self, columns: int, rows: int) -> None: ...
    async def close(self) -> int: ...


@router.websocket("/apps/{app}/run")
async def run(ctx: Ctx, me: Me, app: InPath, socket: WebSocket) -> None:
    await socket.accept()
    with suppress(WebSocketDisconnect):
        try:
            last: dict[str, Any] = {"exit": await bridged(ctx, me, app, socket)}
        except PlatformError as error:
            last = {"error": problem(error)}
        await socket.send_json(last)
        await socket.close()


async def bridged(ctx: Context, me: User, app: str, socket: WebSocket) -> int:
    """Run what the first message asks for; its exit code."""
    request = await first_message(socket)
    session = await run_in_threadpool(begin, ctx, me, app, request)
    typing = asyncio.create_task(typed(session, socket))
    showing = asyncio.create_task(shown(session, socket))
    try:
        await asyncio.wait([typing, showing], return_when=asyncio.FIRST_COMPLETED)
        if not showing.done():
            typing.result()
        await showing
    finally:
        for task in (typing, showing):
            task.cancel()
        await asyncio.gather(typing, showing, return_exceptions=True)
        code = await asyncio.shield(session.close())
    return code


def begin(ctx: Context, me: User, app: str, request: RunRequest) -> Session:
    if request.enter:
        return processes.enter(ctx, me, app, request.instance, request.command, request.tty, request.size)
    return processes.one_off(ctx, me, app, request.command, request.tty, request.size)


async def first_message(socket: WebSocket) -> RunRequest:
    try:
        async with asyncio.timeout(FIRST_MESSAGE_SECONDS):
            return RunRequest.model_validate_json(await text(socket))
    except ValidationError as error:
        raise refused_fields(error) from error
    except TimeoutError as error:
        raise Invalid("nothing was asked for", "Send a first message that says what to run.") from error


async def text(socket: WebSocket) -> str:
    message = await receive(socket)
    if message.get("text") is None:
        raise Invalid("the first message must be text")
    return str(message["text"])


async def receive(socket: WebSocket) -> dict[str, Any]:
    message = dict(await socket.receive())
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1000))
    return message


async def typed(session: Session, socket: WebSocket) -> None:
    """What the client sends, to the command, until the client has gone."""
    while True:
        message = await receive(socket)
        data = message.get("bytes")
        if data is None:
            await steer(session, message.get("text") or "")
        elif data[:1] == bytes([STDIN]):
            await session.write(data[1:])
        else:
            raise Invalid("only stream 0, stdin, can be written to")


async def steer(session: Session, message: str) -> None:
    try:
        wish = Control.model_validate_json(message)
    except ValidationError as error:
        raise refused_fields(error) from error
    if wish.resize:
        await session.resize(*wish.resize)
    if wish.eof:
        await session.eof()


async def shown(session: Session, socket: WebSocket) -> None:
    async for stream, data in session.output():
        await socket.send_bytes(bytes([stream]) + data)
