"""From words to a command and its arguments, without argparse's habit of ending the process."""

from __future__ import annotations

import argparse
import shlex
from typing import Any, NoReturn

from cli.registry import Argument, Command
from core.errors import Invalid

HELP = ("-h", "--help")


class Parser(argparse.ArgumentParser):
    """Says what is wrong with an error of ours."""

    def error(self, message: str) -> NoReturn:
        raise Invalid(message, self.format_usage().strip())

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise Invalid(message or "not understood", self.format_usage().strip())


def split(line: str) -> list[str]:
    """The words of a command line, as a shell would see them."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise Invalid("a quote is not closed", "Quote twice over SSH: ssh paas config:set app \"K='a b'\"") from error


def parser(command: Command, app_given: bool = False) -> Parser:
    """The parser of one command; without `app_given` the app is its first argument."""
    made = Parser(prog=command.name, usage=command.usage or None, add_help=False, allow_abbrev=False)
    first = (Argument(("app",), {}),) if command.app and not app_given else ()
    for argument in first + command.arguments:
        made.add_argument(*argument.names, **argument.options)
    return made


def parse(command: Command, words: list[str]) -> argparse.Namespace:
    """The arguments of `command` in `words`; Invalid with its usage when they do not fit."""
    app, rest = named_app(command, words)
    made = parser(command, app_given=app is not None)
    preset: dict[str, Any] = {} if app is None else {"app": app}
    known = argparse.Namespace(**preset)
    if command.trailing:
        return made.parse_args(rest, known)
    return made.parse_intermixed_args(rest, known)


def named_app(command: Command, words: list[str]) -> tuple[str | None, list[str]]:
    """The app of `-a app` and the other words; a trailing command's own words are not searched."""
    if not command.app:
        return None, words
    searched = words[:1] if command.trailing else words
    for index, word in enumerate(searched):
        if word == "--":
            break
        if word in ("-a", "--app") and index + 1 < len(words):
            return words[index + 1], words[:index] + words[index + 2 :]
        if word.startswith("--app="):
            return word.removeprefix("--app="), words[:index] + words[index + 1 :]
    return None, words


def asks_help(command: Command, words: list[str]) -> bool:
    searched = words[:1] if command.trailing else words
    return any(word in HELP for word in searched)


def usage(command: Command) -> str:
    """How to write `command`, in one line."""
    return parser(command).format_usage().removeprefix("usage: ").strip()
