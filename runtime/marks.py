"""How the outside objects of an installation are named and labelled, so that it finds its own and no other's."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from functools import cached_property

INSTALLATION = "paas.installation"
APP = "paas.app"
PROCESS = "paas.process"
RELEASE = "paas.release"
GENERATION = "paas.generation"
NUMBER = "paas.number"
PORT = "paas.port"
GRACE = "paas.grace"
ONEOFF = "paas.oneoff"


def short(text: str, length: int) -> str:
    """`text` as `length` lower-case letters and digits, the same every time."""
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode().lower()[:length]


@dataclass(frozen=True)
class Marks:
    """The names one installation gives."""

    installation: str

    @cached_property
    def prefix(self) -> str:
        return f"paas-{short(self.installation, 8)}"

    @cached_property
    def bridges(self) -> str:
        """What the names of our bridges, and of no others, begin with."""
        return f"p{short(self.installation, 6)}-"

    @cached_property
    def chain(self) -> str:
        """What the names of our firewall chains begin with."""
        return f"PAAS-{short(self.installation, 8).upper()}"

    def network(self, app: str) -> str:
        return f"{self.prefix}-{app}"

    def bridge(self, app: str) -> str:
        """An interface name: the kernel takes 15 characters."""
        return self.bridges + short(app, 7)

    def container(self, app: str, process: str, release: int, generation: int, number: int) -> str:
        return f"{self.prefix}-{app}-{process}-v{release}-g{generation}-{number}"

    def labels(self, app: str, **others: object) -> dict[str, str]:
        """Labels of an object of `app`; `others` by the last part of their names."""
        extra = {f"paas.{key}": str(value) for key, value in others.items()}
        return {INSTALLATION: self.installation, APP: app, **extra}

    def matching(self, **others: object) -> list[str]:
        """The engine's label filter: ours first, then what `others` that are not None say."""
        wanted = [f"paas.{key}={value}" for key, value in others.items() if value is not None]
        return [f"{INSTALLATION}={self.installation}", *wanted]
