"""A command line, from words to exit code, where no server is needed."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cli.client import Client
from cli.main import run
from cli.registry import COMMANDS
from core.version import VERSION
from tests.terminals import TestTerminal

ROOT = Path(__file__).resolve().parents[2]


async def said(*argv: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a command over SSH without a server."""
    terminal = TestTerminal()
    async with Client("", "") as client:
        code = await run(list(argv), terminal, client)
    return code, terminal.stdout.text, terminal.stderr.text


async def test_help_lists_every_command_that_works_over_ssh() -> None:
    code, out, err = await said("help")
    listed = {line.split()[0] for line in out.splitlines()[2:]}
    assert (code, err) == (0, "")
    assert listed >= {"apps", "config", "logs", "run", "rollback", "git:set"}
    assert not {name for name, command in COMMANDS.items() if command.local} & listed


@pytest.mark.parametrize("argv", [[], ["help"], ["--help"], ["-h"]])
async def test_no_words_and_asking_for_help_are_the_same(argv: list[str]) -> None:
    assert await said(*argv) == await said("help")


async def test_help_on_a_topic_lists_its_commands() -> None:
    _, out, _ = await said("help", "config")
    assert [line.split()[0] for line in out.splitlines()] == [
        "config:export",
        "config:get",
        "config:import",
        "config:set",
        "config",
        "config:unset",
    ]


@pytest.mark.parametrize("argv", [["help", "ps:scale"], ["help", "ps", "scale"], ["ps:scale", "--help"]])
async def test_help_on_a_command_shows_its_usage(argv: list[str]) -> None:
    code, out, _ = await said(*argv)
    assert code == 0
    assert out.startswith("Usage: ps:scale")


async def test_an_unknown_command_is_an_error_with_a_suggestion() -> None:
    assert await said("aps") == (
        2,
        "",
        " !     there is no command 'aps'\n !     Did you mean apps? `help` lists the commands.\n",
    )


@pytest.mark.parametrize("argv", [["login", "https://x"], ["logout"], ["create", "hello"], ["open", "hello"]])
async def test_what_needs_ones_own_machine_is_refused_over_ssh(argv: list[str]) -> None:
    code, out, err = await said(*argv)
    assert (code, out) == (3, "")
    assert f"`{argv[0]}` works on your own machine, not over SSH" in err


async def test_without_a_login_every_command_says_how_to_sign_in() -> None:
    assert await said("apps") == (
        3,
        "",
        " !     you are not signed in\n !     Sign in with: paas login URL --token TOKEN\n",
    )


@pytest.mark.parametrize("app", ["a/b", "..", "."])
async def test_a_name_that_would_be_another_path_is_refused(app: str) -> None:
    code, _, err = await said("apps:info", app)
    assert code == 2
    assert "is not a name" in err


def test_the_local_program_runs_as_a_process(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "help"],
        cwd=ROOT,
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "login" in done.stdout


def test_the_version_is_the_one_of_the_package() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION
