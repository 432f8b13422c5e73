"""The Docker engine's HTTP API over its unix socket: plain calls for threads, streams for the event loop.

A connection a call: on a unix socket that costs nothing, and there is no pool to share between threads and loops.
Streams ask in HTTP/1.0, so that the engine sends the bytes as they are, up to the end of the connection.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing, suppress
from typing import Any
from urllib.parse import urlencode

from core.errors import Unavailable

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Parameter = str | int
CALL_TIMEOUT = 120.0
"""Seconds for a call that answers by itself; a loaded engine takes long to start a container."""
CHUNK = 64 << 10
BROKEN = (OSError, EOFError, http.client.HTTPException, asyncio.LimitOverrunError)


class Refused(Unavailable):
    """The engine answered with an error; callers that know what `answered` means there translate it further."""

    def __init__(self, answered: int, reason: str) -> None:
        super().__init__(f"Docker refused: {reason}")
        self.answered = answered
        self.reason = reason


class UnixConnection(http.client.HTTPConnection):
    """HTTP to a socket file."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Engine:
    """One Docker engine. Connects when it is called; every method raises Refused or Unavailable."""

    def __init__(self, docker_host: str) -> None:
        scheme, _, self.socket = docker_host.partition("://")
        if scheme != "unix":
            raise Unavailable(f"cannot use the Docker engine at {docker_host}", "Set PAAS_DOCKER_HOST to unix:///PATH.")

    def call(
        self, method: str, path: str, body: object = None, *, timeout: float = CALL_TIMEOUT, **parameters: Parameter
    ) -> Any:
        """One call; the decoded JSON answer, None where there is none."""
        return decoded(self.raw(method, path, body, timeout, parameters))

    def read(self, path: str, **parameters: Parameter) -> bytes:
        """The bytes of one GET."""
        return self.raw("GET", path, None, CALL_TIMEOUT, parameters)

    def raw(self, method: str, path: str, body: object, timeout: float, parameters: Mapping[str, Parameter]) -> bytes:
        with closing(UnixConnection(self.socket, timeout)) as connection:
            try:
                content, headers = encoded(body)
                connection.request(method, target(path, parameters), content, headers)
                response = connection.getresponse()
                return checked(response.status, response.read())
            except BROKEN as error:
                raise self.silent(error) from error

    async def acall(self, method: str, path: str, body: object = None, **parameters: Parameter) -> Any:
        """`call` from an event loop, without a time-out: it may wait for a container's end."""
        async with self.connection(method, target(path, parameters), body) as (reader, _):
            return decoded(await reader.read())

    @asynccontextmanager
    async def stream(self, path: str, **parameters: Parameter) -> AsyncIterator[asyncio.StreamReader]:
        """What a GET answers, until the engine ends it."""
        async with self.connection("GET", target(path, parameters)) as (reader, _):
            yield reader

    @asynccontextmanager
    async def connection(self, method: str, path: str, body: object = None) -> AsyncIterator[Connection]:
        """A connection on which the engine has begun to answer; closed in the end."""
        reader, writer = await self.open(request(method, path, body, "HTTP/1.0", {}))
        try:
            yield reader, writer
        except OSError as error:
            raise self.silent(error) from error
        finally:
            await hang_up(writer)

    async def hijack(self, path: str, body: object = None) -> Connection:
        """POST `path` and take over the connection: what follows is the process's own input and output."""
        upgrade = {"Connection": "Upgrade", "Upgrade": "tcp"}
        return await self.open(request("POST", path, body, "HTTP/1.1", upgrade))

    async def open(self, asked: bytes) -> Connection:
        """A connection on which `asked` has been answered well, as far as the head goes."""
        try:
            reader, writer = await asyncio.open_unix_connection(self.socket, limit=CHUNK)
        except OSError as error:
            raise self.silent(error) from error
        try:
            writer.write(asked)
            status, length = head(await reader.readuntil(b"\r\n\r\n"))
            if status >= 400:
                checked(status, await reader.readexactly(length) if length else await reader.read())
        except BaseException as error:
            await hang_up(writer)
            if isinstance(error, BROKEN):
                raise self.silent(error) from error
            raise
        return reader, writer

    def silent(self, error: Exception) -> Unavailable:
        hint = f"Is Docker running, and {self.socket} its socket?"
        return Unavailable("the Docker engine does not answer", hint, evidence=str(error))


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection, whatever has become of it."""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


def filters(**wanted: list[str]) -> str:
    """The engine's `filters` parameter."""
    return json.dumps({key: values for key, values in wanted.items() if values})


def target(path: str, parameters: Mapping[str, Parameter]) -> str:
    return f"{path}?{urlencode(parameters)}" if parameters else path


def encoded(body: object) -> tuple[bytes, dict[str, str]]:
    """A JSON body and its headers."""
    content = b"" if body is None else json.dumps(body).encode()
    return content, {"Content-Type": "application/json", "Content-Length": str(len(content))}


def request(method: str, path: str, body: object, version: str, extra: Mapping[str, str]) -> bytes:
    content, headers = encoded(body)
    lines = [f"{key}: {value}" for key, value in {"Host": "docker", **headers, **extra}.items()]
    return "\r\n".join([f"{method} {path} {version}", *lines, "", ""]).encode() + content


def head(raw: bytes) -> tuple[int, int]:
    """Status and content length (0: not said) of a response's head."""
    first, *lines = raw.decode("latin-1").split("\r\n")
    lengths = [line.partition(":")[2] for line in lines if line.lower().startswith("content-length:")]
    return int(first.split()[1]), int(lengths[0]) if lengths else 0


def checked(status: int, content: bytes) -> bytes:
    """`content`; Refused when it is an error's."""
    if status < 400:
        return content
    message = content.decode(errors="replace").strip() or f"HTTP {status}"
    with suppress(ValueError, KeyError, TypeError):
        message = str(json.loads(content)["message"])
    raise Refused(status, message)


def decoded(content: bytes) -> Any:
    return json.loads(content) if content.strip() else None
