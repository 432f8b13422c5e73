"""What goes over the wire: requests refuse fields they do not know, answers mirror control's values."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from core.names import PROCESS


def without_nul(text: str) -> str:
    """Neither a database nor an environment can hold a NUL."""
    if "\0" in text:
        raise ValueError("must not contain a NUL character")
    return text


def process_name(text: str) -> str:
    kind, _, number = text.partition(".")
    if not PROCESS.fullmatch(kind) or (number and not number.isdecimal()):
        raise ValueError("must look like web or web.1")
    return text


def moment(text: object) -> float:
    """Seconds since the epoch of `1h` (ago), an ISO time (UTC when it names no zone) or such seconds themselves."""
    word = str(text)
    if ago := AGO.fullmatch(word):
        return time.time() - int(ago[1]) * UNITS[ago[2]]
    with suppress(ValueError, OverflowError):
        return float(word) if SECONDS.fullmatch(word) else of_iso(word)
    raise ValueError("must look like 10s, 30m, 1h, 2d or 2026-01-31T12:00:00Z")


def of_iso(text: str) -> float:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def segment(text: str) -> str:
    """A name that can stand in a path."""
    if not text.strip() or text in (".", "..") or "/" in text or not text.isprintable():
        raise ValueError("must be printable, without slashes")
    return text


def printable(text: str) -> str:
    """One line for people, without control characters."""
    if not text.isprintable():
        raise ValueError("must be one printable line")
    return text


LARGEST = 2**31 - 1
MOST_LINES = 10_000
AGO = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
SECONDS = re.compile(r"\d{1,11}(\.\d{1,9})?", re.ASCII)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
Text = Annotated[str, Field(max_length=16384), AfterValidator(without_nul)]
Line = Annotated[str, Field(max_length=255), AfterValidator(without_nul)]
Label = Annotated[str, Field(max_length=64), AfterValidator(segment)]
Value = Annotated[str, Field(max_length=65536), AfterValidator(without_nul)]
ProcessName = Annotated[str, Field(max_length=80), AfterValidator(process_name)]
InPath = Annotated[str, Path(max_length=255), AfterValidator(without_nul)]
Since = Annotated[float, BeforeValidator(moment, json_schema_input_type=str)]
Number = Annotated[int, Path(ge=1, le=LARGEST)]


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Named(Request):
    name: Line


class AppChange(Request):
    name: Line | None = None
    branch: Line | None = None


class Lock(Request):
    reason: Annotated[str, Field(max_length=255), AfterValidator(printable)] = ""


class ConfigChange(Request):
    values: dict[Line, Value | None] = Field(min_length=1, max_length=1000)
    """Null unsets."""
    restart: bool = True


class Scale(Request):
    counts: dict[Line, Annotated[int, Field(ge=0, le=1000)]] = Field(min_length=1, max_length=100)


class LimitsChange(Request):
    """What is not named stays as it is; null means the installation's setting again."""

    process: Line = "web"
    memory: Annotated[int, Field(ge=1, le=2**50)] | None = None
    """Bytes."""
    cpus: Annotated[float, Field(gt=0, le=10_000)] | None = None
    pids: Annotated[int, Field(ge=1, le=LARGEST)] | None = None


class Rollback(Request):
    release: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    """None: the one before the current."""


class NewKey(Request):
    name: Label
    public_key: Text


class NewToken(Request):
    name: Label
    days: Annotated[int, Field(ge=1, le=3650)] | None = None
    """None: it does not expire."""


class NewDomain(Request):
    host: Line


class LogQuery(Request):
    lines: Annotated[int, Field(ge=0, le=MOST_LINES)] | None = None
    """None: the last 100, or as many as there are with `since`."""
    process: ProcessName | None = None
    release: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    since: Since | None = None
    """`30m`: so long ago; or an ISO time, or seconds since the epoch."""
    follow: bool = False

    @property
    def count(self) -> int:
        if self.lines is None:
            return 100 if self.since is None else MOST_LINES
        return self.lines


class RunRequest(Request):
    """The first message of a `run` socket."""

    command: list[Text] = Field(max_length=1000)
    tty: bool = False
    size: tuple[Annotated[int, Field(ge=1, le=10_000)], Annotated[int, Field(ge=1, le=10_000)]] = (80, 24)
    """Columns, rows."""
    enter: bool = False
    """Inside a running instance instead of a new one."""
    instance: ProcessName | None = None


class Control(Request):
    """Any later text message of a `run` socket."""

    resize: tuple[Annotated[int, Field(ge=1, le=10_000)], Annotated[int, Field(ge=1, le=10_000)]] | None = None
    eof: bool = False


class Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Account(Answer):
    name: str
    admin: bool


class Version(Answer):
    version: str
    domain: str
    ssh_port: int


class App(Answer):
    id: str
    name: str
    owner: str
    branch: str | None
    url: str
    release: int | None
    stopped: bool
    domains: list[str]
    created_at: datetime
    locked: str | None
    """Why no push is taken; null: open."""
    locked_by: str | None


class Build(Answer):
    number: int
    commit: str
    state: str
    reason: str | None
    pack: str | None
    job: int | None
    user: str | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Release(Answer):
    number: int
    current: bool
    failed: bool
    trouble: str | None
    commit: str
    description: str
    user: str | None
    created_at: datetime
    build: int | None
    image: str
    processes: dict[str, str]
    config_added: list[str]
    config_changed: list[str]
    config_removed: list[str]
    collected: bool


class Instance(Answer):
    name: str
    state: str
    release: int
    started_at: float
    restarts: int
    exit_code: int | None
    oom: bool


class Limits(Answer):
    process: str
    memory: int
    cpus: float
    pids: int
    chosen: list[str]
    """Which of the three are set for this process type."""


class Process(Answer):
    type: str
    wanted: int
    command: str
    instances: list[Instance]


class Job(Answer):
    id: int
    app: str
    kind: str
    state: str
    build: int | None
    verdict: dict[str, Any] | None


class Key(Answer):
    name: str
    fingerprint: str
    created_at: datetime


class Token(Answer):
    name: str
    created_at: datetime
    expires_at: datetime | None


class FreshToken(Token):
    secret: str
    """Shown this once."""
