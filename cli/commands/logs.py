"""Logs."""

from __future__ import annotations

import asyncio
from typing import Any

from cli.call import Call
from cli.registry import argument, command
from cli.times import second


@command(
    "logs",
    "show what an app wrote",
    argument("-t", "--tail", action="store_true", help="go on as lines come"),
    argument("-n", "--num", type=int, default=100, metavar="N", help="how many lines; 100 when not given"),
    argument("-p", "--process", help="only web, or only web.1"),
    argument("--json", action="store_true", help="print the API's JSON, a document a line"),
    app=True,
)
async def logs(call: Call) -> int:
    query: dict[str, Any] = {"lines": call.args.num, "follow": call.args.tail}
    if call.args.process:
        query["process"] = call.args.process
    try:
        async for entry in call.client.lines(f"{call.app}/logs", **query):
            await show(call, entry)
    except asyncio.CancelledError:
        if not call.terminal.cancelled.is_set():
            raise
    return 0


async def show(call: Call, entry: dict[str, Any]) -> None:
    if call.args.json:
        await call.line(entry)
    else:
        await call.out(f"{second(entry['at'])} {entry['source']}: {entry['text']}")
