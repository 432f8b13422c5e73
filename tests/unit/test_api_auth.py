"""Tokens made for one session."""

from __future__ import annotations

from api.auth import SessionTokens
from control.values import User

ANN = User(id="a1", name="ann")


def test_a_session_token_is_its_user_until_it_is_revoked() -> None:
    sessions = SessionTokens()
    token = sessions.mint(ANN)
    assert sessions.user(token) == ANN
    sessions.revoke(token)
    assert sessions.user(token) is None


def test_every_session_has_a_token_of_its_own() -> None:
    sessions = SessionTokens()
    first, second = sessions.mint(ANN), sessions.mint(ANN)
    assert first != second
    sessions.revoke(first)
    assert sessions.user(second) == ANN


def test_a_guess_is_nobody() -> None:
    sessions = SessionTokens()
    sessions.mint(ANN)
    assert sessions.user("") is None
    assert sessions.user("ann") is None
