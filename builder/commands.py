"""Procfile lines as argv."""

from __future__ import annotations

import re
import shlex

BINDS_NOWHERE = re.compile(r"(?<![\w./-])gunicorn(?=\s)(?!.*(?:\s-b|\s--bind))")
# gunicorn reads $PORT only where no configuration file binds it elsewhere; these arguments outrank such files.
GUNICORN_PORT = 'export GUNICORN_CMD_ARGS="--bind=0.0.0.0:$PORT $GUNICORN_CMD_ARGS"; '
SEPARATOR = re.compile(r"&&|;")
COMMAND = re.compile(r"\s*(?P<word>[\w./-]+)(?=\s|$)")
# Words of the shell's own, which nothing can replace it by.
KEPT = frozenset(
    "exec fi done esac cd export wait true false set source . exit eval test return trap unset ulimit umask".split()
)
OPERATORS = set("|&;()<>")


def argv(kind: str, line: str, *, bash: bool) -> tuple[str, ...]:
    """A line of shell, to be run inside an instance; () for "", the image's own command.

    The process that matters must get the signals, so the last command of a list is made to replace the shell.
    """
    if not line:
        return ()
    if not bash:
        return ("/bin/sh", "-c", line)
    port = GUNICORN_PORT if kind == "web" and BINDS_NOWHERE.search(line) else ""
    return ("/bin/bash", "-c", port + replacing(line, always=bool(port)))


def replacing(line: str, *, always: bool = False) -> str:
    """`a && b` as `a && exec b`; what is not plainly such a list stays as it is.

    The shell does this by itself for a line of one command.
    """
    at = max((match.end() for match in SEPARATOR.finditer(line)), default=0)
    head, tail = line[:at], line[at:]
    if not (at or always) or not whole(head) or not simple(tail):
        return line
    space = tail[: len(tail) - len(tail.lstrip())]
    return f"{head}{space}exec {tail.lstrip()}"


def whole(text: str) -> bool:
    """Whether all quotes in it are closed."""
    try:
        shlex.split(text)
    except ValueError:
        return False
    return True


def simple(text: str) -> bool:
    """Whether it is one command with its arguments, and one that can replace a shell."""
    match = COMMAND.match(text)
    if not match or match["word"] in KEPT or "\n" in text:
        return False
    try:
        tokens = list(shlex.shlex(text, posix=False, punctuation_chars=True))
    except ValueError:
        return False
    return not any(set(token) <= OPERATORS for token in tokens)
