"""Logs of jobs and of instances."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from control import collector, logs, processes, taps, values
from control.collector import Collector
from control.context import Context
from control.journal import Journal
from control.logs import Selection, Store
from control.progress import Progress
from core.states import InstanceState
from core.text import LINE_LIMIT, clean
from runtime.base import Instance, LogLine
from runtime.memory import MemoryRuntime
from tests.factories import APP, Remote, context, user
from tests.waiting import until


@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("over\rwritten", "overwritten"),
        ("tab\tstays", "tab\tstays"),
        ("nul\0bell\x07del\x7f", "nulbelldel"),
        ("\x9b31mc1", "31mc1"),
        ("grün", "grün"),
    ],
)
def test_control_characters_are_stripped(dirty: str, expected: str) -> None:
    assert clean(dirty) == expected
    assert len(clean("x" * 1_000_000)) == LINE_LIMIT


def test_a_journal_gives_whole_lines_from_any_offset(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.read(1) == ([], 0)
    journal.write(1, "one")
    lines, offset = journal.read(1)
    journal.write(1, "two")
    assert (lines, journal.read(1, offset)[0]) == (["one"], ["two"])


async def test_a_reader_is_woken_by_lines_and_by_the_end(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    elsewhere = Journal(tmp_path)  # as another server on the same state has it
    with journal.watch(1) as changed, journal.watch(2) as other:
        for tell in (partial(elsewhere.write, 1, "one"), partial(elsewhere.end, 1)):
            await asyncio.to_thread(tell)
            await asyncio.wait_for(changed.wait(), 5)
            await asyncio.sleep(0)
            changed.clear()
        assert not other.is_set()
    assert journal.read(1)[0] == ["one"]


def stored(folder: Path, *lines: LogLine) -> Store:
    store = Store(folder, 1 << 20)
    store.append(lines)
    return store


def texts(store: Store, **chosen: Any) -> list[str]:
    return [line.text for line in store.recent(Selection(**chosen))]


def test_a_store_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    store = Store(tmp_path / "app", 2500)
    for number in range(200):
        store.append([LogLine(float(number), "web.1", f"line {number}", 1)])
    found = store.recent(Selection(200))
    assert found[-1].text == "line 199" and 10 < len(found) < 100
    assert sum(path.stat().st_size for path in (tmp_path / "app").iterdir()) <= 2500


def test_lines_are_selected_by_process_release_and_time(tmp_path: Path) -> None:
    rows = [(1, "web.1", 1), (2, "web.2", 1), (3, "paas", 0), (4, "web.1", 2), (5, "worker.1", 2), (6, "webber.1", 2)]
    lines = [LogLine(1e9 + at, source, f"{source} {at}", release) for at, source, release in rows]
    store = stored(tmp_path, *lines)
    assert store.recent(Selection()) == lines
    assert texts(store, lines=2) == ["worker.1 5", "webber.1 6"] and texts(store, lines=0) == []
    assert texts(store, process="web") == ["web.1 1", "web.2 2", "web.1 4"]
    assert texts(store, process="web.1") == ["web.1 1", "web.1 4"]
    assert texts(store, release=1) == ["web.1 1", "web.2 2"]
    assert texts(store, since=1e9 + 4) == ["web.1 4", "worker.1 5", "webber.1 6"]
    assert texts(store, since=1e9 + 2, release=2, process="web", lines=5) == ["web.1 4"]


def test_garbage_in_a_store_does_not_hide_its_lines(tmp_path: Path) -> None:
    store = stored(tmp_path, LogLine(1.0, "web.1", "before", 1))
    garbage = [b"", b"nan web.1 v1 x", b"1.0 web.1 v1", b"9" * 99, b"1.0 web.1 vx y", b"\xff\0\x1b]0;", b"x" * 300_000]
    with store.segments.path(1).open("ab") as file:
        file.write(b"\n".join(garbage) + b"\n2.0 web.1 v1 \x1b[31mred\x07 caf\xe9\n3.0 web.1 v1 cut off")
    store.append([LogLine(4.0, "web.1", "two\nlines \N{LINE SEPARATOR} after", 1)])
    found = texts(store)
    assert found[0] == "before"
    assert found[1:] == ["red caf\N{REPLACEMENT CHARACTER}", "cut off", "two lines \N{LINE SEPARATOR} after"]


def test_times_come_back_exactly_as_they_were_stored(tmp_path: Path) -> None:
    lines = [LogLine(1795613932.1103628 + step / 7e6, "web.1", "x", 3) for step in range(50)]
    assert stored(tmp_path, *lines).recent(Selection()) == lines


def test_the_last_line_of_each_writer_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet, loud, old = ("worker.1", 2), ("web.1", 2), ("web.1", 1)
    lines = [LogLine(1.0, "web.1", "x", 1), LogLine(2.0, "worker.1", "x", 2)]
    store = stored(tmp_path, *lines, *[LogLine(10.0 + at, "web.1", "x" * 50, 2) for at in range(100)])
    assert store.last({quiet, loud, old, ("web.2", 2)}) == {quiet: 2.0, loud: 109.0, old: 1.0, ("web.2", 2): 0.0}
    monkeypatch.setattr(logs, "LOOK_BACK", 700)
    found = store.last({quiet, loud})
    assert found[loud] == 109.0 and 90 < found[quiet] < 105
    assert Store(tmp_path / "none", 1000).last({loud}) == {loud: 0.0}


@pytest.mark.parametrize("text", ["x" * 200_000, "\N{EURO SIGN}" * 60_000, "\x1b]" * 100_000, "\x1b[0" * 70_000])
def test_a_line_is_kept_with_at_most_64_kilobytes(text: str) -> None:
    kept = logs.tidy(LogLine(1.0, "web.1", text)).text
    assert len(kept.encode()) <= LINE_LIMIT and "\x1b" not in kept and "\N{REPLACEMENT CHARACTER}" not in kept


class Watched:
    """An app that runs, a collector at work, and what is followed of the app's log."""

    def __init__(self, ctx: Context, ada: values.User) -> None:
        self.ctx, self.ada = ctx, ada
        self.runtime = cast(MemoryRuntime, ctx.runtime)
        self.app = self.runtime.instances()[0].app

    def write(self, text: str) -> None:
        self.runtime.write(self.instance.id, text)

    @property
    def instance(self) -> Instance:
        return next(one for one in self.runtime.instances(self.app) if one.process == "web")

    async def kept(self, count: int) -> list[LogLine]:
        """All that is kept, once it is so many lines."""
        await asyncio.to_thread(until, lambda: len(logs.recent(self.ctx, self.ada, "hello")) >= count)
        return logs.recent(self.ctx, self.ada, "hello")


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    ctx = context(tmp_path)
    ada = await asyncio.to_thread(user, ctx)
    await asyncio.to_thread(Remote(ctx, ada).push, APP)
    at_work = Collector(ctx)
    collecting = asyncio.create_task(at_work.run())
    await asyncio.to_thread(until, lambda: at_work.tasks)
    try:
        yield Watched(ctx, ada)
    finally:
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)


