"""Bare repositories: create, tip, refs, move, pin, remove. A folder each, owned by the unprivileged git user."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

from dulwich.refs import DiskRefsContainer, Ref
from dulwich.repo import Repo

from core.errors import Conflict, NotFound, Unavailable
from repos import git
from repos.sizes import sizes as sizes

ABSENT = "0" * 40
PINS = "refs/paas/"

SETTINGS = (
    # The door names the real folder; without it no hook ever runs, least of all one found in the repository.
    ("core", "hooksPath", "/dev/null"),
    ("core", "logAllRefUpdates", "false"),
    # A push must survive the loss of power: it is acknowledged.
    ("core", "fsync", "committed,loose-object,pack,pack-metadata,reference"),
    # Large files are streamed, and a clone tries no deltas between them: minutes of work for nothing.
    ("core", "bigFileThreshold", str(4 << 20)),
    ("pack", "threads", "1"),
    ("pack", "windowMemory", str(64 << 20)),
    ("gc", "auto", "0"),
    ("receive", "autogc", "false"),
    ("receive", "advertisePushOptions", "true"),
    ("receive", "denyCurrentBranch", "ignore"),
    ("receive", "denyDeleteCurrent", "ignore"),
    ("receive", "fsckObjects", "true"),
    ("receive", "shallowUpdate", "true"),
    # A pack stays the pack it came as: written once, and read again by a clone as it is.
    ("receive", "unpackLimit", "1"),
    ("transfer", "hideRefs", PINS.rstrip("/")),
    ("uploadpack", "allowAnySHA1InWant", "false"),
)


def create(folder: Path, git_user: str) -> None:
    """An empty bare repository of `git_user` (of ourselves where we cannot change users), there at once or not at all.

    Conflict when `folder` exists, Unavailable when it cannot be written.
    """
    if folder.exists():
        raise Conflict(f"the repository {folder.name} exists already")
    fresh = folder.with_name(f"incoming-{folder.name}")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fill(fresh)
        give(fresh, git_user)
        fresh.rename(folder)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise Unavailable("the repository cannot be made", evidence=str(error)) from error


def fill(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True)
    with Repo.init_bare(folder, default_branch=b"main") as repo:
        config = repo.get_config()
        for section, name, value in SETTINGS:
            config.set((section,), name, value)
        config.write_to_path()


def give(folder: Path, git_user: str) -> None:
    try:
        entry = pwd.getpwnam(git_user)
    except KeyError:
        return
    if os.geteuid() != 0:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def remove(folder: Path) -> None:
    """Remove the repository; fine when it is gone already."""
    doomed = folder.with_name(f"incoming-{folder.name}")
    try:
        if folder.exists():
            shutil.rmtree(doomed, ignore_errors=True)
            folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
    except OSError as error:
        raise Unavailable("the repository cannot be removed", evidence=str(error)) from error


def references(folder: Path) -> DiskRefsContainer:
    if not (folder / "HEAD").exists():
        raise NotFound(f"the repository {folder.name} is gone")
    return DiskRefsContainer(folder)


def tip(folder: Path, ref: str) -> str | None:
    """The commit (40 hexadecimal digits) `ref` points at; None when there is no such ref."""
    try:
        return references(folder)[Ref(ref.encode())].decode()
    except KeyError:
        return None


def refs(folder: Path) -> dict[str, str]:
    """Every ref below refs/ and its object, pins left out."""
    found = references(folder).as_dict(Ref(b"refs/"))
    names = {f"refs/{name.decode('utf-8', 'replace')}": sha.decode() for name, sha in found.items()}
    return {name: sha for name, sha in names.items() if not name.startswith(PINS)}


def move(folder: Path, moves: list[tuple[str, str, str | None]]) -> None:
    """Each (ref, old, new) in one transaction, only if every ref still is `old`.

    `old` ABSENT: must not exist; `new` None: delete. Conflict when a ref was something else; nothing has moved then.
    """
    update(folder, b"".join(instruction(*one) for one in moves))


def instruction(ref: str, old: str, new: str | None) -> bytes:
    if new is None:
        return f"delete {ref}\0{old}\0".encode()
    return f"update {ref}\0{new}\0{old}\0".encode()


def update(folder: Path, instructions: bytes) -> None:
    try:
        git.run(folder, "update-ref", "-z", "--stdin", given=b"start\0" + instructions + b"commit\0")
    except git.Refused as error:
        raise Conflict("the branch has moved meanwhile", "Push again.", evidence=str(error)) from error


def set_head(folder: Path, branch: str) -> None:
    """Make `branch` what a clone checks out."""
    target = f"refs/heads/{branch}"
    try:
        if (folder / "HEAD").read_text() != f"ref: {target}\n":
            git.run(folder, "symbolic-ref", "HEAD", target)
    except (OSError, git.Refused) as error:
        raise Unavailable("the branch cannot be set", evidence=str(error)) from error


def pin(folder: Path, name: str, sha: str) -> None:
    """Keep `sha` and what it needs, whatever happens to the branches."""
    update(folder, f"update {PINS}{name}\0{sha}\0\0".encode())


def unpin(folder: Path, name: str) -> None:
    """Undo `pin`; fine when there is no such pin."""
    update(folder, f"delete {PINS}{name}\0\0".encode())


def gather(folder: Path, most: int) -> None:
    """Put packs together when there are more than `most`; large ones stay as they are, and no object is dropped.

    Safe beside a push or a clone: git removes only the packs it has put together, and readers look again.
    """
    if sum(1 for _ in (folder / "objects" / "pack").glob("*.pack")) <= most:
        return
    try:
        git.run(folder, "repack", "--geometric=2", "-d", "--quiet")
    except git.Refused as error:
        raise Unavailable("the packs cannot be put together", evidence=str(error)) from error
