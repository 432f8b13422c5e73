"""Places in an app's line of work, and their logs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from api import schemas
from api.auth import Ctx, Me
from api.schemas import Number
from api.stream import ndjson
from control import events, queue, values

router = APIRouter()


@router.get("/jobs/{number}", response_model=schemas.Job)
def info(ctx: Ctx, me: Me, number: Number) -> values.Job:
    return queue.info(ctx, me, number)


@router.get("/jobs/{number}/log", response_class=StreamingResponse)
async def log(ctx: Ctx, me: Me, number: Number) -> StreamingResponse:
    """`{"line": text}` from the log's start as they come, then `{"verdict": {...}}`."""
    await run_in_threadpool(queue.info, ctx, me, number)

    async def documents() -> AsyncGenerator[dict[str, Any], None]:
        async for text in events.follow(ctx, number):
            yield {"line": text}
        job = await run_in_threadpool(queue.info, ctx, me, number)
        yield {"verdict": job.verdict}

    return ndjson(documents())
