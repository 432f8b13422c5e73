"""What a tree's .env.example asks for, whatever it looks like."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from builder import envexample
from core.errors import BuildFailed

CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "plain lines": ("A=1\nB=\n", ("A", "B")),
    "the last line without an end": ("A=1", ("A",)),
    "quotes and exports": ("export A=\"x\"\nB='y z'\n  C = d # why\n", ("A", "B", "C")),
    "values over several lines": ('KEY="-----BEGIN\nB=2\n-----END"\nC=3\n', ("KEY", "C")),
    "nothing is expanded": ("A=$(touch /x)\nB=`id`\nC=${A:?no}\n", ("A", "B", "C")),
    "comments are not asked for": ("# what it needs\n#A=1\n  # B=2\nC=3\n", ("C",)),
    "windows line ends and a byte order mark": ("\ufeffA=1\r\nB=2\r\n", ("A", "B")),
    "a name that stands there twice": ("A=1\nB=1\nA=2\n", ("A", "B")),
    "lines that set nothing": ("A\nhello there\n=x\nB=1\n", ("B",)),
    "names that no config var can have": ("my-key=1\n9A=1\nÄ=1\na.b=1\n'A B'=1\nok=1\n", ("ok",)),
    "what the platform gives": ("PORT=1\nHOST=0\nNODE_ENV=x\nHOME=/\nPATH=/\nDYNO=\nGIT_REV=\nPAAS_X=\nA=\n", ("A",)),
    "names that only begin so": ("PORTAL=1\nMY_PORT=1\nPAAS=1\n", ("PORTAL", "MY_PORT", "PAAS")),
    "a merge conflict": ("<<<<<<< HEAD\nA=1\n=======\nB=1\n>>>>>>> x\n", ("A", "B")),
    "a quote that is not closed": ("A='x\nB=2\n", ("B",)),
    "nothing at all": ("", ()),
    "only blanks": (" \n\t\n\r\n", ()),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_the_names_it_lists_are_found(text: str, expected: tuple[str, ...]) -> None:
    assert envexample.parse(text) == expected


def test_no_file_and_a_folder_of_that_name_ask_for_nothing(tmp_path: Path) -> None:
    assert envexample.read(tmp_path) == ()
    (tmp_path / ".env.example").mkdir()
    assert envexample.read(tmp_path) == ()


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text("A=1\n" * 20_000)
    with pytest.raises(BuildFailed, match=r"\.env\.example is larger than 64 KB"):
        envexample.read(tmp_path)


def test_rubbish_asks_for_nothing_strange_and_takes_no_time(tmp_path: Path) -> None:
    chance = random.Random(20260131)
    rubbish = [chance.randbytes(envexample.SIZE_LIMIT), b"\0" * 60_000, b"\xff=\xfe\n" * 10_000]
    rubbish += [
        piece * (envexample.SIZE_LIMIT // len(piece)) for piece in (b'A="', b"A='\\", b"'", b"=", b"#", b'A=\\"\n')
    ]
    begun = time.monotonic()
    for content in rubbish:
        (tmp_path / ".env.example").write_bytes(content)
        assert all(name.isascii() and name.isidentifier() for name in envexample.read(tmp_path))
    assert time.monotonic() - begun < 5
