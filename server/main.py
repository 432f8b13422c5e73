"""The server: every door, the jobs, reconcile and the collector of logs, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import signal
import sys
import threading
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import TextIO

import structlog
import uvicorn
import uvloop

from api.app import create_app
from api.auth import SessionTokens
from control import garbage, reconcile, worker
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
    """One server on one state folder: SQLite and the hooks' socket have one owner."""
    with lock_file(settings.home / "run" / "server.lock") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unavailable(f"another server runs on {settings.home}", "Stop it first: script/down") from error
        yield


def lock_file(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w")


async def serve(ctx: Context) -> None:
    """Open the doors, start the loops, wait for the signal, close the doors."""
    stop, stopping = asyncio.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await asyncio.to_thread(wiring.recover, ctx.settings)
    sessions = SessionTokens()
    socket = ctx.settings.home / "run" / "api.sock"
    run_command = make_run_command(socket, sessions)
    app = create_app(ctx, sessions)
    servers = [quiet(app, uds=str(socket)), quiet(app, host="127.0.0.1", port=ctx.settings.api_port)]
    tasks = [asyncio.create_task(until(server.serve(), stop)) for server in servers]
    tasks.append(asyncio.create_task(until(Collector(ctx).run(), stop)))
    threads = [
        threading.Thread(target=loop, args=(ctx, stopping), name=loop.__module__, daemon=True)
        for loop in (worker.run, reconcile.run, garbage.run)
    ]
    async with ssh.listen(ctx, run_command):
        for thread in threads:
            thread.start()
        log.info("server.ready", ssh_port=ctx.settings.ssh_port, api_port=ctx.settings.api_port)
        await stop.wait()
    stopping.set()
    ctx.turns.queued.set()
    ctx.turns.drifted.set()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    ctx.db.close()


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
