"""Where the local program remembers its server: a file only its owner reads."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from core.errors import Invalid


@dataclass(frozen=True)
class Login:
    url: str
    token: str
    git: str
    """What the URL of a git remote begins with; the app's name follows."""


def load(file: Path) -> Login | None:
    """What `save` wrote; None when nobody has signed in."""
    try:
        return Login(**json.loads(file.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise Invalid(f"{file} cannot be read", "Sign in again: paas login URL", evidence=str(error)) from error


def save(file: Path, login: Login) -> None:
    """Write the file, never readable by others, in one step."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = file.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            json.dump(asdict(login), out)
        fresh.replace(file)
    except OSError as error:
        raise Invalid(f"{file} cannot be written", evidence=str(error)) from error
