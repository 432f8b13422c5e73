"""Names people may choose, and what they turn into."""

from __future__ import annotations

import re
import secrets

from core.errors import Invalid

APP = re.compile(r"[a-z][a-z0-9-]{0,38}[a-z0-9]")
PROCESS = re.compile(r"[A-Za-z0-9_-]{1,63}")
CONFIG_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,200}")
LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")

GIVEN = frozenset({"PORT", "PAAS_APP", "PAAS_RELEASE"})
"""Config vars that the platform sets itself."""

# Host names the platform answers on itself, or that would confuse whoever reads a URL.
RESERVED = frozenset(
    "admin api app apps auth dashboard docs git help internal localhost login logs mail metrics new "
    "paas proxy registry root ssh static status support system test www".split()
)


def app(name: str) -> str:
    """`name` if an app may be called so, else Invalid."""
    if not APP.fullmatch(name):
        raise Invalid(
            f"{name!r} is not an app name",
            "Use 2 to 40 lower-case letters, digits and dashes, starting with a letter.",
        )
    if name in RESERVED:
        raise Invalid(f"the name {name!r} is reserved", "Choose another name.")
    return name


def config_key(key: str) -> str:
    """`key` if it may name a config var, else Invalid."""
    if not CONFIG_KEY.fullmatch(key):
        raise Invalid(f"{key!r} is not a config var name", "Use letters, digits and _, not starting with a digit.")
    return key


def branch(name: str) -> str:
    """`name` if it may be a deploy branch, else Invalid."""
    if not BRANCH.fullmatch(name) or ".." in name or "//" in name or name.endswith(("/", ".lock", ".")):
        raise Invalid(f"{name!r} is not a branch name", "Try: git:set APP branch main")
    return name


def host(name: str) -> str:
    """`name` as a lower-case host name of at least two labels, else Invalid."""
    lowered = name.lower().rstrip(".")
    try:
        ascii_name = lowered.encode("idna").decode() if not lowered.isascii() else lowered
    except UnicodeError as error:
        raise Invalid(f"{name!r} is not a host name") from error
    labels = ascii_name.split(".")
    wellformed = all(LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()
    if len(labels) < 2 or len(ascii_name) > 253 or not wellformed:
        raise Invalid(f"{name!r} is not a host name", "Try something like www.example.com.")
    return ascii_name


def new_id() -> str:
    """A random identity for rows and folders: 20 hexadecimal digits, never a name and never reused."""
    return secrets.token_hex(10)
