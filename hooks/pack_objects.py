"""Stands before `git pack-objects` in a clone: a repository that is one pack is sent as it lies.

git would copy it object by object and hash all of it again; the client checks every object anyhow. Whatever is not
plainly such a clone goes to git: a part of the refs, something to build on, shallow, filtered, several packs.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PLAIN = {"git", "pack-objects", "--revs", "--thin", "--stdout", "--progress", "--include-tag"}
NEEDED = "--delta-base-offset"
"""Without it the client does not understand how deltas are stored here."""
KEPT_BACK = "refs/paas"
AT_ONCE = 1 << 30


def main() -> int:
    command, asked = sys.argv[1:], sys.stdin.buffer.read()
    pack = whole(command, asked.decode("ascii", "replace").split())
    if pack is None:
        give_back(asked)
        os.execvp(command[0], command)
    with open(pack, "rb") as file:  # noqa: PTH123 - pathlib takes longer to import than this takes
        while os.sendfile(1, file.fileno(), None, AT_ONCE):
            pass
    return 0


def give_back(asked: bytes) -> None:
    """Make `asked` our standard input again."""
    memory = os.memfd_create("asked")
    os.write(memory, asked)
    os.lseek(memory, 0, os.SEEK_SET)
    os.dup2(memory, 0)


def whole(command: list[str], asked: list[str]) -> str | None:
    """The pack that is all of the repository in the working directory, when all of it is asked for."""
    if not {*command} <= {*PLAIN, NEEDED} or NEEDED not in command or asked[-1:] != ["--not"]:
        return None
    if os.path.exists("shallow") or os.path.exists("objects/info/alternates"):  # noqa: PTH110
        return None
    if {*os.listdir("objects")} != {"info", "pack"}:  # noqa: PTH208 - loose objects
        return None
    packs = [name for name in os.listdir("objects/pack") if name.endswith(".pack")]  # noqa: PTH208
    complete = len(packs) == 1 and {*refs()} <= {*asked}
    return f"objects/pack/{packs[0]}" if complete else None


def refs() -> Iterator[str]:
    """What every ref points at; git also writes what annotated tags peel to, which their pack has."""
    try:
        with open("packed-refs") as file:  # noqa: PTH123
            for line in file:
                if line[0] not in "#^" and not line[41:].startswith(KEPT_BACK):
                    yield line[:40]
    except FileNotFoundError:
        pass
    for folder, _, names in os.walk("refs"):
        for name in names:
            if not folder.startswith(KEPT_BACK):
                with open(f"{folder}/{name}") as file:  # noqa: PTH123
                    yield file.read(40)
