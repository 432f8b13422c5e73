"""Logs of jobs and of instances."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from control import logs
from control.collector import Collector
from control.journal import LINE_LIMIT, Journal, clean
from control.logs import Store
from control.progress import Progress
from runtime.base import LogLine
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


def test_a_store_is_bounded_and_keeps_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "ROTATE_BYTES", 1000)
    store = Store(tmp_path / "app")
    for number in range(200):
        store.append([LogLine(float(number), "web.1", f"line {number}")])
    found = store.lines()
    assert found[-1].text == "line 199" and 10 < len(found) < 100
    assert sum(path.stat().st_size for path in (tmp_path / "app").iterdir()) < 2500
    assert store.last("web.1") == 199.0 and store.last("web.2") == 0.0


async def test_the_collector_keeps_what_instances_write_and_tells_those_who_follow(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    ada = await asyncio.to_thread(user, ctx)
    await asyncio.to_thread(Remote(ctx, ada).push, APP)
    (one,) = ctx.runtime.instances()
    collecting = asyncio.create_task(Collector(ctx).run())
    following = logs.follow(ctx, ada, "hello", "web", 10)
    ctx.runtime.write(one.id, "first")  # type: ignore[attr-defined]
    try:
        line = await asyncio.wait_for(anext(following), 10)
        assert (line.source, line.text) == ("web.1", "first")
        ctx.runtime.write(one.id, "second \x1b[1mbold\x1b[0m")  # type: ignore[attr-defined]
        assert (await asyncio.wait_for(anext(following), 10)).text.startswith("second")
        await asyncio.to_thread(until, lambda: len(logs.recent(ctx, ada, "hello")) == 2)
        assert logs.recent(ctx, ada, "hello")[-1].text == "second bold"
        assert logs.recent(ctx, ada, "hello", process="worker") == []
    finally:
        await following.aclose()  # type: ignore[attr-defined]
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)


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
