"""Config vars as text: written for a POSIX shell, read back exactly, and lenient with .env files people have."""

from __future__ import annotations

import re
from collections.abc import Mapping

from core import names
from core.errors import Invalid

PLAIN = re.compile(r"[A-Za-z0-9_@%+:,./-]+")
BLANK = re.compile(r"(?:\s+|#[^\n]*)*")
HEAD = re.compile(r"(?:export[ \t]+)?(?P<name>[^\s=#'\"]+)[ \t]*=[ \t]*")
SEGMENT = re.compile(r"'(?P<single>[^']*)'|\"(?P<double>(?:[^\"\\]|\\.)*)\"|\\(?P<escaped>.)", re.DOTALL)
TAIL = re.compile(r"[ \t]*(?:#[^\n]*)?\r?(?:\n|\Z)")
UNQUOTED = re.compile(r"[^\n]*")
COMMENT = re.compile(r"(?:^|\s)#.*")
ESCAPE = re.compile(r"\\(.)", re.DOTALL)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\n": "", "\\": "\\", '"': '"', "$": "$", "`": "`", "'": "'"}


def write(values: Mapping[str, str]) -> str:
    """A line for each: `NAME=value`, quoted so that sh, and `read`, see exactly the value."""
    return "".join(f"{name}={quoted(value)}\n" for name, value in values.items())


def quoted(value: str) -> str:
    if PLAIN.fullmatch(value):
        return value
    return "'" + value.replace("'", "'\\''") + "'"


def read(text: str) -> dict[str, str]:
    """The values `text` sets; Invalid with the line number where it makes no sense."""
    values: dict[str, str] = {}
    text = text.removeprefix("\ufeff")
    at = end_of(BLANK, text, 0)
    while at < len(text):
        head = HEAD.match(text, at)
        if head is None:
            raise trouble(text, at, "expected NAME=value")
        name = names.config_key(head["name"])
        values[name], at = value_at(text, head.end())
        at = end_of(BLANK, text, at)
    return values


def value_at(text: str, at: int) -> tuple[str, int]:
    """The value that begins at `at` and where it ends."""
    if text[at : at + 1] not in ("'", '"'):
        line = end_of(UNQUOTED, text, at)
        return COMMENT.sub("", text[at:line]).strip(), line
    begin, value = at, ""
    while segment := SEGMENT.match(text, at):
        value += unquoted(segment)
        at = segment.end()
    if TAIL.match(text, at) is None:
        raise trouble(text, begin, "a quote is not closed, or text follows it")
    return value, end_of(TAIL, text, at)


def unquoted(segment: re.Match[str]) -> str:
    if segment["double"] is not None:
        return ESCAPE.sub(lambda found: ESCAPES.get(found[1], found[0]), segment["double"])
    return segment["single"] if segment["single"] is not None else segment["escaped"]


def end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def trouble(text: str, at: int, said: str) -> Invalid:
    return Invalid(f"line {text.count(chr(10), 0, at) + 1}: {said}", "One NAME=value a line, as in a .env file.")
