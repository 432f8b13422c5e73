"""A client of HAProxy's master socket: orders, questions, and what the answers mean.

The runtime API has no error codes: an answer that is not exactly the expected one is an error.
"""

from __future__ import annotations

import csv
import io
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from core.errors import Unavailable
from router.plan import HOSTS, Mode, Server

PATIENCE = 5.0
"""Seconds the proxy has to answer one question."""
LONGEST_PATH = 100
DISMISSAL = 1.0
"""Seconds the sessions of a removed server have to end after they were shut down."""

DONE = {"add server": ("New server registered.",), "del server": ("Server deleted.",)}
STILL_USED = "Server still has connections attached to it, cannot remove it."
FORCED_MAINTENANCE, FORCED_DRAIN = 0x01, 0x08


@dataclass(frozen=True)
class Workers:
    current: int
    old: tuple[int, ...]
    """Serve what was open when the proxy was reloaded, and take no more orders."""


class Master:
    """Speaks to the master over the unix socket `path`, one connection a question. Unavailable when it is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, question: str) -> str:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE)
            try:
                connection.connect(self._address())
                connection.sendall(question.encode() + b"\n")
                connection.shutdown(socket.SHUT_WR)  # or the master waits for more
                with connection.makefile("rb") as answer:
                    return answer.read().decode(errors="replace")
            except OSError as error:
                raise Unavailable("the proxy does not answer", "Is it running?", evidence=str(error)) from error

    def _address(self) -> str:
        path = str(self._path)
        if len(path) > LONGEST_PATH:  # the kernel's limit for the name of a unix socket
            raise Unavailable(f"the path {path} is too long for a socket", "Choose a shorter PAAS_HOME.")
        return path

    def workers(self) -> Workers:
        answer = self.ask("show proc")
        rows = [line.split() for line in answer.splitlines() if line and not line.startswith("#")]
        pids = [int(row[0]) for row in rows if len(row) > 2 and row[1] == "worker"]
        if not pids:
            raise not_understood("show proc", answer)
        return Workers(pids[0], tuple(pids[1:]))

    def mark(self) -> str:
        """The `description` of the configuration that is running."""
        answer = self.ask("@1 show info")
        found = [line.partition(": ")[2] for line in answer.splitlines() if line.startswith("description: ")]
        if not found:
            raise not_understood("show info", answer)
        return found[0].strip()

    def servers(self, slot: str = "") -> dict[str, list[Server]]:
        """Slot to its servers, of one slot or all; a slot without servers is left out."""
        question = f"show servers state {slot}".strip()
        answer = self.ask(f"@1 {question}")
        lines = answer.strip().splitlines()
        if len(lines) < 2 or lines[0] != "1" or not lines[1].startswith("# "):
            raise not_understood(question, answer)
        columns = lines[1][2:].split()
        found: dict[str, list[Server]] = {}
        for line in lines[2:]:
            row = dict(zip(columns, line.split(), strict=True))
            found.setdefault(row["be_name"], []).append(server(row))
        return found

    def hosts(self) -> dict[str, str]:
        """The running map: host to slot."""
        answer = self.ask(f"@1 show map {HOSTS}")
        rows = [line.split() for line in answer.splitlines() if line]
        if any(len(row) != 3 or not row[0].startswith("0x") for row in rows):
            raise not_understood("show map", answer)
        return {row[1]: row[2] for row in rows}

    def statistics(self, worker: int, old: bool = False) -> list[dict[str, str]]:
        """One row a server, of the columns of `show stat`; empty when an `old` worker has just gone."""
        answer = self.ask(f"@!{worker} show stat -1 4 -1")
        if old and (not answer.strip() or answer.startswith("Can't find the target PID")):
            return []
        if not answer.startswith("# pxname,"):
            raise not_understood("show stat", answer)
        return list(csv.DictReader(io.StringIO(answer.removeprefix("# ").strip())))

    def order(self, command: str) -> None:
        """Do `command`; Unavailable with the proxy's own words when it does not."""
        deadline = time.monotonic() + DISMISSAL
        while (answer := self.ask(f"@1 {command}").strip()) == STILL_USED and time.monotonic() < deadline:
            time.sleep(0.005)
        verb = " ".join(command.split()[:2])
        moved = " addr " in command and ("IP changed" in answer or "no need to change" in answer)
        if answer not in DONE.get(verb, ("",)) and not moved:
            raise not_understood(command, answer)

    def reload(self) -> None:
        """Begin a seamless reload; the master is deaf for some 50 ms after."""
        answer = self.ask("reload")
        if answer.strip():
            raise not_understood("reload", answer)


def server(row: dict[str, str]) -> Server:
    admin = int(row["srv_admin_state"])
    mode = Mode.MAINT if admin & FORCED_MAINTENANCE else Mode.DRAIN if admin & FORCED_DRAIN else Mode.READY
    return Server(row["srv_name"], row["srv_addr"], int(row["srv_port"]), mode)


def not_understood(question: str, answer: str) -> Unavailable:
    return Unavailable(f"the proxy did not do `{question}`", evidence=answer.strip()[:500])
