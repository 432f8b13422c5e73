"""The build context: a tree and a few extra files as one tar stream, without a copy on disk."""

from __future__ import annotations

import os
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pathspec

CHUNK = 1 << 20
BLOCK = tarfile.BLOCKSIZE


def tar(
    folder: Path,
    prefix: str,
    files: Mapping[str, bytes],
    ignored: Callable[[str], bool],
    weigh: Callable[[int], None] = lambda _: None,
) -> Iterator[bytes]:
    """`files`, then `folder` below `prefix`, as chunks of a tar; `weigh` is told the bytes of each file.

    GNU format and whole seconds: the engine takes a tar that begins with a PAX header for a Dockerfile. Times are
    of now, not of the tree, which has none: the engine's cache ignores them, and a static server tells by them that a
    file of the same length is another one.
    """
    for name, data in sorted(files.items()):
        info = header(name, 0o644, tarfile.REGTYPE)
        info.size = len(data)
        weigh(info.size)
        yield from (written(info), data, padding(len(data)))
    for path in walk(folder):
        relative = path.relative_to(folder).as_posix()
        if not ignored(relative) and prefix + relative not in files:
            yield from entry(path, prefix + relative, weigh)
    yield bytes(2 * BLOCK)


def walk(folder: Path) -> Iterator[Path]:
    """Everything below `folder`, parents first, in a fixed order; links are not followed."""
    for root, folders, names in os.walk(folder):
        folders.sort()
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        yield from (Path(root) / name for name in sorted([*folders, *names]))
        for name in links:
            folders.remove(name)


def entry(path: Path, name: str, weigh: Callable[[int], None]) -> Iterator[bytes]:
    if path.is_symlink():
        info = header(name, 0o777, tarfile.SYMTYPE)
        info.linkname = str(path.readlink())
        yield written(info)
    elif path.is_dir():
        yield written(header(name, 0o755, tarfile.DIRTYPE))
    else:
        yield from regular(path, name, weigh)


def regular(path: Path, name: str, weigh: Callable[[int], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        info = header(name, 0o755 if status.st_mode & 0o100 else 0o644, tarfile.REGTYPE)
        info.size = status.st_size
        weigh(info.size)
        yield written(info)
        while chunk := file.read(CHUNK):
            yield chunk
    yield padding(info.size)


def header(name: str, mode: int, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.mtime = mode, kind, int(time.time())
    return info


def written(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


def nothing_ignored(_: str) -> bool:
    return False


def dockerignore(text: str) -> Callable[[str], bool]:
    """What a `.dockerignore` leaves out, as a test of paths relative to the tree.

    Its patterns are anchored at the root, unlike those of a `.gitignore`.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    spec = pathspec.GitIgnoreSpec.from_lines(anchored(line) for line in lines)
    return spec.match_file


def anchored(pattern: str) -> str:
    sign, body = ("!", pattern[1:].strip()) if pattern.startswith("!") else ("", pattern)
    return f"{sign}/{body.lstrip('/').removeprefix('./')}"
