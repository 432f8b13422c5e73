"""One-off commands over a WebSocket, through a real server on a unix socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import InvalidStatus

from control.values import User
from tests.doors import World, listening, world


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> World:
    return world(tmp_path_factory.mktemp("run"))


@pytest.fixture
async def socket(house: World, tmp_path: Path) -> AsyncIterator[Path]:
    path = tmp_path / "api.sock"
    async with listening(house, uds=str(path)):
        yield path


def asking(house: World, socket: Path, who: User | None, app: str = "hello") -> unix_connect:
    headers = {"Authorization": f"Bearer {house.sessions.mint(who)}"} if who else {}
    return unix_connect(str(socket), f"ws://localhost/v1/apps/{app}/run", additional_headers=headers)


async def ran(connection: ClientConnection, request: Any) -> tuple[bytes, dict[str, Any]]:
    """All binary output of a command, and the last words."""
    await connection.send(request if isinstance(request, str | bytes) else json.dumps(request))
    output = b""
    async for message in connection:
        if isinstance(message, bytes):
            output += message
        else:
            return output, json.loads(message)
    raise AssertionError("no last words")


async def test_nobody_is_let_in(house: World, socket: Path) -> None:
    with pytest.raises(InvalidStatus) as caught:
        await asking(house, socket, None)
    assert caught.value.response.status_code == 401
    assert json.loads(bytes(caught.value.response.body))["code"] == "unauthenticated"


async def test_somebody_elses_app_is_not_there(house: World, socket: Path) -> None:
    for request in ({"command": ["echo"]}, {"command": ["echo"], "enter": True}):
        async with asking(house, socket, house.bob) as connection:
            _, last = await ran(connection, request)
        assert last["error"]["code"] == "not_found"


async def test_the_owner_gets_output_and_the_exit_code(house: World, socket: Path) -> None:
    async with asking(house, socket, house.ann) as connection:
        found = await ran(connection, {"command": ["sh", "-c", "echo out; echo err >&2; exit 3"]})
    assert found == (b"\x01out\n\x02err\n", {"exit": 3})


async def test_standard_input_reaches_the_command_and_ends(house: World, socket: Path) -> None:
    async with asking(house, socket, house.ann) as connection:
        await connection.send(json.dumps({"command": ["cat"]}))
        await connection.send(b"\x00one ")
        await connection.send(json.dumps({"resize": [100, 40]}))
        await connection.send(b"\x00two")
        await connection.send(json.dumps({"eof": True}))
        messages = [message async for message in connection]
    assert b"".join(message[1:] for message in messages if isinstance(message, bytes)) == b"one two"
    assert json.loads(messages[-1]) == {"exit": 0}


async def test_enter_runs_inside_the_instance_named(house: World, socket: Path) -> None:
    async with asking(house, socket, house.ann) as connection:
        assert await ran(connection, {"command": ["echo in"], "enter": True, "instance": "web.1"}) == (
            b"\x01in\n",
            {"exit": 0},
        )
    runtime: Any = house.ctx.runtime
    assert runtime.ran[-1].instance in runtime.records
    async with asking(house, socket, house.ann) as connection:
        _, last = await ran(connection, {"command": ["echo"], "enter": True, "instance": "web.9"})
    assert last["error"]["code"] == "not_found"


@pytest.mark.parametrize(
    "request_",
    [
        b"\x00",
        "",
        "{",
        "[]",
        '{"command": "ls"}',
        '{"command": [], "size": [0, 0]}',
        '{"command": ["\\u0000"]}',
        '{"x": 1}',
    ],
)
async def test_a_first_message_that_makes_no_sense_is_refused_in_words(
    house: World, socket: Path, request_: str | bytes
) -> None:
    async with asking(house, socket, house.ann) as connection:
        _, last = await ran(connection, request_)
    assert last["error"]["code"] == "invalid"


@pytest.mark.parametrize("odd", [b"\x07what", '{"resize": [0, 1]}', "{", '{"unknown": 1}'])
async def test_a_later_message_that_makes_no_sense_ends_the_command(
    house: World, socket: Path, odd: str | bytes
) -> None:
    async with asking(house, socket, house.ann) as connection:
        await connection.send(json.dumps({"command": ["cat"]}))
        _, last = await ran(connection, odd)
    assert last["error"]["code"] == "invalid"


async def test_a_client_that_vanishes_ends_the_command(house: World, socket: Path) -> None:
    runtime: Any = house.ctx.runtime
    before = len(runtime.ran)
    async with asking(house, socket, house.ann) as connection:
        await connection.send(json.dumps({"command": ["sh", "-c", "echo up; sleep 30"]}))
        assert await connection.recv() == b"\x01up\n"
        connection.transport.abort()
    async with asyncio.timeout(2):
        while any(task.get_name() == "shown" for task in asyncio.all_tasks()):
            await asyncio.sleep(0.01)
    assert len(runtime.ran) == before + 1
