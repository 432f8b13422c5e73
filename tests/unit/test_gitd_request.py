"""What may be asked over SSH, and what may not."""

from __future__ import annotations

import pytest

from core.errors import Invalid
from gitd.request import GitRequest, parse, protocol
from tests.hostile import NOT_GIT, UNREADABLE


@pytest.mark.parametrize("path", ["hello", "/hello", "hello.git", "/hello.git"])
def test_git_may_name_an_app_in_four_ways(path: str) -> None:
    assert parse(f"git-receive-pack '{path}'") == GitRequest("receive", "hello")
    assert parse(f"git-upload-pack '{path}'") == GitRequest("upload", "hello")


@pytest.mark.parametrize("command", [*NOT_GIT, *UNREADABLE])
def test_hostile_commands_are_refused_in_words(command: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse(command)
    assert refusal.value.lines()


def test_anything_else_is_only_words() -> None:
    assert parse("config:set hello 'A=b c' \"D=$HOME\"") == ["config:set", "hello", "A=b c", "D=$HOME"]
    assert parse("sh -c 'rm -rf /' ; `id` && $(id) | cat > /etc/passwd")[0] == "sh"
    assert parse("git:set hello branch main") == ["git:set", "hello", "branch", "main"]
    assert parse("git set hello branch main")[:2] == ["git", "set"]
    assert parse("") == []


@pytest.mark.parametrize("value", [b"version=0", b"version=1", b"version=2"])
def test_gits_own_variable_is_let_in(value: bytes) -> None:
    assert protocol({b"GIT_PROTOCOL": value, b"LD_PRELOAD": b"/tmp/x.so"}) == {"GIT_PROTOCOL": value.decode()}


@pytest.mark.parametrize("value", [b"", b"version=3", b"version=2:x", b"version=2\n", b"\xff", b"--upload-pack=id"])
def test_a_strange_value_of_it_is_not(value: bytes) -> None:
    assert protocol({b"GIT_PROTOCOL": value}) == {}
