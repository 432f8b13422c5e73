"""What a pushed commit takes when unpacked, from object headers alone: a small pack may hold a huge tree."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from core.errors import Invalid, Unavailable
from repos import git

READ_BYTES = 1 << 16
BLOB = b"blob"


@dataclass(frozen=True)
class Limits:
    blob: int
    tree: int
    files: int


def sizes(
    folder: Path, commits: Sequence[str], env: Mapping[str, str], blob: int, tree: int, files: int = 200_000
) -> None:
    """Invalid, with words, when one of `commits` is over a limit: bytes of one file, bytes of the tree, files.

    `env`: git's variables of a quarantined push, so that its objects are found. Reads no file's content, and no more
    of a tree than the limits allow.
    """
    limits = Limits(blob, tree, files)
    for commit in dict.fromkeys(commits):
        arguments = git.command(folder, "ls-tree", "-r", "-l", "-z", "--full-tree", commit)
        try:
            process = subprocess.Popen(
                arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **git.setting(folder, env)
            )
        except OSError as error:
            raise Unavailable("git does not work on the server", evidence=str(error)) from error
        with process:
            assert process.stdout is not None
            try:
                measure(process.stdout, limits)
            finally:
                with suppress(ProcessLookupError):
                    process.kill()


def measure(listing: IO[bytes], limits: Limits) -> None:
    """Add up `MODE TYPE SHA SIZE<TAB>PATH<NUL>` entries."""
    total = files = 0
    rest = b""
    while chunk := listing.read(READ_BYTES):
        *entries, rest = (rest + chunk).split(b"\0")
        for entry in entries:
            fields, _, path = entry.partition(b"\t")
            _, kind, _, size = fields.split()
            files += 1
            if kind == BLOB:
                total += within(int(size), path, limits)
        if files > limits.files:
            raise Invalid(
                f"the tree has more than {limits.files} files", "Are dependencies or build results committed?"
            )
        if total > limits.tree:
            raise Invalid(
                f"the tree is larger than {megabytes(limits.tree)} when unpacked", "Keep large files elsewhere."
            )


def within(size: int, path: bytes, limits: Limits) -> int:
    if size > limits.blob:
        name = path.decode("utf-8", "replace")
        raise Invalid(
            f"{name} has {megabytes(size)}; a file may have {megabytes(limits.blob)}", "Keep large files elsewhere."
        )
    return size


def megabytes(size: int) -> str:
    return f"{size / (1 << 20):.0f} MB"
