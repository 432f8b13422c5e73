"""Which records of the engine's build cache go, from the engine's answers."""

from __future__ import annotations

from typing import Any

from builder.cache import Record, doomed, mark, ours, records

HERE = "abc"
STEP = f"mount / from exec /bin/sh -c : {mark(HERE)}"


def record(
    id: str, *parents: str, says: str = "fileop target", size: int = 10, used: str = "", busy: bool = False
) -> Record:
    return Record(id, parents, says, size, busy, used)


def test_ours_is_what_names_the_installation_and_what_stands_on_it() -> None:
    found = [
        record("stack", says="from local"),
        record("first", "stack", says=STEP),
        record("workdir", "first"),
        record("install", "workdir", says=f"{STEP}  && uv sync"),
        record("cache", says=f"cached mount /root/.npm from exec /bin/sh -c : {mark(HERE)}  && npm ci"),
        record("neighbour", "stack", says=f"mount / from exec /bin/sh -c : {mark(HERE + 'def')}  && npm ci"),
        record("stranger", "stack", says="mount / from exec /bin/sh -c npm ci"),
        record("context", says="http url http://build-context-xyz"),
        record("files"),
    ]
    assert ours(found, HERE) == {"first", "workdir", "install", "cache"}


def test_what_was_used_longest_ago_goes_first_until_the_rest_fits() -> None:
    found = [record(name, says=STEP, used=f"2026-01-0{day}") for name, day in (("b", 2), ("a", 1), ("c", 3))]
    assert [one.id for one in doomed(found, {"a", "b", "c"}, 30)] == []
    assert [one.id for one in doomed(found, {"a", "b", "c"}, 29)] == ["a"]
    assert [one.id for one in doomed(found, {"a", "b", "c"}, 10)] == ["a", "b"]


def test_nothing_goes_before_what_stands_on_it_whoever_made_that() -> None:
    found = [
        record("base", used="2026-01-01"),
        record("top", "base", used="2026-01-05"),
        record("lent", used="2026-01-01"),
        record("theirs", "lent"),
    ]
    assert [one.id for one in doomed(found, {"base", "top", "lent"}, 0)] == ["top", "base"]


def test_what_a_build_or_an_image_uses_neither_goes_nor_counts() -> None:
    found = [record("image", busy=True, size=1000), record("old")]
    assert doomed(found, {"image", "old"}, 10) == []
    assert [one.id for one in doomed(found, {"image", "old"}, 0)] == ["old"]


def test_old_and_new_engines_are_understood() -> None:
    answer: dict[str, Any] = {"ID": "x", "Description": "d", "Size": 3, "InUse": False, "Shared": True}
    times = {"CreatedAt": "2026-01-01", "LastUsedAt": None}
    old, new = {**answer, **times, "Parent": "p"}, {**answer, **times, "Parents": ["p", "q"]}
    assert records([old, new, {**answer, **times, "Parent": ""}]) == [
        Record("x", ("p",), "d", 3, True, "2026-01-01"),
        Record("x", ("p", "q"), "d", 3, True, "2026-01-01"),
        Record("x", (), "d", 3, True, "2026-01-01"),
    ]
