"""What hostile and careless clients send, through the real HAProxy."""

from __future__ import annotations

import asyncio
import time

import pytest

from router.base import Route, Target
from tests.haproxy import RunningProxy, Start

pytestmark = pytest.mark.real


def route(*targets: Target) -> Route:
    return Route("a1", ("hello.localhost",), targets)


def test_clients_cannot_speak_for_the_proxy(running: RunningProxy, start: Start) -> None:
    running.proxy.put(route(start("v1").target))
    forged = {
        "X-Forwarded-For": "6.6.6.6",
        "X_Forwarded_For": "6.6.6.6",
        "x-forwarded-proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Server": "evil.example",
        "X-Real-IP": "6.6.6.6",
        "Forwarded": "for=6.6.6.6",
        "Proxy": "http://6.6.6.6",
    }
    said = running.get("hello.localhost", headers=forged).text.lower()
    assert "6.6.6.6" not in said
    assert "evil.example" not in said
    assert "x-forwarded-for: 127.0.0.1" in said
    assert "x-forwarded-proto: http\n" in said
    assert "x-forwarded-host: hello.localhost\n" in said
    assert f"x-forwarded-port: {running.port}\n" in said


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: hello.localhost\r\n\r\n"


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n",
        b"Content-Length: %d\r\nTransfer-Encoding : chunked\r\n",
        b"Content-Length: %d\r\nTransfer-Encoding: xchunked\r\n",
        b"Content-Length: %d\r\nTransfer-Encoding: chunked, identity\r\n",
        b"Content-Length: %d\r\nContent-Length: 5\r\n",
        b"Content-Length: +%d\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: %d\r\nX: y\n\rTransfer-Encoding: chunked\r\n",
    ],
)
def test_the_app_never_sees_a_request_the_proxy_did_not(running: RunningProxy, start: Start, fields: bytes) -> None:
    app = start("v1")
    running.proxy.put(route(app.target))
    body = b"0\r\n\r\n" + SMUGGLED
    head = b"POST / HTTP/1.1\r\nHost: hello.localhost\r\n" + fields.replace(b"%d", str(len(body)).encode())
    running.raw(head + b"Connection: close\r\n\r\n" + body)
    counted = {one.target: one.requests for one in running.proxy.stats()}["v1"]
    assert counted == len(app.seen) <= 1
    assert "GET /smuggled" not in app.seen


@pytest.mark.parametrize(
    "lines",
    [
        b"Host: hello.localhost\r\nHost: evil.example",
        b"Host: evil.example, hello.localhost",
        b"Host: hello.localhost\x00",
        b"Host : hello.localhost",
        b"X: y",
        b"Host: hello.localhost evil",
        b"Host: %[src]",
        b"Host: " + b"a" * 9000,
    ],
)
def test_an_odd_host_line_reaches_no_app(running: RunningProxy, start: Start, lines: bytes) -> None:
    running.proxy.put(route(start("v1").target))
    answer = running.raw(b"GET / HTTP/1.1\r\n" + lines + b"\r\nConnection: close\r\n\r\n")
    assert answer.split(b" ")[1] in {b"400", b"404"}


def test_slow_clients_do_not_keep_others_out(running: RunningProxy, start: Start) -> None:
    running.proxy.put(route(start("v1").target))

    async def crowd() -> str:
        opened = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(300)]
        for _, writer in opened:
            writer.write(b"GET / HTTP/1.1\r\nHost: hello")
        began = time.monotonic()
        word = await asyncio.to_thread(running.word)
        assert time.monotonic() - began < 2
        for _, writer in opened:
            writer.close()
        return word

    assert asyncio.run(crowd()) == "v1"
