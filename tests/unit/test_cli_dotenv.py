"""Config vars as text: what is exported is what a shell and an import read."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest

from cli import dotenv
from core.errors import Invalid

ODD = [
    "",
    " ",
    "plain",
    "two words",
    " leading and trailing ",
    "it's",
    "'",
    "''",
    '"double"',
    "'\"'\"'",
    "back\\slash",
    "ends with\\",
    "\\n is not a newline",
    "line\nline\n",
    "\n",
    "crlf\r\n",
    "tab\tbell\a",
    "a=b=c",
    "# no comment",
    "a #b",
    "$HOME ${HOME} $(id) `id`",
    "!history",
    "grüße 日本 🎉",
    "\ufeffbom",
    "postgres://u:p@h:5432/db?x=y&z=%20",
    "-----BEGIN KEY-----\nabc+/=\n-----END KEY-----\n",
    '{"a": "it\'s", "b": [1, 2]}',
]


def made_up(count: int) -> list[str]:
    chance = random.Random(20260131)
    alphabet = "ab '\"\\\n\r\t=#$`{}()!é\u2028~*?;&|<>"
    return ["".join(chance.choices(alphabet, k=chance.randrange(12))) for _ in range(count)]


@pytest.mark.parametrize("value", ODD)
def test_an_exported_value_is_imported_exactly(value: str) -> None:
    assert dotenv.read(dotenv.write({"KEY": value, "NEXT": "1"})) == {"KEY": value, "NEXT": "1"}


def test_many_values_at_once_come_back_exactly() -> None:
    values = {f"K{number}": value for number, value in enumerate(ODD + made_up(2000))}
    assert dotenv.read(dotenv.write(values)) == values


def test_a_shell_reads_the_same_values_and_runs_nothing() -> None:
    values = {f"K{number}": value for number, value in enumerate(ODD + made_up(200))}
    show = "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if k[0] == 'K'}))"
    script = f'set -a\n{dotenv.write(values)}exec "$0" -c "$1"\n'
    done = subprocess.run(
        ["sh", "-c", script, sys.executable, show], capture_output=True, check=True, env={"LANG": "C.UTF-8"}
    )
    assert json.loads(done.stdout) == values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# only a comment\n\n", {}),
        ("A=1", {"A": "1"}),
        ("export A=1\n", {"A": "1"}),
        ("A = 1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("A=a b c # why\n", {"A": "a b c"}),
        ("A=a#b\n", {"A": "a#b"}),
        ("A=\nB=2\n", {"A": "", "B": "2"}),
        ("A= # nothing\n", {"A": ""}),
        ('A="x\\ny" # comment\n', {"A": "x\ny"}),
        ('A="two\nlines"\n', {"A": "two\nlines"}),
        ("A='$B'\n", {"A": "$B"}),
        ("\ufeffA=1\n", {"A": "1"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ('A=say "hi"\n', {"A": 'say "hi"'}),
    ],
)
def test_env_files_people_have_are_understood(text: str, expected: dict[str, str]) -> None:
    assert dotenv.read(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A=1\nnonsense\n", "line 2: expected NAME=value"),
        ("A=1\n\nB='open\n", "line 3: a quote is not closed"),
        ("A='x' y\n", "line 1: a quote is not closed, or text follows it"),
        ("1A=x\n", "'1A' is not a config var name"),
        ("=x\n", "line 1: expected NAME=value"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        dotenv.read(text)
