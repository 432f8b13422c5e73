"""One GET of an instance, as the proxy would send it."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterable
from http.client import HTTPConnection, HTTPException, HTTPResponse
from threading import Event
from typing import TYPE_CHECKING, cast

from runtime.base import Answer, Check

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CONNECT_TIMEOUT = 0.5
"""Seconds: on a local bridge only an instance that is gone takes longer, and that must be noticed at once."""
SLICE = 0.2
"""Seconds until somebody who gives up is heard."""
BODY_LIMIT = 64 << 10
"""Bytes of a body that are searched for a check's content."""
HEADERS = (("X-Forwarded-Proto", "https"), ("User-Agent", "paas-health"), ("Connection", "close"))


class Patient(io.RawIOBase):
    """What comes through a socket, until a deadline or until somebody gives up: TimeoutError then.

    A socket's own timeout begins again with every byte.
    """

    def __init__(self, source: socket.socket, deadline: float, cancelled: Event | None) -> None:
        self.source = source
        self.deadline = deadline
        self.cancelled = cancelled or Event()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        while (left := self.deadline - time.monotonic()) > 0 and not self.cancelled.is_set():
            self.source.settimeout(min(SLICE, left))
            try:
                return self.source.recv_into(buffer)
            except TimeoutError:
                continue
        raise TimeoutError

    def makefile(self, mode: str) -> io.BufferedReader:
        """What `HTTPResponse` asks a socket for."""
        return io.BufferedReader(self)


def get(address: str, port: int, host: str, check: Check, timeout: float, cancelled: Event | None) -> Answer | None:
    """The answer to one GET; see `Observer.probe`."""
    deadline = time.monotonic() + timeout
    connection = HTTPConnection(address, port, timeout=min(timeout, CONNECT_TIMEOUT))
    try:
        connection.connect()
    except OSError:
        connection.close()
        return None
    try:
        connection.request("GET", check.path, headers=headers(host, check.headers))
        source = Patient(connection.sock, deadline, cancelled)
        response = HTTPResponse(cast(socket.socket, source), method="GET")
        response.begin()
        return Answer(response.status, body(response, check.content.encode()))
    except ConnectionError:  # closed without an answer, which http.client takes for bad HTTP too
        raise
    except HTTPException as error:
        raise ConnectionError(f"it does not speak HTTP ({type(error).__name__})") from error
    finally:
        connection.close()


def headers(host: str, given: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Ours, unless a check gives one of the same name."""
    named = {name.lower(): (name, value) for name, value in (("Host", host), *HEADERS, *given)}
    return dict(named.values())


def body(response: HTTPResponse, wanted: bytes) -> bytes:
    """The beginning of the body, read no further than needed to find `wanted` in it."""
    found = b""
    while wanted not in found and len(found) < BODY_LIMIT and (more := response.read1(BODY_LIMIT)):
        found += more
    return found
