"""The schema of app.json: Heroku's and Dokku's, of each the part that counts here."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from builder.manifest import HealthCheck, Scripts, Variable
from core import names

COUNT_LIMIT = 50
"""Instances of one process type."""
LONGEST = 1800
"""Seconds all attempts of one check may take: the app's other jobs wait for as long."""
TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
PATH = re.compile(r"/[\x21-\x7e]{0,2000}")
PRINTABLE = re.compile(r"[\x20-\x7e]{0,1000}")
PLAIN = re.compile(r"[^\0\ud800-\udfff]*")
SAME = {"name", "path", "port", "attempts", "timeout", "wait", "initial_delay", "content"}
"""Fields of a check that the manifest has as they are."""


def like(pattern: re.Pattern[str], words: str) -> AfterValidator:
    """Takes strings that match; `words` say what others are."""

    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise PydanticCustomError("unlike", words)
        return text

    return AfterValidator(check)


Text = Annotated[str, like(PLAIN, "holds characters that no text can")]
Key = Annotated[str, like(names.CONFIG_KEY, "is not a config var name")]
Process = Annotated[str, like(names.PROCESS, "is not a process type")]
Whole = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


class Part(BaseModel):
    """A JSON object: exact types, unknown keys passed over."""

    model_config = ConfigDict(strict=True, extra="ignore", alias_generator=to_camel)


class Entry(Part):
    """A config var: an object, or only its value."""

    required: bool = True
    value: Text | None = None
    generator: Literal["secret"] | None = None
    description: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def from_value(cls, given: Any) -> Any:
        return {"value": given} if isinstance(given, str) else given

    def variable(self) -> Variable:
        return Variable(self.required, self.value, self.generator, self.description or "")


class Size(Part):
    quantity: Annotated[int, Field(ge=0, le=COUNT_LIMIT)] | None = None


class Header(Part):
    name: Annotated[str, like(TOKEN, "is not the name of a header")]
    value: Annotated[str, like(PRINTABLE, "is not the value of a header")]


class Asked(Part):
    """A health check. The last five are Dokku's, and nothing here does what they ask for."""

    type: Literal["startup", "readiness", "liveness"] = "startup"
    name: Text = ""
    path: Annotated[str, like(PATH, "is not a path that begins with / and has no spaces")] = "/"
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    attempts: Positive = 3
    timeout: Positive = 5
    wait: Whole = 5
    initial_delay: Whole = 0
    content: Text = ""
    http_headers: list[Header] = []
    command: list[str] = []
    uptime: Whole = 0
    listening: bool = False
    warn: bool = False
    scheme: str = "http"

    @model_validator(mode="after")
    def ends(self) -> Asked:
        if self.check().longest > LONGEST:
            raise PydanticCustomError("long", f"may take longer than {LONGEST} seconds to fail")
        return self

    def unsupported(self) -> str:
        """What it asks for that is not supported; "" for a plain GET."""
        asked = {
            "command": self.command,
            "uptime": self.uptime,
            "listening": self.listening,
            "warn": self.warn,
            "https": self.scheme.lower() == "https",
        }
        return next((kind for kind, asks in asked.items() if asks), "")

    def check(self) -> HealthCheck:
        headers = tuple((header.name, header.value) for header in self.http_headers)
        return HealthCheck(kind=self.type, headers=headers, **self.model_dump(include=SAME))


class DokkuLines(Part):
    predeploy: Text = ""
    postdeploy: Text = ""


class Lines(Part):
    postdeploy: Text = ""
    dokku: DokkuLines = DokkuLines()

    def scripts(self) -> Scripts:
        lines = (self.postdeploy, self.dokku.predeploy, self.dokku.postdeploy)
        return Scripts(*(line.strip() for line in lines))


class File(Part):
    env: dict[Key, Entry] = {}
    formation: dict[Process, Size] = {}
    healthchecks: dict[Process, list[Asked]] = {}
    scripts: Lines = Lines()
