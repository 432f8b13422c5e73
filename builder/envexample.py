"""`.env.example`: the config vars a tree says it needs."""

from __future__ import annotations

import io
import re
from pathlib import Path

from dotenv.parser import parse_stream

from core import names
from core.errors import BuildFailed

NAME = ".env.example"
SIZE_LIMIT = 64 << 10
GIVEN = re.compile(
    r"PORT|HOST|HOSTNAME|NODE_ENV|HOME|PATH|LANG|PYTHONUNBUFFERED|DYNO|GIT_REV|SOURCE_VERSION|PAAS_\w+", re.ASCII
)
"""What the platform or the image gives, or an app expects of any platform."""


def read(folder: Path) -> tuple[str, ...]:
    """The names listed, in the file's order; none without the file, BuildFailed when it is too large."""
    file = folder / NAME
    if not file.is_file():
        return ()
    with file.open("rb") as opened:
        content = opened.read(SIZE_LIMIT + 1)
    if len(content) > SIZE_LIMIT:
        raise BuildFailed(f"{NAME} is larger than 64 KB", "Is it the right file?")
    return parse(content.decode("utf-8-sig", "replace"))


def parse(text: str) -> tuple[str, ...]:
    """The names listed, each once; lines that set nothing are passed over, and no value is looked at."""
    listed = (binding.key for binding in parse_stream(io.StringIO(text)) if binding.value is not None)
    return tuple(
        dict.fromkeys(name for name in listed if name and names.CONFIG_KEY.fullmatch(name) and not given(name))
    )


def given(name: str) -> bool:
    return GIVEN.fullmatch(name) is not None
