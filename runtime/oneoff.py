"""A one-off command run to its end from a worker thread: what scripts around a switch need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from core.errors import ReleaseCommandFailed
from core.text import clean
from runtime.base import KILLED, OneOff, Runtime
from runtime.frames import Lines

Interrupt = Callable[[], object]
Ending = Callable[[Interrupt], AbstractContextManager[None]]
"""While inside what this returns, the interrupt given to it is called when the command must end."""


def unending(interrupt: Interrupt) -> AbstractContextManager[None]:
    return nullcontext()


def run_to_end(
    runtime: Runtime, one_off: OneOff, say: Callable[[str], None], timeout: float, ending: Ending = unending
) -> int:
    """Run it, `say` each line it writes, return its exit code; ReleaseCommandFailed after `timeout` seconds.

    Told to end (`ending`), the command is killed with all it started, and its exit code is that.
    """
    return asyncio.run(interruptible(runtime, one_off, say, timeout, ending))


async def interruptible(
    runtime: Runtime, one_off: OneOff, say: Callable[[str], None], timeout: float, ending: Ending
) -> int:
    loop = asyncio.get_running_loop()
    following = asyncio.ensure_future(follow(runtime, one_off, say, timeout))
    with ending(lambda: loop.call_soon_threadsafe(following.cancel)):
        await asyncio.wait([following])
    return KILLED if following.cancelled() else following.result()


async def follow(runtime: Runtime, one_off: OneOff, say: Callable[[str], None], timeout: float) -> int:
    session = runtime.run(one_off)
    silence = asyncio.create_task(session.eof())
    lines = {1: Lines(), 2: Lines()}
    try:
        async with asyncio.timeout(timeout):
            async for stream, data in session.output():
                for line in lines[stream].feed(data):
                    say(clean(line))
    except TimeoutError as error:
        hint = "Make it shorter, or take it out of the repository and run it by hand."
        raise ReleaseCommandFailed(f"the command did not end within {timeout:.0f} s", hint) from error
    finally:
        silence.cancel()
        code = await session.close()
    for rest in filter(None, (pending.rest() for pending in lines.values())):
        say(clean(rest))
    return code
