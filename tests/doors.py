"""The JSON door over a platform in memory: two people, an app that runs, and a real server on a unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.auth import SessionTokens
from control import accounts, events, worker
from control.context import Context
from control.values import User
from tests.factories import APP, Remote, context, user
from tests.waiting import until


@dataclass(frozen=True)
class World:
    ctx: Context
    sessions: SessionTokens
    ann: User
    """Owns the app `hello`."""
    bob: User
    """Owns nothing."""
    tokens: dict[str, str]
    """An API token of each, by name."""
    app: FastAPI

    def client(self, who: User | None) -> httpx.AsyncClient:
        """The API as `who` sees it, without a network."""
        headers = {"Authorization": f"Bearer {self.tokens[who.name]}"} if who else {}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)


def world(home: Path) -> World:
    """Ann has pushed `hello`."""
    ctx = context(home, f"sqlite:///{home}/paas.db")
    ann, bob = user(ctx, "ann"), user(ctx, "bob")
    Remote(ctx, ann, "hello").push(APP)
    tokens = {who.name: accounts.create_token(ctx, who, "tests", None).secret for who in (ann, bob)}
    sessions = SessionTokens()
    return World(ctx, sessions, ann, bob, tokens, create_app(ctx, sessions))


def push_again(made: World) -> None:
    """Ann pushes `hello` once more: v2, build 2."""
    job, _ = Remote(made.ctx, made.ann, "hello").push({**APP, "app.py": "print('two')\n"})
    assert job is not None
    until(lambda: events.ended(made.ctx, job.id))  # whoever does jobs here may have been quicker than the pusher


@contextlib.contextmanager
def working(ctx: Context) -> Iterator[None]:
    """Jobs are done while inside."""
    stopping = threading.Event()
    thread = threading.Thread(target=worker.run, args=(ctx, stopping))
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        ctx.turns.queued.set()
        thread.join()


class Quiet(uvicorn.Server):
    """Leaves signals to the tests."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def listening(made: World, **place: object) -> AsyncIterator[None]:
    """A real server: `uds="/path"`, or `host` and `port`."""
    server = Quiet(uvicorn.Config(made.app, log_config=None, timeout_graceful_shutdown=1, **place))  # type: ignore[arg-type]
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        await task
