"""Procfiles, good and bad."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder import procfile
from core.errors import BuildFailed


def test_types_keep_their_order_and_their_commands_as_written() -> None:
    text = "# what runs\n\nweb: gunicorn app:app --log-file -  \nrelease:python manage.py migrate\nw_2-x: a # b\n"
    assert list(procfile.parse(text).items()) == [
        ("web", "gunicorn app:app --log-file -"),
        ("release", "python manage.py migrate"),
        ("w_2-x", "a # b"),
    ]


def test_windows_line_ends_and_a_byte_order_mark_are_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_bytes(b"\xef\xbb\xbfweb: node a.js\r\nworker: node b.js\r\n")
    assert procfile.read(tmp_path) == {"web": "node a.js", "worker": "node b.js"}


def test_no_procfile_is_none_and_an_empty_one_declares_nothing(tmp_path: Path) -> None:
    assert procfile.read(tmp_path) is None
    (tmp_path / "Procfile").write_text("# later\n")
    assert procfile.read(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("web: a\nweb: b\n", 2, "second time"),
        ("<<<<<<< HEAD\nweb: a\n=======\nweb: b\n>>>>>>> other\n", 1, "merge-conflict"),
        ("web: a\n=======\n", 2, "merge-conflict"),
        ("web a\n", 1, "type: command"),
        ("web:\n", 1, "type: command"),
        ("we b: a\n", 1, "type: command"),
        ("\n\nwéb: a\n", 3, "type: command"),
        (f"{'x' * 64}: a\n", 1, "type: command"),
        ("web: a\0b\n", 1, "type: command"),
    ],
)
def test_a_bad_line_is_named_by_its_number(text: str, line: int, word: str) -> None:
    with pytest.raises(BuildFailed, match=rf"line {line} of the Procfile.*{word}") as told:
        procfile.parse(text)
    assert told.value.hint


def test_a_huge_procfile_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("#" * (procfile.SIZE_LIMIT + 1))
    with pytest.raises(BuildFailed, match="64 KB"):
        procfile.read(tmp_path)
