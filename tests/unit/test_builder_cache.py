"""Which records of the engine's build cache go, from the engine's answers."""

from __future__ import annotations

from typing import Any

from builder.cache import SENT, Record, Sources, doomed, mark, ours, records, sources

HERE = "abc"
DAY = "2026-01-01T00:00:00.123456789Z"
NEW_YEAR = 1767225600.123456
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
    times = {"CreatedAt": DAY, "LastUsedAt": None}
    old, new = {**answer, **times, "Parent": "p"}, {**answer, **times, "Parents": ["p", "q"]}
    assert records([old, new, {**answer, **times, "Parent": ""}]) == [
        Record("x", ("p",), "d", 3, True, DAY, NEW_YEAR),
        Record("x", ("p", "q"), "d", 3, True, DAY, NEW_YEAR),
        Record("x", (), "d", 3, True, DAY, NEW_YEAR),
    ]


def test_sources_are_known_by_their_sizes_and_their_time_when_nothing_else_fits() -> None:
    sent = Sources(begun=10, ended=20, unpacked=300)
    assert b"".join(sent.counted([b"x" * 500, b"y" * 12])) == b"x" * 500 + b"y" * 12
    tarred = Record("tar", (), f"{SENT}abc", 512, False, "", 11)
    others = [
        Record("late", (), f"{SENT}def", 512, False, "", 21),
        Record("larger", (), f"{SENT}ghi", 1024, False, "", 11),
        Record("copied", ("base",), "fileop target", 300, False, "", 12),
        Record("step", (), "mount / from exec", 300, False, "", 12),
    ]
    files = Record("files", (), "fileop target", 300, False, "", 12)
    assert sources([tarred, files, *others], [sent]) == {"tar", "files"}
    strangers = Record("stranger", (), f"{SENT}jkl", 512, False, "", 15)
    assert sources([tarred, files, *others, strangers], [sent]) == {"files"}
