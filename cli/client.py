"""The API, as seen from a command."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

from core.errors import Denied, Invalid, PlatformError, Unavailable, tree

SHORT_SECONDS = 60
"""How long a verb may take; it waits for rows and the engine, never for a build."""
FRAME_BYTES = 1 << 22
KINDS = {kind.code: kind for kind in tree()}


class Client:
    """One caller's view of one server; close it with `async with`."""

    def __init__(self, url: str, token: str, socket: Path | None = None) -> None:
        self.url = url.rstrip("/")
        self._socket = socket
        self._headers = {"Authorization": f"Bearer {token}"}
        self._tls = ssl.create_default_context() if self.url.startswith("https:") else None
        self._http = httpx.AsyncClient(
            base_url=f"{self.url}/v1/",
            headers=self._headers,
            transport=httpx.AsyncHTTPTransport(uds=str(socket)) if socket else None,
            verify=self._tls or False,
            trust_env=socket is None,
            timeout=SHORT_SECONDS,
        )

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._http.aclose()

    async def get(self, path: str, **query: Any) -> Any:
        return await self._call("GET", path, query=query)

    async def post(self, path: str, body: object = None) -> Any:
        return await self._call("POST", path, body)

    async def put(self, path: str, body: object) -> Any:
        return await self._call("PUT", path, body)

    async def patch(self, path: str, body: object) -> Any:
        return await self._call("PATCH", path, body)

    async def delete(self, path: str) -> Any:
        return await self._call("DELETE", path)

    async def _call(self, method: str, path: str, body: object = None, query: dict[str, Any] | None = None) -> Any:
        """The answer's JSON (or text), None when there is none; a problem is raised as its PlatformError."""
        try:
            response = await self._http.request(method, path, json=body, params=query)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if response.status_code >= 400:
            raise raised(response.content, response.status_code)
        if not response.content:
            return None
        return response.json() if "json" in response.headers.get("content-type", "") else response.text

    async def lines(self, path: str, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """The documents of a stream, for as long as it goes on."""
        timeout = httpx.Timeout(SHORT_SECONDS, read=None)
        try:
            async with self._http.stream("GET", path, params=query, timeout=timeout) as response:
                if response.status_code >= 400:
                    raise raised(await response.aread(), response.status_code)
                async for line in response.aiter_lines():
                    if line:
                        yield document(line)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    @asynccontextmanager
    async def socket(self, path: str) -> AsyncIterator[ClientConnection]:
        """A WebSocket of the API."""
        uri = f"ws{self.url.removeprefix('http')}/v1/{path}"
        options: dict[str, Any] = {
            "additional_headers": self._headers,
            "max_size": FRAME_BYTES,
            "compression": None,
            "open_timeout": SHORT_SECONDS,
        }
        if self._socket is None:
            opening = connect(uri, ssl=self._tls, **options)
        else:
            opening = unix_connect(str(self._socket), uri, **options)
        try:
            async with opening as connection:
                yield connection
        except InvalidStatus as error:
            raise raised(bytes(error.response.body), error.response.status_code) from error
        except (OSError, InvalidHandshake, WebSocketException) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> PlatformError:
        if not self.url:
            return signed_out("you are not signed in")
        return Unavailable(
            f"the server at {self.url} does not answer", "Is it running?", evidence=str(error) or type(error).__name__
        )


def path(*parts: object) -> str:
    """Names as one path of the API, whatever they contain; Invalid for what no name can be."""
    for part in parts:
        if str(part) in ("", ".", "..") or "/" in str(part):
            raise Invalid(f"{str(part)!r} is not a name")
    return "/".join(quote(str(part), safe="") for part in parts)


def document(line: str) -> dict[str, Any]:
    """One line of a stream; an error in it is raised."""
    found: dict[str, Any] = json.loads(line)
    if "error" in found:
        raise problem(found["error"])
    return found


def raised(body: bytes, status: int) -> PlatformError:
    """The error an answer of `status` stands for."""
    try:
        members = json.loads(body)
        return problem(members)
    except (ValueError, AttributeError):
        return Unavailable(f"the server answered {status}", "Is this the address of a paas server?")


def problem(members: dict[str, Any]) -> PlatformError:
    """A problem document as the error it was made from."""
    said = str(members.get("detail") or members.get("title"))
    hint, evidence = str(members.get("hint", "")), str(members.get("evidence", ""))
    code = members.get("code")
    if code == "unauthenticated":
        return signed_out("the token is not valid, or no longer")
    kind = KINDS.get(str(code), PlatformError)
    return kind(said, hint, evidence=evidence)


def signed_out(said: str) -> Denied:
    return Denied(said, "Sign in with: paas login URL --token TOKEN")
