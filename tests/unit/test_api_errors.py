"""What HTTP says of an error."""

from __future__ import annotations

import pytest

from api.errors import TITLES, problem
from cli.client import problem as understood
from core.errors import PlatformError, Unhealthy, tree


@pytest.mark.parametrize("kind", tree())
def test_every_error_has_a_title_and_an_error_status(kind: type[PlatformError]) -> None:
    assert TITLES[kind]
    assert 400 <= problem(kind("cause"))["status"] < 600


def test_every_title_belongs_to_an_error() -> None:
    assert set(TITLES) == set(tree())


def test_a_problem_has_the_members_of_the_standard_and_ours() -> None:
    assert problem(Unhealthy("never answered", "Listen on $PORT.", evidence="listening on 127.0.0.1:5000")) == {
        "type": "urn:paas:unhealthy",
        "title": "The app did not become healthy",
        "status": 422,
        "detail": "never answered",
        "code": "unhealthy",
        "evidence": "listening on 127.0.0.1:5000",
        "hint": "Listen on $PORT.",
        "exit_code": 32,
    }


@pytest.mark.parametrize("kind", tree())
def test_the_terminal_raises_the_error_the_server_raised(kind: type[PlatformError]) -> None:
    error = understood(problem(kind("cause", "hint", evidence="seen")))
    assert type(error) is kind
    assert error.lines() == ["cause", "seen", "hint"]
