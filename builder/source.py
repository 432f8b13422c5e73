"""A commit's tree as plain files: no checkout, no filters, no hooks, no submodule code."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dulwich.errors import NotGitRepository
from dulwich.object_store import DiskObjectStore, OverlayObjectStore
from dulwich.objects import Blob, Commit, Tag, Tree
from dulwich.repo import Repo

from core.errors import BuildFailed, Invalid, NotFound, Unavailable

# Whole seconds and always the same: what is made from equal trees is equal.
MTIME = 1_000_000_000
DEPTH_LIMIT = 100
PATH_LIMIT = 4_000
LINK, SUBMODULE = 0o120000, 0o160000


@dataclass(frozen=True)
class Limits:
    """Of one exported tree: bytes of a file, bytes in all, number of files (folders count too)."""

    blob: int = 100 << 20
    tree: int = 2 << 30
    files: int = 200_000


@dataclass(frozen=True)
class Source:
    """An exported tree. `submodules` were named by the commit and left out."""

    folder: Path
    tree: str
    submodules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    path: str
    mode: int
    id: bytes


def tree_of(repo: Path, commit: str) -> str:
    """The tree id (40 hex digits) of a commit in a bare repository; NotFound when it has no such commit."""
    with opened(repo) as git:
        return tree_id(git, commit).decode()


def export(repo: Path, commit: str, into: Path, limits: Limits, env: Mapping[str, str] | None = None) -> Source:
    """Write a commit's files below `into` (made, must be empty).

    Nothing is written before every path and size has been checked. BuildFailed names the path that is not
    acceptable or the limit that is passed; NotFound without such a commit. `env`: git's variables of a push that is
    still in quarantine, so that its objects are found.
    """
    quarantine = (env or {}).get("GIT_OBJECT_DIRECTORY")
    with opened(repo) as git:
        if quarantine:
            both = OverlayObjectStore([DiskObjectStore(quarantine), git.object_store])
            git.object_store = both  # type: ignore[assignment]
        tree = tree_id(git, commit)
        entries = list(walk(git, tree, limits))
        files = [entry for entry in entries if stat.S_ISREG(entry.mode) or entry.mode == LINK]
        check_sizes(repo, files, limits, env or {})
        links = {entry.path: link_target(git, entry) for entry in files if entry.mode == LINK}
        into.mkdir(parents=True, exist_ok=True)
        for entry in entries:
            write(git, entry, into, links)
    for entry in reversed(entries):
        if stat.S_ISDIR(entry.mode):
            os.utime(into / entry.path, (MTIME, MTIME))
    return Source(into, tree.decode(), tuple(entry.path for entry in entries if entry.mode == SUBMODULE))


def opened(repo: Path) -> Repo:
    try:
        return Repo(str(repo))
    except NotGitRepository as error:
        raise NotFound(f"there is no repository at {repo.name}") from error


def tree_id(git: Repo, commit: str) -> bytes:
    try:
        found = git[commit.encode()]
        while isinstance(found, Tag):
            found = git[found.object[1]]
    except (KeyError, ValueError) as error:
        raise NotFound(f"there is no commit {commit[:12]}") from error
    if not isinstance(found, Commit):
        raise NotFound(f"{commit[:12]} is not a commit")
    return bytes(found.tree)


def walk(git: Repo, tree: bytes, limits: Limits) -> Iterator[Entry]:
    """Every entry, folders before what is in them; stops at the first that passes a limit."""
    waiting: list[tuple[str, bytes]] = [("", tree)]
    count = 0
    while waiting:
        prefix, id = waiting.pop()
        for entry in children(git, prefix, id):
            count += 1
            if count > limits.files:
                raise BuildFailed(
                    f"the tree has more than {limits.files} files and folders",
                    "Leave out what is generated (.gitignore), or ask the operator to raise PAAS_TREE_FILES.",
                )
            yield entry
            if stat.S_ISDIR(entry.mode):
                waiting.append((entry.path + "/", entry.id))


def children(git: Repo, prefix: str, id: bytes) -> Iterator[Entry]:
    found = git[id]
    if not isinstance(found, Tree):
        raise BuildFailed(f"the repository is damaged: {prefix or '/'} is no tree")
    # dulwich keeps one of two entries of the same name, so none is written through another.
    for item in found.iteritems():
        name = checked_name(item.path, prefix)
        yield Entry(prefix + name, checked_mode(item.mode, prefix + name), bytes(item.sha))


def checked_name(raw: bytes, prefix: str) -> str:
    """A name as a path's last part; BuildFailed for those that would reach outside the tree or into git's own."""
    name = raw.decode("utf-8", "surrogateescape")
    shown = prefix + raw.decode("utf-8", "replace")
    if name in ("", ".", "..") or "/" in name or "\\" in name:
        raise refused(shown, "is not a plain name")
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        raise refused(shown.encode("unicode_escape").decode(), "has control characters")
    # Also what HFS+ and NTFS take for .git.
    if (name.lower().strip(" .") == "git" and name.startswith(".")) or name.lower().startswith("git~"):
        raise refused(shown, "is git's own folder")
    if len(prefix) + len(name) > PATH_LIMIT or prefix.count("/") > DEPTH_LIMIT or len(raw) > 255:
        raise refused(shown[:200] + "...", "is too deep or too long")
    return name


def checked_mode(mode: int, path: str) -> int:
    if mode in (LINK, SUBMODULE) or stat.S_ISDIR(mode) or stat.S_ISREG(mode):
        return mode
    raise refused(path, f"has the unknown mode {mode:o}")


def refused(path: str, what: str) -> BuildFailed:
    return BuildFailed(f"the path {path!r} {what}", "Remove it from the commit and push again.")


def check_sizes(repo: Path, files: list[Entry], limits: Limits, env: Mapping[str, str]) -> None:
    """Compare with the limits what the objects' headers say, before anything is unpacked."""
    total = 0
    for entry, size in zip(files, sizes(repo, files, env), strict=True):
        total += size
        if size > limits.blob:
            raise BuildFailed(
                f"{entry.path} has {megabytes(size)}, more than the {megabytes(limits.blob)} a file may have",
                "Keep such files elsewhere, or ask the operator to raise PAAS_BLOB_LIMIT.",
            )
    if total > limits.tree:
        raise BuildFailed(
            f"the tree has {megabytes(total)} when unpacked, more than the {megabytes(limits.tree)} it may have",
            "Leave out what is generated (.gitignore), or ask the operator to raise PAAS_TREE_LIMIT.",
        )