async def test_the_collector_keeps_what_instances_write_and_tells_those_who_follow(watched: Watched) -> None:
    async with aclosing(logs.follow(watched.ctx, watched.ada, "hello", Selection(10, "web"))) as following:
        watched.write("first")
        line = await asyncio.wait_for(anext(following), 10)
        assert (line.source, line.text, line.release) == ("web.1", "first", 1)
        watched.write("second \x1b[1mbold\x1b[0m")
        assert (await asyncio.wait_for(anext(following), 10)).text == "second bold"
    assert [line.text for line in await watched.kept(2)] == ["first", "second bold"]
    assert logs.recent(watched.ctx, watched.ada, "hello", Selection(process="worker")) == []


async def test_who_follows_reads_every_line_once_whenever_they_come(watched: Watched) -> None:
    async def numbers(selection: Selection) -> list[int]:
        found = []
        async with aclosing(logs.follow(watched.ctx, watched.ada, "hello", selection)) as following:
            async for line in following:
                found.append(int(line.text))
                if line.text == "999":
                    break
        return found

    readers = []
    for number in range(1000):
        watched.write(f"{number}")
        if number % 100 == 50:
            readers.append(asyncio.create_task(numbers(Selection(10_000))))
            await asyncio.sleep(0)
    for found in await asyncio.wait_for(asyncio.gather(*readers), 20):
        assert found == list(range(1000))


async def test_following_with_no_lines_shows_only_new_ones(watched: Watched) -> None:
    watched.write("old")
    await watched.kept(1)
    async with aclosing(logs.follow(watched.ctx, watched.ada, "hello", Selection(0))) as following:
        coming = asyncio.ensure_future(anext(following))
        await asyncio.to_thread(until, lambda: watched.ctx.taps.following(watched.app))
        watched.write("new")
        assert (await asyncio.wait_for(coming, 10)).text == "new"


