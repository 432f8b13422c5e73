"""What an app's repository says about how it wants to be run: the value read from its app.json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Variable:
    """A config var the app knows."""

    required: bool = True
    value: str | None = None
    """What it is set to while nobody has set it."""
    generator: str | None = None
    """`secret`: a random value of its own is made for this app."""
    description: str = ""


@dataclass(frozen=True)
class HealthCheck:
    """A GET that tells whether an instance is well; times in seconds."""

    kind: str = "startup"
    """startup, readiness or liveness."""
    name: str = ""
    path: str = "/"
    port: int | None = None
    attempts: int = 3
    timeout: int = 5
    wait: int = 5
    """Between two attempts."""
    initial_delay: int = 0
    content: str = ""
    """What the body must contain."""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def longest(self) -> int:
        """Seconds after which it has failed for good."""
        return self.initial_delay + self.attempts * (self.wait + self.timeout)


@dataclass(frozen=True)
class Scripts:
    """Commands around a deploy, as people wrote them; "" for none."""

    postdeploy: str = ""
    """Once, after the first deploy."""
    dokku_predeploy: str = ""
    """Before every deploy."""
    dokku_postdeploy: str = ""
    """After every deploy."""


@dataclass(frozen=True)
class Manifest:
    """All of app.json that counts here; empty without one. Goes into a JSON column and comes back the same."""

    env: Mapping[str, Variable] = field(default_factory=dict)
    formation: Mapping[str, int] = field(default_factory=dict)
    """Process type to count."""
    healthchecks: Mapping[str, tuple[HealthCheck, ...]] = field(default_factory=dict)
    """Process type to its checks."""
    scripts: Scripts = Scripts()
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What was left out, for the log of the build; not kept."""

    def checks(self, process: str, kind: str) -> tuple[HealthCheck, ...]:
        """The checks of that kind for a process type, in the file's order."""
        return tuple(check for check in self.healthchecks.get(process, ()) if check.kind == kind)

    def document(self) -> dict[str, Any]:
        """As JSON; `of` reads it back."""
        document = asdict(self)
        del document["notes"]
        return document

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> Manifest:
        """What `document` gave; an empty manifest where none was kept."""
        kept = document or {}
        return cls(
            {name: Variable(**one) for name, one in kept.get("env", {}).items()},
            dict(kept.get("formation", {})),
            {process: tuple(map(check_of, some)) for process, some in kept.get("healthchecks", {}).items()},
            Scripts(**kept.get("scripts", {})),
        )

    def words(self) -> Iterator[str]:
        """What it says, a few words a part, for the log of a build."""
        if self.env:
            yield f"{len(self.env)} config {'var' if len(self.env) == 1 else 'vars'}"
        if self.formation:
            yield f"formation {' '.join(f'{process}={count}' for process, count in self.formation.items())}"
        for process, checks in self.healthchecks.items():
            of = "" if process == "web" else f" of {process}"
            yield from (f"{check.kind} check{of} GET {check.path}" for check in checks)
        yield from (f"{name.replace('dokku_', 'dokku.')} script" for name, line in asdict(self.scripts).items() if line)


def check_of(document: Mapping[str, Any]) -> HealthCheck:
    headers = tuple((name, value) for name, value in document["headers"])
    return HealthCheck(**{**document, "headers": headers})
