"""Answers that go on: one JSON document a line, no thread held, a blank line now and then so that proxies wait."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

from starlette.responses import StreamingResponse

from api.errors import problem
from core.errors import PlatformError

MEDIA_TYPE = "application/x-ndjson"
BEAT_SECONDS = 15.0


def ndjson(documents: AsyncGenerator[dict[str, Any], None], beat: float = BEAT_SECONDS) -> StreamingResponse:
    """`documents` as they come; an error half-way is a last document `{"error": problem}`."""
    lines = beating(encoded(documents), beat)
    return StreamingResponse(lines, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


async def encoded(documents: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(documents):
            async for document in documents:
                yield line(document)
    except PlatformError as error:
        yield line({"error": problem(error)})


def line(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode() + b"\n"


async def beating(lines: AsyncGenerator[bytes, None], beat: float) -> AsyncIterator[bytes]:
    """`lines`, with an empty one whenever nothing came for `beat` seconds."""
    coming = asyncio.ensure_future(anext(lines, None))
    try:
        while True:
            await asyncio.wait([coming], timeout=beat)
            if not coming.done():
                yield b"\n"
                continue
            found = coming.result()
            if found is None:
                return
            yield found
            coming = asyncio.ensure_future(anext(lines, None))
    finally:
        coming.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration, PlatformError):
            await coming
        await lines.aclose()