async def test_an_instance_that_ends_by_itself_is_told_in_the_log(watched: Watched) -> None:
    first = watched.instance
    watched.runtime.crash(first.id, 3)
    assert [line.text for line in await watched.kept(1)] == ["web.1 (v1) exited with code 3 and was restarted"]
    watched.runtime.revived(watched.instance)
    (web, _) = await asyncio.to_thread(processes.list_processes, watched.ctx, watched.ada, "hello")
    assert (web.instances[0].state, web.instances[0].restarts, web.instances[0].oom) == ("up", 1, False)
    watched.runtime.crash(first.id, 137)
    told = (await watched.kept(2))[1]
    assert told.text == "web.1 (v1) ran out of memory (limit 512 MB) and was restarted (2 times)"
    assert (told.source, told.release) == ("paas", 0)
    watched.runtime.revived(watched.instance)
    (web, _) = await asyncio.to_thread(processes.list_processes, watched.ctx, watched.ada, "hello")
    assert (web.instances[0].exit_code, web.instances[0].oom) == (None, True)


async def test_an_instance_that_we_stopped_is_not_mourned(watched: Watched) -> None:
    old = watched.instance
    await asyncio.to_thread(Remote(watched.ctx, watched.ada).push, {**APP, "app.py": "print('two')\n"})
    assert watched.runtime.look(old).state is InstanceState.GONE
    watched.write("done")
    assert [line.text for line in await watched.kept(1)] == ["done"]


async def test_a_new_server_goes_on_where_the_store_ends(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    ada = await asyncio.to_thread(user, ctx)
    await asyncio.to_thread(Remote(ctx, ada).push, APP)
    for number in range(3):
        for text in ("one", "two"):
            watched = Watched(ctx, ada)
            watched.write(f"{text} {number}")
        collecting = asyncio.create_task(Collector(ctx).run())
        await watched.kept(2 * number + 2)
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)
    found = [line.text for line in logs.recent(ctx, ada, "hello")]
    assert found == [f"{text} {number}" for number in range(3) for text in ("one", "two")]


async def test_a_full_disk_loses_lines_and_nothing_else(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with aclosing(logs.follow(watched.ctx, watched.ada, "hello", Selection(0))) as following:
        with monkeypatch.context() as patch:
            patch.setattr(Store, "append", full)
            coming = asyncio.ensure_future(anext(following))
            await asyncio.to_thread(until, lambda: watched.ctx.taps.following(watched.app))
            watched.write("lost")
            assert (await asyncio.wait_for(coming, 10)).text == "lost"
        watched.write("kept")
        assert [line.text for line in await watched.kept(1)] == ["kept"]


async def test_a_reader_who_is_too_slow_is_told_what_it_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taps, "DEPTH", 1000)
    open_taps = taps.Taps()
    with open_taps.open("app") as tap:
        open_taps.send("app", [LogLine(1.0, "web.1", "x" * 300)] * 10)
        first = await tap.get()
        assert [line.source for line in first] == ["web.1", "web.1", "paas"]
        assert first[-1].text == "8 lines are not shown: read too slowly"
        open_taps.send("app", [LogLine(1.0, "web.1", "y")])
        assert [line.text for line in await tap.get()] == ["y"]
    assert not open_taps.following("app")


async def test_reading_waits_while_much_is_to_be_written(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "ROOM", 1000)
    waiting = Collector(watched.ctx)
    for _ in range(3):
        await waiting.keep(watched.app, LogLine(1.0, "web.1", "x" * 300))
    more = asyncio.create_task(waiting.keep(watched.app, LogLine(1.0, "web.1", "more")))
    assert not (await asyncio.wait([more], timeout=0.05))[0]
    writing = asyncio.create_task(waiting.write())
    await asyncio.wait_for(more, 10)
    assert (await watched.kept(4))[-1].text == "more"
    writing.cancel()


def test_progress_redacts_values_and_times_phases() -> None:
    said: list[str] = []
    now = iter([0.0, 1.0, 2.5, 3.0])
    say = Progress(said.append, clock=lambda: next(now))
    say.redact(["swordfish-token", "short", "two\nline-secret"])
    say.detail("got swordfish-token and line-secret and short")
    assert said == ["       got [redacted] and [redacted] and short"]
    with say.phase("build"):
        pass
    assert say.summary() == "3.0s: build 1.5"
