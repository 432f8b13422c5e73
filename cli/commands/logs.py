"""Logs."""

from __future__ import annotations

import asyncio
from typing import Any

from cli.call import Call
from cli.commands.releases import number
from cli.registry import argument, command
from cli.times import second


@command(
    "logs",
    "show what an app wrote",
    argument("-t", "--tail", action="store_true", help="go on as lines come"),
    argument("-n", "--num", type=int, metavar="N", help="how many lines; 100 when neither this nor --since is given"),
    argument("-p", "--process", help="only web, or only web.1"),
    argument("--since", metavar="TIME", help="only from 10s, 30m, 1h or 2d ago, or from 2026-01-31T12:00 (UTC) on"),
    argument("--release", metavar="vN", help="only what this release wrote"),
    argument("--json", action="store_true", help="print the API's JSON, a document a line"),
    app=True,
)
async def logs(call: Call) -> int:
    asked = {
        "follow": call.args.tail,
        "lines": call.args.num,
        "process": call.args.process,
        "since": call.args.since,
        "release": None if call.args.release is None else number(call.args.release),
    }
    query = {name: value for name, value in asked.items() if value is not None}
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
