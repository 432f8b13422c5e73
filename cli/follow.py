"""Watching a job to its verdict."""

from __future__ import annotations

import asyncio
from typing import Any

from cli.call import ERROR, Call
from cli.client import path

INTERRUPTED = 130


async def follow(call: Call, job: dict[str, Any]) -> int:
    """Print the job's log as it grows; the verdict's exit code. Going away does not stop the job."""
    told = False
    try:
        async for document in call.client.lines(path("jobs", job["id"], "log")):
            if "verdict" in document:
                return await ended(call, document["verdict"] or {}, told)
            told |= await show(call, document["line"])
    except asyncio.CancelledError:
        await call.error([f"The {job['kind']} of {job['app']} goes on without you: `{again(job)}` shows it."])
        return INTERRUPTED
    await call.error(["The connection ended before the verdict.", f"`{again(job)}` shows how it goes on."])
    return 1


def again(job: dict[str, Any]) -> str:
    """The command that shows a job once more."""
    return f"builds:attach {job['app']} {job['build']}" if job["build"] else f"releases {job['app']}"


async def show(call: Call, line: str) -> bool:
    """One line of the log, errors on stderr; whether it was one."""
    failed = line.startswith(ERROR)
    await (call.terminal.stderr if failed else call.terminal.stdout).write(f"{line}\n".encode())
    return failed


async def ended(call: Call, verdict: dict[str, Any], told: bool) -> int:
    """Say why when it went wrong and the log has not said it."""
    if verdict.get("ok"):
        return 0
    parts = (verdict.get("message") or "it failed", verdict.get("evidence"), verdict.get("hint"))
    if not told:
        await call.error([line for part in parts if part for line in str(part).splitlines()])
    return int(verdict.get("exit_code") or 1)
