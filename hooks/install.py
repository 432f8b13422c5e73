"""Puts the hooks where git finds them: one server-owned folder for all repositories, the code beside the shims.

The code is copied because the git user may not be able to read our checkout, nor our virtual environment.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

SHIM = """\
#!{python} -IS
import sys
sys.path.insert(0, {library!r})
from hooks.{module} import main
sys.exit(main())
"""
SHIMS = {"pre-receive": "pre_receive", "post-receive": "post_receive", "pack-objects": "pack_objects"}
CODE = ("__init__", "wire", "relay", "pre_receive", "post_receive", "pack_objects")
LONGEST_SHEBANG = 120


def account(git_user: str) -> tuple[int, int]:
    """User and group id that git and its hooks run as: those of `git_user`, or our own where we cannot change."""
    if os.geteuid() == 0:
        try:
            entry = pwd.getpwnam(git_user)
        except KeyError:
            pass
        else:
            return entry.pw_uid, entry.pw_gid
    return os.geteuid(), os.getegid()


def install(folder: Path, git_user: str) -> Path:
    """Make `folder` the hooks folder of every repository (`core.hooksPath`); safe to repeat. FileNotFoundError
    when there is no Python that `git_user` may run."""
    python = interpreter(account(git_user)[0])
    library = folder / "lib"
    (library / "hooks").mkdir(parents=True, exist_ok=True)
    for name in CODE:
        shutil.copyfile(Path(__file__).with_name(f"{name}.py"), library / "hooks" / f"{name}.py")
    for shim, module in SHIMS.items():
        text = SHIM.format(python=python, library=str(library), module=module)
        replace(folder / shim, text)
    # The git user cannot write the compiled files itself.
    subprocess.run([str(python), "-IS", "-m", "compileall", "-q", str(library)], check=True, cwd="/")
    open_to_all(folder)
    return folder


def interpreter(uid: int) -> Path:
    """A Python the user `uid` may run: our own where its folders are open, else the system's."""
    ours = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    for python in (ours, Path("/usr/bin/python3")):
        if python.exists() and len(str(python)) < LONGEST_SHEBANG and (uid == os.geteuid() or is_open(python)):
            return python
    raise FileNotFoundError("no Python that the git user may run: install python3")


def is_open(path: Path) -> bool:
    """Whether everybody may run `path`."""
    return all(place.stat().st_mode & 0o001 for place in (path, *path.parents))


def replace(path: Path, text: str) -> None:
    """Write an executable in one step: a push may be starting it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.chmod(0o755)
    fresh.replace(path)


def open_to_all(folder: Path) -> None:
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.parent == folder else 0o644)
