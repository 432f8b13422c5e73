"""What instances write, kept across releases in a file per app and followed as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from control import access, values
from control.context import Context
from control.journal import clean
from runtime.base import LogLine

ROTATE_BYTES = 10 << 20
"""Two files of this size at most are kept of an app."""


class Store:
    """One app's lines: `current.log` and, before it, `previous.log`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.current = folder / "current.log"
        self.previous = folder / "previous.log"

    def append(self, lines: Iterable[LogLine]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.current.open("a", encoding="utf-8", errors="replace") as file:
            file.writelines(f"{line.at:.6f} {line.source} {clean(line.text)}\n" for line in lines)
            full = file.tell() > ROTATE_BYTES
        if full:
            self.current.replace(self.previous)

    def last(self, source: str) -> float:
        """When `source` last wrote a line that is kept; 0 for never."""
        return max((line.at for line in self.lines() if line.source == source), default=0.0)

    def lines(self) -> list[LogLine]:
        found: list[LogLine] = []
        for path in (self.previous, self.current):
            if path.exists():
                found += [line for raw in path.read_text("utf-8", "replace").splitlines() if (line := parse(raw))]
        return found


def parse(raw: str) -> LogLine | None:
    at, _, rest = raw.partition(" ")
    source, _, text = rest.partition(" ")
    try:
        return LogLine(float(at), source, text)
    except ValueError:  # a line cut by a crash
        return None


def store(ctx: Context, app_id: str) -> Store:
    return Store(ctx.settings.home / "logs" / "apps" / app_id)


def matches(line: LogLine, process: str | None) -> bool:
    """Whether a line is of `web` or `web.1`."""
    return process is None or process in (line.source, line.source.partition(".")[0])


def recent(ctx: Context, user: values.User, app: str, lines: int = 100, process: str | None = None) -> list[LogLine]:
    """The last lines the app has written, oldest first, across its releases."""
    with ctx.db.begin() as session:
        app_id = access.find(session, user, app).id
    found = [line for line in store(ctx, app_id).lines() if matches(line, process)]
    return found[-lines:] if lines > 0 else []


async def follow(
    ctx: Context, user: values.User, app: str, process: str | None = None, lines: int = 100
) -> AsyncIterator[LogLine]:
    """The last lines, then new ones until the reader goes away."""
    app_id = await asyncio.to_thread(find_id, ctx, user, app)
    with ctx.taps.open(app_id) as tap:
        shown = 0.0
        for line in await asyncio.to_thread(recent, ctx, user, app, lines, process):
            shown = max(shown, line.at)
            yield line
        while True:
            line = await tap.get()
            # What was in the store already is not told twice; there, times have six decimals.
            if round(line.at, 6) > shown and matches(line, process):
                yield line


def find_id(ctx: Context, user: values.User, app: str) -> str:
    with ctx.db.begin() as session:
        return access.find(session, user, app).id
