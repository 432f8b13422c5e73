"""The Procfile: process types and their commands."""

from __future__ import annotations

import re
from pathlib import Path

from core.errors import BuildFailed

NAME = "Procfile"
LINE = re.compile(r"([A-Za-z0-9_-]{1,63}):\s*(\S.*)")
CONFLICT = re.compile(r"(<{7}|={7}|>{7}|\|{7})(\s|$)")
SIZE_LIMIT = 64 << 10


def read(folder: Path) -> dict[str, str] | None:
    """Process type to command line, in the file's order; None without a Procfile; BuildFailed naming the bad line."""
    file = folder / NAME
    if not file.is_file():
        return None
    with file.open("rb") as opened:
        content = opened.read(SIZE_LIMIT + 1)
    if len(content) > SIZE_LIMIT:
        raise BuildFailed("the Procfile is larger than 64 KB", "Is it the right file?")
    return parse(content.decode("utf-8-sig", "replace"))


def parse(text: str) -> dict[str, str]:
    """Process type to command line; BuildFailed naming the bad line."""
    processes: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if line and not line.startswith("#"):
            kind, command = declaration(number, line)
            if kind in processes:
                raise wrong(number, line, f"declares {kind} a second time", "Keep one of the two.")
            processes[kind] = command
    return processes


def declaration(number: int, line: str) -> tuple[str, str]:
    if CONFLICT.match(line):
        raise wrong(number, line, "is a merge-conflict mark", "Finish the merge, commit, push again.")
    match = LINE.fullmatch(line)
    if not match or "\0" in line:
        raise wrong(number, line, "is not `type: command`", "Types are made of letters, digits, - and _ (at most 63).")
    return match[1], match[2]


def wrong(number: int, line: str, what: str, hint: str) -> BuildFailed:
    return BuildFailed(f"line {number} of the Procfile {what}", hint, evidence=line[:200])
