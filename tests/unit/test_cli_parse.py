"""From words to a command."""

from __future__ import annotations

from typing import Any

import pytest

from cli import commands
from cli.parse import asks_help, parse, split, usage
from cli.registry import ALIASES, COMMANDS, find
from core.errors import Invalid

assert commands

PROMISED = """
help whoami version apps apps:create apps:list apps:info apps:rename apps:destroy keys keys:add keys:list keys:remove
tokens tokens:create tokens:list tokens:revoke config config:set config:get config:unset config:show config:export
config:import ps ps:scale ps:restart ps:stop ps:start logs releases releases:info releases:output rollback builds
builds:list builds:info builds:output builds:attach builds:cancel run enter git:set redeploy domains domains:add
domains:list domains:remove apps:lock apps:unlock limits limits:list limits:set limits:unset login logout create open
""".split()

LINES: list[tuple[str, str, dict[str, Any]]] = [
    ("apps", "apps:list", {"json": False}),
    ("apps --json", "apps:list", {"json": True}),
    ("apps create hello", "apps:create", {"name": "hello"}),
    ("apps:create hello", "apps:create", {"name": "hello"}),
    ("apps info hello", "apps:info", {"app": "hello"}),
    ("apps info -a info", "apps:info", {"app": "info"}),
    ("apps:rename hello world", "apps:rename", {"app": "hello", "new": "world"}),
    ("apps:rename -a hello world", "apps:rename", {"app": "hello", "new": "world"}),
    ("apps:destroy hello --force", "apps:destroy", {"app": "hello", "force": True}),
    ("apps:destroy --force hello", "apps:destroy", {"app": "hello", "force": True}),
    ("config hello", "config:show", {"app": "hello"}),
    ("config set hello A=1 B=2", "config:set", {"app": "hello", "pairs": ["A=1", "B=2"], "no_restart": False}),
    ("config:set --no-restart hello A=1", "config:set", {"app": "hello", "pairs": ["A=1"], "no_restart": True}),
    ("config:set hello --no-restart A=1 B=", "config:set", {"pairs": ["A=1", "B="], "no_restart": True}),
    ("config:set hello A=1 --no-restart", "config:set", {"pairs": ["A=1"], "no_restart": True}),
    ("config:set A=1 -a hello", "config:set", {"app": "hello", "pairs": ["A=1"]}),
    ('config:set hello "A=x y"', "config:set", {"pairs": ["A=x y"]}),
    ("config:unset hello A B", "config:unset", {"keys": ["A", "B"]}),
    ("ps scale hello web=2 worker=1", "ps:scale", {"counts": ["web=2", "worker=1"]}),
    ("logs hello -t -n 5 -p web.1", "logs", {"app": "hello", "tail": True, "num": 5, "process": "web.1"}),
    ("logs -n 5 hello", "logs", {"app": "hello", "num": 5}),
    ("logs --app=hello", "logs", {"app": "hello"}),
    ("releases:info hello v3", "releases:info", {"app": "hello", "release": "v3"}),
    ("rollback hello", "rollback", {"app": "hello", "release": None}),
    ("rollback hello v2", "rollback", {"app": "hello", "release": "v2"}),
    ("rollback -a hello v2", "rollback", {"app": "hello", "release": "v2"}),
    ("builds:info hello", "builds:info", {"number": "latest"}),
    ("builds:output hello 4", "builds:output", {"number": "4"}),
    ("builds attach hello 4", "builds:attach", {"number": "4"}),
    ("builds:cancel hello", "builds:cancel", {"number": "latest"}),
    ("run hello ls -a --json", "run", {"app": "hello", "command": ["ls", "-a", "--json"]}),
    ("run -a hello ls -a x", "run", {"app": "hello", "command": ["ls", "-a", "x"]}),
    ("run hello python -c 'print(1)'", "run", {"command": ["python", "-c", "print(1)"]}),
    ("run hello ls --help", "run", {"command": ["ls", "--help"]}),
    ("enter hello", "enter", {"app": "hello", "instance": None, "command": []}),
    ("enter hello web.1 cat -n f", "enter", {"instance": "web.1", "command": ["cat", "-n", "f"]}),
    ("git:set hello branch main", "git:set", {"app": "hello", "key": "branch", "value": "main"}),
    ("apps:lock hello -m 'database migration'", "apps:lock", {"app": "hello", "message": "database migration"}),
    ("limits hello", "limits:list", {"app": "hello"}),
    ("limits:set hello -p worker memory=256m", "limits:set", {"process": "worker", "limits": ["memory=256m"]}),
    ("limits unset hello", "limits:unset", {"process": "web", "names": []}),
    ("domains add hello www.example.com", "domains:add", {"host": "www.example.com"}),
    ("tokens:create ci --days 30", "tokens:create", {"name": "ci", "days": 30}),
    ("keys add laptop", "keys:add", {"name": "laptop"}),
    ("login https://paas.example.com --token t", "login", {"url": "https://paas.example.com", "token": "t"}),
]


@pytest.mark.parametrize(("line", "name", "expected"), LINES, ids=[line for line, _, _ in LINES])
def test_a_line_becomes_a_command_and_its_arguments(line: str, name: str, expected: dict[str, Any]) -> None:
    command, rest = find(split(line))
    assert command.name == name
    assert expected.items() <= vars(parse(command, rest)).items()


@pytest.mark.parametrize("name", PROMISED)
def test_every_promised_command_exists_and_says_what_it_does(name: str) -> None:
    command = COMMANDS[ALIASES.get(name, name)]
    assert command.help
    assert usage(command).startswith(command.name)


def test_there_are_no_commands_nobody_promised() -> None:
    assert set(COMMANDS) | set(ALIASES) <= {*PROMISED, "ps:list", "releases:list"}


@pytest.mark.parametrize(
    "line",
    [
        "apps:create",
        "apps:create a b",
        "config:set hello",
        "logs",
        "logs hello -n x",
        "git:set hello tag v1",
        "rollback",
    ],
)
def test_a_line_that_does_not_fit_is_refused_with_the_usage(line: str) -> None:
    command, rest = find(split(line))
    with pytest.raises(Invalid) as caught:
        parse(command, rest)
    assert caught.value.hint.startswith(f"usage: {command.name}")


def test_a_mistyped_command_is_answered_with_the_nearest() -> None:
    with pytest.raises(Invalid, match="there is no command 'relases'") as caught:
        find(["relases"])
    assert "Did you mean releases?" in caught.value.hint


def test_an_open_quote_is_refused_in_words() -> None:
    with pytest.raises(Invalid, match="a quote is not closed"):
        split("config:set hello A='b")


def test_help_is_asked_for_unless_the_word_belongs_to_the_users_command() -> None:
    assert asks_help(COMMANDS["logs"], ["hello", "--help"])
    assert asks_help(COMMANDS["run"], ["--help"])
    assert not asks_help(COMMANDS["run"], ["hello", "ls", "--help"])
