"""The JSON door, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, Depends, FastAPI, Request, Response

from api import (
    account,
    apps,
    builds,
    config,
    domains,
    errors,
    jobs,
    keys,
    limits,
    logs,
    processes,
    releases,
    run,
    tokens,
)
from api.auth import Ctx, Me, SessionTokens, current_user
from api.body import BodyLimit
from control import health
from control.context import Context
from core.version import VERSION

THREADS = 16
"""Short verbs at once; streams hold none."""

RESOURCES = (account, apps, builds, config, domains, jobs, keys, limits, logs, processes, releases, run, tokens)

public = APIRouter()
private = APIRouter(prefix="/v1", dependencies=[Depends(current_user)], responses=errors.RESPONSES)


@public.get("/healthz")
def healthz(ctx: Ctx, response: Response) -> dict[str, str]:
    """Whether everything the platform stands on answers; 503 when not."""
    found = health.check(ctx)
    response.status_code = 200 if found["status"] == "ok" else 503
    return found


@private.get("/openapi.json")
def description(me: Me, request: Request) -> dict[str, Any]:
    """This API, as OpenAPI."""
    app: FastAPI = request.app
    return app.openapi()


for resource in RESOURCES:
    private.include_router(resource.router)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield


def create_app(ctx: Context, sessions: SessionTokens) -> FastAPI:
    """The API over `ctx`; `sessions` are the tokens that count on the unix socket."""
    app = FastAPI(title="paas", version=VERSION, lifespan=lifespan, openapi_url=None)
    app.state.ctx = ctx
    app.state.sessions = sessions
    app.add_middleware(BodyLimit)
    errors.install(app)
    app.include_router(public)
    app.include_router(private)
    return app
