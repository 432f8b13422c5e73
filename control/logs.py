"""What instances write, kept across releases in a bounded store per app and followed as it grows."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from control import access, values
from control.context import Context
from control.segments import Place, Segments
from core.text import LINE_LIMIT, clean
from runtime.base import LogLine

ENTRY = re.compile(rb"(\d{1,11}\.\d{1,9}) ([\w.-]{1,80}) v(\d{1,9}) (.*)", re.DOTALL)
LOOK_BACK = 8 << 20
"""Bytes that are searched for where reading an instance's output had stopped."""

Writer = tuple[str, int]
"""`web.1` and its release."""


@dataclass(frozen=True)
class Selection:
    """Which lines to show: the last `lines` of those that a process of a release wrote since then."""

    lines: int = 100
    process: str | None = None
    """`web` or `web.1`."""
    release: int | None = None
    since: float = 0.0
    """Seconds since the epoch."""

    def takes(self, at: float, source: str, release: int) -> bool:
        return (
            at >= self.since
            and self.release in (None, release)
            and self.process in (None, source, source.partition(".")[0])
        )


EVERYTHING = Selection()


class Store:
    """One app's lines: `at source vN text` each."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.segments = Segments(folder, limit)

    def append(self, lines: Iterable[LogLine]) -> None:
        self.segments.append([entry(line) for line in lines])

    def recent(self, selection: Selection, end: Place | None = None) -> list[LogLine]:
        """The last lines before `end` that are selected, oldest first."""
        found = list(islice(self.backward(selection, end), selection.lines))
        return found[::-1]

    def backward(self, selection: Selection, end: Place | None = None) -> Iterator[LogLine]:
        """The lines that are selected, newest first."""
        for raw in self.segments.backward(end, selection.since):
            if fields := ENTRY.fullmatch(raw):
                at, source, release = float(fields[1]), fields[2].decode(), int(fields[3])
                if selection.takes(at, source, release):
                    yield LogLine(at, source, clean(fields[4].decode(errors="replace")), release)

    def last(self, writers: Collection[Writer]) -> dict[Writer, float]:
        """When each wrote the last line that is kept, or a time since when it has written nothing; 0 for never."""
        found: dict[Writer, float] = {}
        oldest, read = 0.0, 0
        for raw in self.segments.backward():
            if fields := ENTRY.fullmatch(raw):
                oldest = float(fields[1])
                found.setdefault((fields[2].decode(), int(fields[3])), oldest)
            read += len(raw)
            if read > LOOK_BACK or found.keys() >= set(writers):
                return {one: found.get(one, oldest) for one in writers}
        return {one: found.get(one, 0.0) for one in writers}


def entry(line: LogLine) -> bytes:
    # Seven decimals are as exact as a time of our days can be held.
    text = line.text.replace("\n", " ")
    return f"{line.at:.7f} {line.source} v{line.release} {text}".encode("utf-8", "replace")


def tidy(line: LogLine) -> LogLine:
    """`line` as it is kept and shown: without control characters, at most 64 KB."""
    text = clean(line.text).encode("utf-8", "replace")[:LINE_LIMIT].decode("utf-8", "ignore")
    return replace(line, text=text)


def store(ctx: Context, app_id: str) -> Store:
    return Store(ctx.settings.home / "logs" / "apps" / app_id, ctx.settings.log_limit)


def recent(ctx: Context, user: values.User, app: str, selection: Selection = EVERYTHING) -> list[LogLine]:
    """The last lines the app has written, oldest first, across its releases."""
    return store(ctx, find_id(ctx, user, app)).recent(selection)


async def follow(
    ctx: Context, user: values.User, app: str, selection: Selection = EVERYTHING
) -> AsyncGenerator[LogLine, None]:
    """The last lines, then new ones until the reader goes away."""
    app_id = await asyncio.to_thread(find_id, ctx, user, app)
    kept = store(ctx, app_id)
    with ctx.taps.open(app_id) as tap:
        async with ctx.taps.writing:  # what is kept by now is read from the store; what comes after, from the tap
            end = await asyncio.to_thread(kept.segments.end)
            tap.clear()
        for line in await asyncio.to_thread(kept.recent, selection, end):
            yield line
        while True:
            for line in await tap.get():
                if selection.takes(line.at, line.source, line.release):
                    yield line


def find_id(ctx: Context, user: values.User, app: str) -> str:
    with ctx.db.begin() as session:
        return access.find(session, user, app).id
