"""Runs git in a repository: as the repository's owner, with nothing of our environment and nobody's configuration."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import Unavailable

ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
}
TIMEOUT = 60.0


class Refused(Exception):
    """git ended badly; the text is what it wrote to stderr."""


def run(folder: Path, *arguments: str, given: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    """git's stdout; Refused when it ends badly, Unavailable when it cannot run or does not end."""
    try:
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            command(folder, *arguments), input=given, capture_output=True, timeout=TIMEOUT, **setting(folder, env)
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable("git does not work on the server", evidence=str(error)) from error
    if done.returncode != 0:
        raise Refused(done.stderr.decode("utf-8", "replace").strip())
    return done.stdout


def command(folder: Path, *arguments: str) -> list[str]:
    return ["git", f"--git-dir={folder}", *arguments]


def setting(folder: Path, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Environment, folder and user of a git process, as keyword arguments of `subprocess`."""
    owner = folder.stat()
    who = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if owner.st_uid != os.geteuid() else {}
    return {"env": {**ENVIRONMENT, **(env or {})}, "cwd": folder, "start_new_session": True, **who}
