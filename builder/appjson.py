"""app.json at the root of a tree, read into a manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from builder.appjson_schema import Asked, File
from builder.manifest import HealthCheck, Manifest
from core.errors import BuildFailed

NAME = "app.json"
SIZE_LIMIT = 64 << 10
SHOWN = 200
"""Characters that are shown of what is wrong."""
AGAIN = "Fix it and push again."
# What the library says of each, and what to do.
WRONG = {
    "missing": ("is missing", AGAIN),
    "string_type": ("is not a string", "Write it in quotes."),
    "int_type": ("is not a whole number", "Write a whole number, without quotes."),
    "bool_type": ("is neither true nor false", "Write true or false, without quotes."),
    "list_type": ("is not a list", "Write a list: [ ... ]."),
    "dict_type": ("is not an object", "Write an object: { ... }."),
    "model_type": ("is not an object", "Write an object: { ... }."),
}
TYPES = {"dict": "an object", "list": "a list"}


def read(folder: Path) -> Manifest:
    """What the tree's app.json says, an empty manifest without one; BuildFailed naming the place that is wrong."""
    file = folder / NAME
    if not file.is_file():
        return Manifest()
    with file.open("rb") as opened:
        content = opened.read(SIZE_LIMIT + 1)
    if len(content) > SIZE_LIMIT:
        raise BuildFailed("app.json is larger than 64 KB", "Is it the right file?")
    return parse(content)


def parse(content: bytes) -> Manifest:
    """What the content of an app.json says; BuildFailed naming the place that is wrong."""
    try:
        found = File.model_validate(document(content))
    except ValidationError as error:
        raise misplaced(error.errors()[0]) from error
    return Manifest(
        env={name: entry.variable() for name, entry in found.env.items()},
        formation={process: size.quantity for process, size in found.formation.items() if size.quantity is not None},
        healthchecks={process: kept for process, some in found.healthchecks.items() if (kept := supported(some))},
        scripts=found.scripts.scripts(),
        notes=tuple(left_out(found.healthchecks)),
    )


def supported(checks: Sequence[Asked]) -> tuple[HealthCheck, ...]:
    return tuple(one.check() for one in checks if not one.unsupported())


def left_out(healthchecks: Mapping[str, Sequence[Asked]]) -> list[str]:
    return [
        f"app.json: healthchecks.{process}[{at}] is left out, as {kind} checks are not supported"
        for process, some in healthchecks.items()
        for at, one in enumerate(some)
        if (kind := one.unsupported())
    ]


def document(content: bytes) -> Any:
    """The JSON document; BuildFailed when it is none, or has a key twice."""
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=unique)
    except RecursionError as error:
        raise unreadable("it is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise unreadable(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise unreadable(f"byte {error.start + 1} is not UTF-8") from error
    except ValueError as error:
        raise unreadable("a number in it has thousands of digits") from error


def unreadable(evidence: str) -> BuildFailed:
    return BuildFailed("app.json is not valid JSON", AGAIN, evidence=evidence)


def unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The object these pairs make; BuildFailed when two keys are the same."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            keys = ", ".join(json.dumps(each) for each, _ in pairs)[:SHOWN]
            raise BuildFailed(
                f"app.json has the key {shown(key)} twice", "Keep one of the two.", evidence=f"Together with: {keys}"
            )
        found[key] = value
    return found


def misplaced(error: ErrorDetails) -> BuildFailed:
    """The first value that is wrong, told by its place."""
    place = path(error["loc"]) or "the whole"
    words, hint = WRONG.get(error["type"], (error["msg"].replace("Input ", ""), AGAIN))
    return BuildFailed(f"app.json: {place} {words}", hint, evidence=f"There is {shown(error['input'])}.")


def path(steps: Sequence[str | int]) -> str:
    """`healthchecks.web[0].path`."""
    words = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps if step != "[key]")
    return "".join(words).removeprefix(".").encode("unicode_escape").decode()[:SHOWN]


def shown(value: Any) -> str:
    """A value in one short line."""
    return TYPES.get(type(value).__name__) or json.dumps(value)[:SHOWN]
