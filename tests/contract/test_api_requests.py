"""What the JSON door does with odd requests, and how its streams behave."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from api.body import BODY_BYTES
from api.stream import beating, ndjson
from control import apps, builds, events, logs, queue
from core.errors import Unavailable
from models import Job
from runtime.base import LogLine
from tests.doors import World, working, world


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> World:
    return world(tmp_path_factory.mktemp("api"))


GARBAGE = [
    b"",
    b"null",
    b"[]",
    b"{",
    b'"text"',
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"name": null}',
    b'{"name": 5}',
    b'{"name": ["hello"]}',
    b'{"name": ""}',
    b'{"name": "\\u0000"}',
    b'{"name": "\\ud800"}',
    b'{"name": "' + b"a" * 100_000 + b'"}',
    b'{"name": "other", "owner": "bob"}',
    b'{"values": {"A": {"b": 1}}}',
    b'{"values": {"\\ud800": "1"}}',
    b'{"values": {"A": "\\u0000"}}',
    b'{"counts": {"web": 1e400}}',
    b'{"counts": {"web": -1}}',
    b'{"counts": {"web": 99999999999999999999}}',
    b'{"release": 99999999999999999999}',
    b'{"release": 1.5}',
    b'{"host": "-"}',
    b'{"host": "a..b"}',
    b'{"host": "*.example.com"}',
    b'{"host": "' + "é".encode() * 300 + b'.com"}',
    b'{"days": 1e9, "name": "x"}',
    b'{"name": "a/b", "public_key": "x"}',
    b'{"name": "k", "public_key": "ssh-ed25519 !!!! x"}',
    b'{"branch": "-x"}',
    b'{"branch": "\\n"}',
]
BODIES = [
    ("POST", "/v1/apps"),
    ("PATCH", "/v1/apps/hello"),
    ("PATCH", "/v1/apps/hello/config"),
    ("POST", "/v1/apps/hello/domains"),
    ("PATCH", "/v1/apps/hello/processes"),
    ("POST", "/v1/apps/hello/rollback"),
    ("POST", "/v1/keys"),
    ("POST", "/v1/tokens"),
]


@pytest.mark.parametrize(("method", "path"), BODIES)
async def test_garbage_in_a_body_is_refused_in_words(house: World, method: str, path: str) -> None:
    async with house.client(house.ann) as client:
        for body in GARBAGE:
            answer = await client.request(method, path, content=body, headers={"Content-Type": "application/json"})
            assert_refused_or_empty(answer.status_code, answer.content, body)


def assert_refused_or_empty(status: int, content: bytes, body: bytes) -> None:
    if status < 400:  # a PATCH that changes nothing says so
        assert body == b'{"name": null}'
        return
    assert status < 500, (status, content, body)
    assert json.loads(content).keys() >= {"type", "title", "status", "detail", "code", "hint", "evidence", "exit_code"}


ODD_PATHS = [
    "/v1/apps/%00",
    "/v1/apps/%ff%fe",
    "/v1/apps/..%2f..%2fetc",
    "/v1/apps/" + "a" * 5000,
    "/v1/apps/hello/releases/0",
    "/v1/apps/hello/releases/-1",
    "/v1/apps/hello/releases/99999999999999999999",
    "/v1/apps/hello/releases/٣",
    "/v1/apps/hello/builds/last",
    "/v1/apps/hello/builds/1e3",
    "/v1/apps/hello/logs?lines=-1",
    "/v1/apps/hello/logs?lines=99999999999999999999",
    "/v1/apps/hello/logs?process=%00",
    "/v1/apps/hello/logs?follow=perhaps",
    "/v1/apps/hello/logs?since=yesterday",
    "/v1/jobs/99999999999999999999",
    "/v1/jobs/x/log",
    "/v1/nothing",
    "/",
    "/v1",
]


@pytest.mark.parametrize("path", ODD_PATHS)
async def test_odd_addresses_are_refused_in_words(house: World, path: str) -> None:
    async with house.client(house.ann) as client:
        answer = await client.get(path)
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_refused_value_is_not_repeated(house: World) -> None:
    async with house.client(house.ann) as client:
        answer = await client.patch("/v1/apps/hello/config", json={"values": {"A": ["canary"]}})
    assert answer.status_code == 422
    assert "values.A" in answer.json()["evidence"]
    assert "canary" not in answer.text


async def test_a_wrong_method_says_which_are_right(house: World) -> None:
    async with house.client(house.ann) as client:
        answer = await client.put("/v1/account")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_large_is_refused(house: World, announced: bool) -> None:
    async def pieces() -> Any:
        for _ in range(3):
            yield b"x" * (BODY_BYTES // 2)

    body: Any = b"x" * (BODY_BYTES + 1) if announced else pieces()
    async with house.client(house.ann) as client:
        answer = await client.post("/v1/apps", content=body)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_a_large_body_within_the_limit_arrives_whole(house: World) -> None:
    value = "é" * 30_000
    async with house.client(house.ann) as client:
        answer = await client.patch("/v1/apps/hello/config", json={"values": {"LONG": value}, "restart": False})
        assert answer.status_code == 204, answer.text
        assert (await client.get("/v1/apps/hello/config")).json() == {"LONG": value}


async def test_an_unhealthy_platform_says_which_part(house: World) -> None:
    proxy: Any = house.ctx.proxy
    async with house.client(None) as client:
        assert (await client.get("/healthz")).json()["status"] == "ok"
        proxy.down = True
        answer = await client.get("/healthz")
        proxy.down = False
    assert (answer.status_code, answer.json()["status"], answer.json()["database"]) == (503, "degraded", "ok")


async def test_a_finished_jobs_log_ends_with_its_verdict(house: World) -> None:
    async with house.client(house.ann) as client:
        answer = await client.get("/v1/jobs/1/log")
    *lines, last = [json.loads(line) for line in answer.text.splitlines()]
    assert lines[0] == {"line": f"-----> Building hello from {commit_of(house)}"}
    assert last["verdict"]["ok"] is True


def commit_of(house: World) -> str:
    return builds.info(house.ctx, house.ann, "hello", 1).commit[:7]


async def test_a_running_jobs_log_arrives_as_it_is_written(tmp_path_factory: pytest.TempPathFactory) -> None:
    house = world(tmp_path_factory.mktemp("job"))
    with house.ctx.db.begin() as session:
        first = session.get_one(Job, 1)
        job = Job(app_id=first.app_id, kind="restart", user_id=house.ann.id, payload={})
        session.add(job)
    house.ctx.journal.write(job.id, "-----> Waiting")
    follower = events.follow(house.ctx, job.id)
    assert await anext(follower) == "-----> Waiting"
    next_line = asyncio.ensure_future(anext(follower))
    assert not (await asyncio.wait([next_line], timeout=0.05))[0]
    with working(house.ctx):
        assert await next_line != "-----> Waiting"
        rest = [line async for line in follower]
    assert rest[-1].startswith("=====> Live at")
    assert queue.info(house.ctx, house.ann, job.id).verdict == {
        "ok": True,
        "url": rest[-1].split()[3],
        "release": 1,
    }


async def test_recent_log_lines_are_documents(house: World) -> None:
    app = apps.info(house.ctx, house.ann, "hello")
    entries = [LogLine(float(at), f"web.{at}", f"line {at}", 1) for at in (1, 2, 3)]
    logs.store(house.ctx, app.id).append(entries)
    async with house.client(house.ann) as client:
        answer = await client.get("/v1/apps/hello/logs", params={"lines": 2, "process": "web"})
    assert [json.loads(line) for line in answer.text.splitlines()] == [
        {"at": 2.0, "source": "web.2", "text": "line 2", "release": 1},
        {"at": 3.0, "source": "web.3", "text": "line 3", "release": 1},
    ]


async def test_log_lines_are_chosen_by_release_and_time(house: World) -> None:
    app, now = apps.info(house.ctx, house.ann, "hello"), time.time()
    ages = {7: 7200, 8: 1800, 9: 10}
    entries = [LogLine(now - age, "web.1", f"of v{release}", release) for release, age in ages.items()]
    logs.store(house.ctx, app.id).append([*entries, *[LogLine(now - 5, "web.1", "often", 6)] * 150])

    async def found(**query: object) -> set[str]:
        async with house.client(house.ann) as client:
            answer = await client.get("/v1/apps/hello/logs", params=query)
        assert answer.status_code == 200, answer.text
        return {json.loads(line)["text"] for line in answer.text.splitlines()}

    assert await found() == {"often"}
    assert await found(release=7) == {"of v7"}
    hour = {"of v8", "of v9", "often"}
    iso = datetime.fromtimestamp(now - 3600, UTC)
    for since in ("1h", "60m", "3600s", str(now - 3600), iso.isoformat(), iso.replace(tzinfo=None).isoformat()):
        assert await found(since=since) == hour, since
    assert await found(since="1d") == {*hour, "of v7"}
    assert await found(since="1h", lines=1) == {"often"}
    assert await found(since="1h", release=7) == set()


@pytest.mark.parametrize("since", ["yesterday", "1w", "-1h", "", "nan", "1e99", "2026-13-01", "1h\0"])
async def test_a_time_that_is_none_is_one_clear_error(house: World, since: str) -> None:
    async with house.client(house.ann) as client:
        answer = await client.get("/v1/apps/hello/logs", params={"since": since})
    assert answer.status_code == 422
    assert "must look like 10s, 30m, 1h, 2d or 2026-01-31T12:00:00Z" in answer.json()["evidence"]


async def test_a_stream_that_breaks_ends_with_the_problem() -> None:
    async def documents() -> Any:
        yield {"line": "one"}
        raise Unavailable("the engine went away", "Look at it.")

    lines = [json.loads(bytes(line)) async for line in ndjson(documents()).body_iterator]
    assert lines[0] == {"line": "one"}
    assert lines[1]["error"]["code"] == "unavailable"


async def test_a_silent_stream_still_beats_and_loses_nothing() -> None:
    async def slow() -> Any:
        yield b"one\n"
        await asyncio.sleep(0.05)
        yield b"two\n"

    seen = [line async for line in beating(slow(), 0.01)]
    assert [line for line in seen if line != b"\n"] == [b"one\n", b"two\n"]
    assert seen.count(b"\n") >= 2


async def test_a_reader_who_leaves_ends_the_stream_behind_it() -> None:
    ended = asyncio.Event()

    async def endless() -> Any:
        try:
            while True:
                yield b"line\n"
                await asyncio.sleep(0)
        finally:
            ended.set()

    stream = beating(endless(), 10)
    assert await anext(stream) == b"line\n"
    await stream.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(1):
        await ended.wait()
