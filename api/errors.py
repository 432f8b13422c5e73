"""Errors as problem+json (RFC 9457): the one table from core.errors to what HTTP says."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from core import errors
from core.errors import PlatformError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"

TITLES: dict[type[PlatformError], str] = {
    errors.PlatformError: "Something went wrong",
    errors.Invalid: "Not valid",
    errors.Denied: "Not allowed",
    errors.NotFound: "Not found",
    errors.Conflict: "In conflict with the present state",
    errors.Cancelled: "Cancelled",
    errors.BuildFailed: "The build failed",
    errors.NoBuildpack: "Nothing knows how to build this",
    errors.StepFailed: "A build step failed",
    errors.DeployFailed: "The deploy failed",
    errors.ReleaseCommandFailed: "The release command failed",
    errors.Unhealthy: "The app did not become healthy",
    errors.Unavailable: "Not available at the moment",
}

RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {"description": "A problem (RFC 9457).", "content": {MEDIA_TYPE: {"schema": {"type": "object"}}}}
}


class Unauthenticated(Exception):
    """No token, or one that opens nothing."""


def problem(error: PlatformError) -> dict[str, Any]:
    """`error` as the members of a problem document."""
    return {
        "type": f"urn:paas:{error.code}",
        "title": next(TITLES[kind] for kind in type(error).__mro__ if kind in TITLES),
        "status": error.status,
        "detail": error.message,
        "code": error.code,
        "evidence": error.evidence,
        "hint": error.hint,
        "exit_code": error.exit_code,
    }


def answer(members: dict[str, Any], headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(members, members["status"], headers, media_type=MEDIA_TYPE)


def plain(status: int, title: str, detail: str, code: str, hint: str = "") -> dict[str, Any]:
    """The problem of a request that never reached a verb."""
    members = {"type": f"urn:paas:{code}", "title": title, "status": status, "detail": detail, "code": code}
    return members | {"evidence": "", "hint": hint, "exit_code": errors.Invalid.exit_code}


def refused_fields(error: RequestValidationError | ValidationError) -> errors.Invalid:
    """What is wrong with a request, field by field; never the values, which may be secrets."""
    rows = [f"{'.'.join(printable(part) for part in row['loc'])}: {row['msg']}" for row in error.errors()]
    return errors.Invalid("the request is not valid", evidence="\n".join(rows[:20]))


def printable(part: object) -> str:
    return str(part).encode("utf-8", "backslashreplace").decode()[:100]


async def platform_error(request: HTTPConnection, error: Exception) -> JSONResponse:
    assert isinstance(error, PlatformError)
    if error.status >= 500:
        log.error("request failed", path=request.url.path, code=error.code, error=error.message, exc_info=error)
    later = {"Retry-After": "5"} if error.status == 503 else None
    return answer(problem(error), later)


async def unauthenticated(request: HTTPConnection, error: Exception) -> JSONResponse:
    hint = "Send `Authorization: Bearer TOKEN`; `ssh paas tokens:create NAME` makes one."
    members = plain(401, "Who are you?", "a valid token is needed", "unauthenticated", hint)
    return answer(members | {"exit_code": errors.Denied.exit_code}, {"WWW-Authenticate": "Bearer"})


async def invalid_request(request: HTTPConnection, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return answer(problem(refused_fields(error)))


async def http_error(request: HTTPConnection, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers) if error.headers else None
    return answer(plain(error.status_code, "Refused", str(error.detail), f"http_{error.status_code}"), headers)


async def unexpected(request: HTTPConnection, error: Exception) -> JSONResponse:
    log.error("request failed", path=request.url.path, exc_info=error)
    return answer(problem(PlatformError("something went wrong on our side", "The server's log says what.")))


def install(app: FastAPI) -> None:
    app.add_exception_handler(PlatformError, platform_error)
    app.add_exception_handler(Unauthenticated, unauthenticated)
    app.add_exception_handler(RequestValidationError, invalid_request)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, unexpected)
