"""Every route, asked by nobody, by somebody else and by the owner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import BaseRoute

from api.app import create_app
from api.auth import SessionTokens
from control import accounts, apps, domains
from tests.doors import World, push_again, world

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "{}" + "A" * 42
PUBLIC = "public"
OWN = "own"
"""Answers everybody with what is theirs, 404 where the thing is somebody else's."""
THEIRS = "theirs"
"""An app's: 404 to whoever may not see it."""

Row = tuple[str, str, str, dict[str, Any], Any, int]
# method, route, who; then what the owner sends: path parameters, body, expected status
TABLE: list[Row] = [
    ("GET", "/healthz", PUBLIC, {}, None, 200),
    ("GET", "/v1/openapi.json", OWN, {}, None, 200),
    ("GET", "/v1/account", OWN, {}, None, 200),
    ("GET", "/v1/version", OWN, {}, None, 200),
    ("GET", "/v1/apps", OWN, {}, None, 200),
    ("POST", "/v1/apps", OWN, {}, {"name": "fresh"}, 201),
    ("GET", "/v1/apps/{app}", THEIRS, {}, None, 200),
    ("PATCH", "/v1/apps/{app}", THEIRS, {}, {"branch": "trunk"}, 200),
    ("DELETE", "/v1/apps/{app}", THEIRS, {"app": "spare"}, None, 202),
    ("POST", "/v1/apps/{app}/redeploy", THEIRS, {}, None, 202),
    ("PUT", "/v1/apps/{app}/lock", THEIRS, {}, {"reason": "tonight"}, 200),
    ("DELETE", "/v1/apps/{app}/lock", THEIRS, {}, None, 200),
    ("GET", "/v1/apps/{app}/limits", THEIRS, {}, None, 200),
    ("PATCH", "/v1/apps/{app}/limits", THEIRS, {}, {"memory": 268435456}, 202),
    ("GET", "/v1/apps/{app}/config", THEIRS, {}, None, 200),
    ("PATCH", "/v1/apps/{app}/config", THEIRS, {}, {"values": {"A": "1"}}, 202),
    ("GET", "/v1/apps/{app}/domains", THEIRS, {}, None, 200),
    ("POST", "/v1/apps/{app}/domains", THEIRS, {}, {"host": "new.example.com"}, 201),
    ("DELETE", "/v1/apps/{app}/domains/{host}", THEIRS, {"host": "old.example.com"}, None, 200),
    ("GET", "/v1/apps/{app}/releases", THEIRS, {}, None, 200),
    ("GET", "/v1/apps/{app}/releases/{number}", THEIRS, {"number": 1}, None, 200),
    ("GET", "/v1/apps/{app}/releases/{number}/output", THEIRS, {"number": 1}, None, 200),
    ("POST", "/v1/apps/{app}/rollback", THEIRS, {}, {"release": 1}, 202),
    ("GET", "/v1/apps/{app}/builds", THEIRS, {}, None, 200),
    ("GET", "/v1/apps/{app}/builds/{number}", THEIRS, {"number": "latest"}, None, 200),
    ("GET", "/v1/apps/{app}/builds/{number}/output", THEIRS, {"number": 1}, None, 200),
    ("GET", "/v1/apps/{app}/logs", THEIRS, {}, None, 200),
    ("GET", "/v1/apps/{app}/processes", THEIRS, {}, None, 200),
    ("PATCH", "/v1/apps/{app}/processes", THEIRS, {}, {"counts": {"worker": 1}}, 202),
    ("POST", "/v1/apps/{app}/processes/restart", THEIRS, {}, None, 202),
    ("POST", "/v1/apps/{app}/processes/stop", THEIRS, {}, None, 202),
    ("POST", "/v1/apps/{app}/processes/start", THEIRS, {}, None, 202),
    ("POST", "/v1/apps/{app}/builds/{number}/cancel", THEIRS, {"number": "latest"}, None, 200),
    ("GET", "/v1/jobs/{number}", THEIRS, {"number": 1}, None, 200),
    ("GET", "/v1/jobs/{number}/log", THEIRS, {"number": 1}, None, 200),
    ("GET", "/v1/keys", OWN, {}, None, 200),
    ("POST", "/v1/keys", OWN, {}, {"name": "desk", "public_key": KEY.format("B")}, 201),
    ("DELETE", "/v1/keys/{name}", THEIRS, {"name": "laptop"}, None, 204),
    ("GET", "/v1/tokens", OWN, {}, None, 200),
    ("POST", "/v1/tokens", OWN, {}, {"name": "deploy", "days": 1}, 201),
    ("DELETE", "/v1/tokens/{name}", THEIRS, {"name": "ci"}, None, 204),
]
WEBSOCKETS = {"/apps/{app}/run"}
"""Asked in test_api_run.py by the same three."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = world(tmp_path_factory.mktemp("api"))
    push_again(made)
    apps.create(made.ctx, made.ann, "spare")
    domains.add(made.ctx, made.ann, "hello", "old.example.com")
    accounts.add_key(made.ctx, made.ann, "laptop", KEY.format("C"))
    accounts.create_token(made.ctx, made.ann, "ci", None)
    return made


def routes(found: list[BaseRoute]) -> Iterator[BaseRoute]:
    """Every route below, through the routers that were included."""
    for route in found:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            yield from routes(included.routes)


def test_every_route_is_in_the_table() -> None:
    app = create_app(None, SessionTokens())  # type: ignore[arg-type]
    described = {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}
    assert described == {row[:2] for row in TABLE}
    every = list(routes(app.routes))
    assert {route.path for route in every if not hasattr(route, "methods")} == WEBSOCKETS  # type: ignore[attr-defined]
    hidden = [route for route in every if hasattr(route, "methods") and not route.include_in_schema]  # type: ignore[attr-defined]
    assert not hidden
    assert len([route for route in every if hasattr(route, "methods")]) == len(TABLE)


def path_of(row: Row) -> str:
    return row[1].format(**{"app": "hello", **row[3]})


def named(row: Row) -> str:
    return f"{row[0]} {row[1]}"


@pytest.mark.parametrize("row", TABLE, ids=named)
async def test_nobody_gets_nothing(house: World, row: Row) -> None:
    async with house.client(None) as client:
        answer = await client.request(row[0], path_of(row), json=row[4])
        assert answer.status_code == (200 if row[2] == PUBLIC else 401)
        client.headers["Authorization"] = "Bearer guess"
        answer = await client.request(row[0], path_of(row), json=row[4])
        assert answer.status_code == (200 if row[2] == PUBLIC else 401)


@pytest.mark.parametrize("row", [row for row in TABLE if row[2] == THEIRS], ids=named)
async def test_what_is_somebody_elses_is_not_there(house: World, row: Row) -> None:
    async with house.client(house.bob) as client:
        answer = await client.request(row[0], path_of(row), json=row[4])
        missing = await client.request(row[0], path_of(row).replace("hello", "absent"), json=row[4])
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.json() == missing.json() | {"detail": missing.json()["detail"].replace("absent", "hello")}


@pytest.mark.parametrize("row", TABLE, ids=named)
async def test_the_owner_is_answered(house: World, row: Row) -> None:
    async with house.client(house.ann) as client:
        answer = await client.request(row[0], path_of(row), json=row[4])
    assert answer.status_code == row[5], answer.text


async def test_lists_hold_what_is_ones_own_and_nothing_else(house: World) -> None:
    async with house.client(house.bob) as client:
        assert (await client.get("/v1/apps")).json() == []
        assert (await client.get("/v1/keys")).json() == []
        assert [token["name"] for token in (await client.get("/v1/tokens")).json()] == ["tests"]


async def test_a_revoked_token_opens_nothing_at_the_next_request(tmp_path: Path) -> None:
    made = world(tmp_path)
    async with made.client(made.bob) as client:
        assert (await client.get("/v1/account")).json() == {"name": "bob", "admin": False}
        accounts.revoke_token(made.ctx, made.bob, "tests")
        assert (await client.get("/v1/account")).status_code == 401


async def test_a_session_token_opens_nothing_outside_the_unix_socket(house: World) -> None:
    token = house.sessions.mint(house.ann)
    async with house.client(None) as client:
        answer = await client.get("/v1/account", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