def sizes(repo: Path, files: list[Entry], env: Mapping[str, str]) -> list[int]:
    """Sizes from headers alone. dulwich knows a size only by unpacking the object; git reads the header."""
    if not files:
        return []
    command = ["git", f"--git-dir={repo}", "cat-file", "--batch-check=%(objecttype) %(objectsize)"]
    asked = b"".join(entry.id + b"\n" for entry in files)
    environment = {"PATH": os.defpath, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, **env}
    try:
        answer = subprocess.run(command, input=asked, capture_output=True, check=True, env=environment, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable("the repository cannot be read", "Try again in a moment.", evidence=str(error)) from error
    found = [line.split() for line in answer.stdout.splitlines()]
    if any(kind != b"blob" for kind, _ in found):
        raise Invalid("the repository is damaged: a file is missing", "Push again from a complete clone.")
    return [int(size) for _, size in found]


def link_target(git: Repo, entry: Entry) -> str:
    """Where a link leads; BuildFailed when that is outside the tree."""
    target = data(git, entry)[: PATH_LIMIT + 1].decode("utf-8", "surrogateescape")
    if not stays_inside(entry.path, target):
        raise refused(entry.path, f"is a link out of the tree (to {target[:200]!r})")
    return target


def stays_inside(path: str, target: str) -> bool:
    """`..` may only lead a target: after another name, which may be a link too, nobody can tell where it ends."""
    parts = PurePosixPath(target).parts
    ups = next((index for index, part in enumerate(parts) if part != ".."), len(parts))
    plain = bool(target) and not target.startswith("/") and "\0" not in target and len(target) <= PATH_LIMIT
    return plain and ".." not in parts[ups:] and ups <= path.count("/")


def data(git: Repo, entry: Entry) -> bytes:
    blob = git[entry.id]
    if not isinstance(blob, Blob):
        raise Invalid(f"the repository is damaged: {entry.path} is no file", "Push again from a complete clone.")
    return bytes(blob.data)


def write(git: Repo, entry: Entry, into: Path, links: Mapping[str, str]) -> None:
    path = into / entry.path
    if entry.mode == SUBMODULE or stat.S_ISDIR(entry.mode):
        path.mkdir()
        return
    if entry.path in links:
        path.symlink_to(links[entry.path])
    else:
        mode = 0o755 if entry.mode & 0o100 else 0o644
        # Exclusive, and never through a link: two names that are one to the file system must not meet.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as file:
            file.write(data(git, entry))
    os.utime(path, (MTIME, MTIME), follow_symlinks=False)


def megabytes(size: int) -> str:
    return f"{size / (1 << 20):.1f} MB"
