"""What a command is given: the person's terminal, the API, its arguments, and the words it may say."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tabulate import tabulate

from cli.client import Client, path
from cli.terminal import Terminal

ERROR = " !     "
"""What lines of an error begin with."""


class Machine(Protocol):
    """The user's own machine; commands run over SSH have none."""

    @property
    def config(self) -> Path:
        """Where the URL and the token are kept."""
        ...

    async def git(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output of git in the working directory."""
        ...

    def browse(self, url: str) -> bool: ...


@dataclass
class Call:
    terminal: Terminal
    client: Client
    machine: Machine | None = None
    args: Namespace = field(default_factory=Namespace)

    @property
    def app(self) -> str:
        """The app spoken of, as a path of the API."""
        return path("apps", self.args.app)

    async def out(self, text: str) -> None:
        await self.terminal.stdout.write(f"{text}\n".encode())

    async def step(self, text: str) -> None:
        await self.out(f"-----> {text}")

    async def section(self, text: str) -> None:
        await self.out(f"=====> {text}")

    async def detail(self, text: str) -> None:
        await self.out(f"       {text}")

    async def error(self, lines: Sequence[str]) -> None:
        await self.terminal.stderr.write("".join(f"{ERROR}{line}\n" for line in lines).encode())

    async def dump(self, value: Any) -> None:
        """The API's JSON."""
        await self.out(json.dumps(value, indent=2, ensure_ascii=False))

    async def line(self, value: Any) -> None:
        """One JSON document on one line."""
        await self.out(json.dumps(value, ensure_ascii=False))

    async def table(self, rows: Sequence[Sequence[Any]], headers: Sequence[str]) -> None:
        for line in columns(rows, headers):
            await self.out(line)

    async def card(self, title: str, fields: dict[str, Any]) -> None:
        """One thing and its properties; empty ones left out."""
        await self.section(title)
        await self.details([[f"{name}:", value] for name, value in fields.items() if value not in (None, "", [])])

    async def details(self, rows: Sequence[Sequence[Any]]) -> None:
        for line in columns(rows, ()):
            await self.detail(line)

    async def read_all(self) -> str:
        """Standard input to its end, as text."""
        parts = []
        while part := await self.terminal.stdin.read(65536):
            parts.append(part)
        return b"".join(parts).decode("utf-8", "replace")

    async def read_line(self) -> str:
        line = b""
        while not line.endswith((b"\n", b"\r")) and (part := await self.terminal.stdin.read(1)):
            line += part
        return line.decode("utf-8", "replace").strip()


def columns(rows: Sequence[Sequence[Any]], headers: Sequence[str]) -> list[str]:
    """`rows` in aligned columns, a line each; nothing, not even the headers, when there are none."""
    shown = [["" if cell is None else cell for cell in row] for row in rows]
    table = tabulate(shown, headers, tablefmt="plain", disable_numparse=True) if rows else ""
    return [line.rstrip() for line in table.splitlines()]
