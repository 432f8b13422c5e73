"""What a client may ask for: two git commands of an exact form, or words for the terminal. Pure; nothing else runs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from core import names
from core.errors import Invalid

GIT = re.compile(r"git-(receive|upload)-pack '/?([^'/]*?)(?:\.git)?'")
# Everything that begins like a program of git's, or a file transfer, is judged as such and never as words.
GIT_LIKE = re.compile(r"\s*['\"\\\\]*(?:git(?:-| +(?!set\b)|$)|scp\b|sftp\b|rsync\b)")
PROTOCOL = re.compile(r"version=[012]")
LONGEST_COMMAND = 128 * 1024


@dataclass(frozen=True)
class GitRequest:
    """A push (`receive`) or a clone or fetch (`upload`) of `app`."""

    service: str
    app: str


def parse(command: str) -> GitRequest | list[str]:
    """What `command` asks for; Invalid, in words, for everything that is not let in."""
    if match := GIT.fullmatch(command):
        return GitRequest(match[1], names.app(match[2]))
    if GIT_LIKE.match(command):
        raise Invalid("of git, only push, clone and fetch work here", "git push paas main")
    return words(command)


def words(command: str) -> list[str]:
    """`command` split as a shell would, with no other meaning to any character."""
    if len(command) > LONGEST_COMMAND:
        raise Invalid(f"a command may have {LONGEST_COMMAND} characters")
    if any(not (character.isprintable() or character in "\t\n\r ") for character in command):
        raise Invalid("the command contains control characters")
    try:
        return shlex.split(command)
    except ValueError as error:
        raise Invalid("the command has a quote that is not closed", "Put quotes around the whole word.") from error


def protocol(environment: Mapping[bytes, bytes]) -> dict[str, str]:
    """Of all variables a client sends, the one git needs, if it is one git knows."""
    value = environment.get(b"GIT_PROTOCOL", b"").decode("ascii", "replace")
    return {"GIT_PROTOCOL": value} if PROTOCOL.fullmatch(value) else {}
