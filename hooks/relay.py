"""Both hooks are this: tell the daemon what git told us, print what comes back, exit as it says."""

from __future__ import annotations

import os
import sys

from hooks import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

STDERR = 2
NO_ANSWER = b" !     the server does not answer; push again in a moment\n"


def run(phase: str) -> int:
    """The hook's exit code. git hands our stderr to the person who pushes."""
    refs = [line.split(" ", 2) for line in sys.stdin.read().splitlines()]
    try:
        for line in wire.ask(os.environ["PAAS_SOCKET"], told(phase, refs)):
            if line[:1] == wire.VERDICT:
                return int(line[1:])
            write(line[1:] + b"\n")
    except OSError:
        pass
    write(NO_ANSWER)
    return 1


def told(phase: str, refs: list[list[str]]) -> dict[str, object]:
    """What git says about this push: on stdin and in the environment."""
    return {
        "push": os.environ["PAAS_PUSH"],
        "phase": phase,
        "refs": refs,
        "options": list(options()),
        "objects": {name: value for name, value in os.environ.items() if name in OBJECTS},
    }


OBJECTS = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH")


def options() -> Iterator[str]:
    """What was given with `git push -o`."""
    for number in range(int(os.environ.get("GIT_PUSH_OPTION_COUNT", "0"))):
        yield os.environ[f"GIT_PUSH_OPTION_{number}"]


def write(data: bytes) -> None:
    while data:
        data = data[os.write(STDERR, data) :]
