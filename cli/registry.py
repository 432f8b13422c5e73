"""Every command, once: its name, its words of help, its arguments."""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from cli.call import Call
from core.errors import Invalid

Body = Callable[[Call], Awaitable[int | None]]


@dataclass(frozen=True)
class Argument:
    """What argparse's `add_argument` takes."""

    names: tuple[str, ...]
    options: dict[str, Any]


@dataclass(frozen=True)
class Command:
    name: str
    help: str
    body: Body
    arguments: tuple[Argument, ...] = ()
    app: bool = False
    """Speaks of an app: the first argument, or `-a app`."""
    trailing: bool = False
    """The rest of the line belongs to a command of the user's and is left alone."""
    local: bool = False
    """Needs the user's own machine."""
    usage: str = field(default="")

    @property
    def topic(self) -> str:
        return self.name.partition(":")[0]


COMMANDS: dict[str, Command] = {}
ALIASES: dict[str, str] = {}


def argument(*names: str, **options: Any) -> Argument:
    return Argument(names, options)


def command(name: str, help: str, *arguments: Argument, alias: str = "", **traits: Any) -> Callable[[Body], Body]:
    """Register the function below as `name` (and `alias`)."""

    def register(body: Body) -> Body:
        COMMANDS[name] = Command(name, help, body, arguments, **traits)
        if alias:
            ALIASES[alias] = name
        return body

    return register


def find(words: list[str]) -> tuple[Command, list[str]]:
    """The command `words` begin with and what follows it; a space works like the colon."""
    name, rest = words[0], words[1:]
    if rest and (joined := canonical(f"{name}:{rest[0]}")) in COMMANDS:
        return COMMANDS[joined], rest[1:]
    if (known := canonical(name)) in COMMANDS:
        return COMMANDS[known], rest
    raise Invalid(f"there is no command {name!r}", suggestion(name))


def canonical(name: str) -> str:
    return ALIASES.get(name, name)


def suggestion(name: str) -> str:
    near = difflib.get_close_matches(name, [*COMMANDS, *ALIASES], n=1, cutoff=0.6)
    return f"Did you mean {near[0]}? " * bool(near) + "`help` lists the commands."
