"""What an app needs to be told before it can run: app.json and .env.example against the config vars there are."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from builder.envexample import given
from builder.manifest import Manifest, Variable
from core.errors import BuildFailed

NAMED = 20
"""Names that a refusal tells; the rest is counted."""
WIDTH = 100
"""Characters shown of a description."""
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True)
class Missing:
    """A config var that must be set and is not."""

    name: str
    source: str
    """The file that asks for it."""
    description: str = ""

    def __str__(self) -> str:
        said = UNPRINTABLE.sub(" ", self.description).strip()[:WIDTH]
        return f"{self.name} is asked for in {self.source}{f': {said}' if said else ''}"


@dataclass(frozen=True)
class Needs:
    """What has to happen to the config vars before a release."""

    defaults: Mapping[str, str]
    """Values to set as they are."""
    generators: Mapping[str, str]
    """Names whose value is to be made, each with its generator."""
    missing: tuple[Missing, ...]
    """What only a person can set."""


def needs(manifest: Manifest, expected: Sequence[str], config: Mapping[str, str]) -> Needs:
    """What `config` lacks of what app.json and, for names that it does not have, .env.example ask for."""
    absent = {name: one for name, one in manifest.env.items() if name not in config and not platforms(name)}
    missing = [
        Missing(name, "app.json", one.description)
        for name, one in absent.items()
        if unanswered(one) and not given(name)
    ]
    missing += [Missing(name, ".env.example") for name in expected if name not in config and name not in manifest.env]
    return Needs(
        {name: one.value for name, one in absent.items() if one.value is not None and not one.generator},
        {name: one.generator for name, one in absent.items() if one.generator},
        tuple(missing),
    )


def platforms(name: str) -> bool:
    """Whether the platform itself sets it, whatever app.json says."""
    return name.startswith("PAAS_") or name in {"PORT", "DYNO", "GIT_REV", "SOURCE_VERSION"}


def unanswered(variable: Variable) -> bool:
    return variable.required and variable.value is None and variable.generator is None


def generate(generator: str) -> str:
    """A new value from the generator of that name."""
    if generator != "secret":
        raise BuildFailed(f"there is no generator {generator!r}", "app.json may say: secret")
    return secrets.token_hex(32)


def refusal(app_name: str, missing: Sequence[Missing]) -> BuildFailed:
    """Why a push cannot go on, and the commands that let it."""
    told = missing[:NAMED]
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    words = f"config vars are missing: {', '.join(one.name for one in told)}{more}"
    pairs = " ".join(f"{one.name}=..." for one in told)
    hint = f"Set them, then push again: ssh paas config:set {app_name} {pairs}"
    if any(one.source == ".env.example" for one in missing):
        hint += f"\nOr fill in a copy of .env.example: ssh paas config:import {app_name} < .env"
    return BuildFailed(words, hint, evidence="\n".join(map(str, told)))
