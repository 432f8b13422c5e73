"""The file that keeps only its newest lines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from control import segments
from control.segments import Place, Segments


def sizes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_it_never_grows_beyond_its_limit_and_keeps_the_newest(tmp_path: Path) -> None:
    kept = Segments(tmp_path / "app", 5000)
    for start in range(0, 1000, 7):
        kept.append([f"line {number}".encode() for number in range(start, start + 7)])
        assert sizes(tmp_path / "app") <= 5000
    found = list(kept.backward())
    assert found[0] == b"line 1000" and found == [f"line {1000 - n}".encode() for n in range(len(found))]
    assert sizes(tmp_path / "app") > 3500


def test_one_batch_larger_than_everything_leaves_its_end(tmp_path: Path) -> None:
    kept = Segments(tmp_path, 5000)
    kept.append([b"%d" % number for number in range(10_000)])
    assert sizes(tmp_path) <= 5000
    assert next(kept.backward()) == b"9999"


def test_lines_are_found_from_the_end_whatever_the_blocks_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [b"x" * length for length in (1, 0, 2, 3, 30, 4, 9, 10, 11)]
    Segments(tmp_path, 1000).append(lines)
    for block in (1, 3, 10, 64):
        monkeypatch.setattr(segments, "BLOCK", block)
        assert list(Segments(tmp_path, 1000).backward()) == [line for line in reversed(lines) if line]


def test_a_place_divides_what_was_there_from_what_came_later(tmp_path: Path) -> None:
    kept = Segments(tmp_path, 500)
    assert list(kept.backward(kept.end())) == []
    kept.append([b"one", b"two"])
    place = kept.end()
    kept.append([b"x" * 60] * 4)
    assert kept.end() > place
    assert list(kept.backward(place)) == [b"two", b"one"]
    assert list(kept.backward(Place(7, 1)))[-1] == b"one"


def test_a_line_that_was_cut_does_not_spoil_the_next(tmp_path: Path) -> None:
    kept = Segments(tmp_path, 1000)
    kept.append([b"whole"])
    with kept.path(1).open("ab") as file:
        file.write(b"half of a li")
    kept.append([b"next"])
    assert list(kept.backward()) == [b"next", b"half of a li", b"whole"]


def test_garbage_takes_no_more_memory_than_the_longest_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "LONGEST", 100)
    monkeypatch.setattr(segments, "BLOCK", 64)
    (tmp_path / "1.log").write_bytes(b"first\n" + b"\0" * 10_000 + b"\nlast\n")
    found = list(Segments(tmp_path, 1 << 20).backward())
    assert (found[0], found[-1]) == (b"last", b"first") and max(map(len, found)) <= 164


def test_what_is_in_the_folder_beside_segments_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.log").write_text("mine")
    (tmp_path / "2.log.gz").write_text("mine")
    kept = Segments(tmp_path, 1000)
    kept.append([b"one"])
    assert (kept.numbers(), list(kept.backward())) == ([1], [b"one"])


def test_segments_that_nobody_wrote_to_since_are_not_read(tmp_path: Path) -> None:
    kept = Segments(tmp_path, 500)
    kept.append([b"x" * 60, b"y" * 60])
    os.utime(kept.path(1), (1000, 1000))
    assert list(kept.backward(since=999)) == [b"y" * 60, b"x" * 60]
    assert list(kept.backward(since=1001)) == [b"y" * 60]
