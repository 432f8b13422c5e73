"""What an app's instances wrote."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from api.auth import Ctx, Me
from api.schemas import InPath, LogQuery
from api.stream import ndjson
from control import apps, logs

router = APIRouter()


@router.get("/apps/{app}/logs", response_class=StreamingResponse)
async def read(ctx: Ctx, me: Me, app: InPath, query: Annotated[LogQuery, Query()]) -> StreamingResponse:
    """`{"at": seconds since the epoch, "source": "web.1", "text": ..., "release": 12}` a line; release 0 is ours."""
    selection = logs.Selection(query.count, query.process, query.release, query.since or 0.0)
    if query.follow:
        await run_in_threadpool(apps.info, ctx, me, app)
        return ndjson(documents(logs.follow(ctx, me, app, selection)))
    recent = await run_in_threadpool(logs.recent, ctx, me, app, selection)
    return ndjson(documents(each(recent)))


async def documents(entries: AsyncGenerator[Any, None]) -> AsyncGenerator[dict[str, Any], None]:
    async with aclosing(entries):
        async for entry in entries:
            yield asdict(entry)


async def each(entries: Iterable[Any]) -> AsyncGenerator[Any, None]:
    for entry in entries:
        yield entry
