"""The server: every door, the jobs, reconcile and the collector of logs, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TextIO

import structlog
import uvicorn
import uvloop

from api.app import create_app
from api.auth import SessionTokens
from control import garbage, heartbeat, liveness, reconcile, watch, worker
from control.collector import Collector
from control.context import Context
from core.config import Settings
from core.errors import PlatformError, Unavailable
from gitd import server as ssh
from server import wiring
from server.terminal import make_run_command

log = structlog.get_logger()


def main() -> int:
    """Run until SIGTERM; the exit status."""
    structlog.configure(
        processors=[*PROCESSORS, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    try:
        settings = Settings()
        with sole(settings):
            uvloop.run(serve(wiring.context(settings)))
    except PlatformError as error:
        for line in error.lines():
            print(f"paas: {line}", file=sys.stderr)
        return error.exit_code
    return 0


PROCESSORS: list[structlog.typing.Processor] = [
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso"),
    structlog.processors.format_exc_info,
]


@contextlib.contextmanager
def sole(settings: Settings) -> Iterator[None]:
    """One server of a name on one state folder; on SQLite, which has one owner, one server in all."""
    run = settings.home / "run"
    with lock_file(run / "server.lock") as all_of_them, lock_file(run / f"server-{settings.server}.lock") as mine:
        try:
            fcntl.flock(all_of_them, (fcntl.LOCK_SH if settings.shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            hint = "Stop it first: script/down. Several servers on one state need PostgreSQL and ports of their own."
            raise Unavailable(f"another server runs on {settings.home}", hint) from error
        yield


def lock_file(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w")


async def serve(ctx: Context) -> None:
    """Open the doors, start the loops, wait for the signal, close the doors."""
    stop, stopping = asyncio.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await asyncio.to_thread(wiring.recover, ctx)
    sessions = SessionTokens()
    socket = ctx.settings.home / "run" / f"api-{ctx.server}.sock"
    run_command = make_run_command(socket, sessions)
    app = create_app(ctx, sessions)
    ctx.turns.leading.clear()
    ctx.fail.arm(ctx.settings.fail)
    servers = [quiet(app, uds=str(socket)), quiet(app, host="127.0.0.1", port=ctx.settings.api_port)]
    tasks = [asyncio.create_task(until(server.serve(), stop)) for server in servers]
    tasks.append(asyncio.create_task(until(Collector(ctx).run(), stop)))
    if ctx.settings.shared:
        tasks.append(asyncio.create_task(until(heed_others(ctx), stop)))
    threads = [begun(loop, ctx, stopping) for loop in (*LOOPS, lead)]
    async with ssh.listen(ctx, run_command):
        for thread in threads:
            thread.start()
        log.info("server.ready", ssh_port=ctx.settings.ssh_port, api_port=ctx.settings.api_port)
        await stop.wait()
    stopping.set()
    await asyncio.to_thread(abandon, ctx)
    ctx.turns.queued.set()
    ctx.turns.holding.set()
    ctx.turns.switched.set()
    ctx.turns.drifted.set()
    ctx.turns.mended.set()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    ctx.db.close()


Loop = Callable[[Context, threading.Event], None]


def abandon(ctx: Context) -> None:
    """End the work on every job here and now; the rows say where the next server goes on."""
    for lease in list(ctx.leases.values()):
        lease.abandon()


async def heed_others(ctx: Context) -> None:
    """What a job of another server on the same state has changed is for the one that leads to put in order."""
    async for _ in ctx.journal.ends():
        ctx.turns.drifted.set()


LOOPS = (worker.run, heartbeat.run)
"""What every server does."""
LEADING = (reconcile.run, watch.run, garbage.run, liveness.run)
"""What one server at a time does for all on the same state."""


def lead(ctx: Context, stopping: threading.Event) -> None:
    """Become the one that leads as soon as no other does: the kernel frees the lock of a server that dies."""
    with lock_file(ctx.settings.home / "run" / "leader.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        ctx.turns.leading.set()
        log.info("server.leads", server=ctx.server)
        threads = [begun(loop, ctx, stopping) for loop in LEADING]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def begun(loop: Loop, ctx: Context, stopping: threading.Event) -> threading.Thread:
    """A thread for `loop`, not started yet; it dies with the process."""
    return threading.Thread(target=loop, args=(ctx, stopping), name=f"{loop.__module__}.{loop.__name__}", daemon=True)


async def until(work: Awaitable[None], stop: asyncio.Event) -> None:
    """A part that ends ends the whole: the supervisor starts all of it anew."""
    try:
        await work
    except Exception:
        log.exception("part.failed")
        raise
    finally:
        stop.set()


class Quiet(uvicorn.Server):
    """Leaves signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def quiet(app: object, **where: object) -> uvicorn.Server:
    return Quiet(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", **where))  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
