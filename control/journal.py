"""Logs of jobs: written to a file first, followed second; a slow or dead reader never blocks a writer."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# ANSI sequences (CSI, OSC, two-byte escapes) and every control character but tab.
CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]|[\x00-\x08\x0a-\x1f\x7f-\x9f]"
)
LINE_LIMIT = 64 * 1024


def clean(line: str) -> str:
    """`line` without control characters, cut at 64 KB."""
    return CONTROL.sub("", line)[:LINE_LIMIT]


class Watcher:
    """One reader's bell."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.changed = asyncio.Event()
        self.ended = False

    def ring(self, ended: bool) -> None:
        self.ended = self.ended or ended
        self.changed.set()


class Journal:
    """The job logs of this installation, a file each in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._watchers: dict[int, set[Watcher]] = {}
        self._guard = threading.Lock()

    def path(self, job_id: int) -> Path:
        return self.folder / f"{job_id}.log"

    def jobs(self) -> list[int]:
        """Ids of the jobs whose log is here."""
        return sorted(int(path.stem) for path in self.folder.glob("*.log") if path.stem.isdecimal())

    def remove(self, job_id: int) -> None:
        """Forget a job's log; fine when it is gone."""
        self.path(job_id).unlink(missing_ok=True)

    def write(self, job_id: int, line: str) -> None:
        """Append one line."""
        with self.path(job_id).open("a", encoding="utf-8", errors="replace") as file:
            file.write(clean(line) + "\n")
        self._ring(job_id, ended=False)

    def end(self, job_id: int) -> None:
        """Tell the readers that the verdict is there."""
        self._ring(job_id, ended=True)

    def read(self, job_id: int, offset: int = 0) -> tuple[list[str], int]:
        """Whole lines from byte `offset` on, and the offset behind them."""
        try:
            with self.path(job_id).open("rb") as file:
                file.seek(offset)
                data = file.read()
        except FileNotFoundError:
            return [], offset
        whole = data[: data.rfind(b"\n") + 1]
        return whole.decode("utf-8", "replace").splitlines(), offset + len(whole)

    @contextmanager
    def watch(self, job_id: int) -> Iterator[Watcher]:
        watcher = Watcher(asyncio.get_running_loop())
        with self._guard:
            self._watchers.setdefault(job_id, set()).add(watcher)
        try:
            yield watcher
        finally:
            with self._guard:
                self._watchers[job_id].discard(watcher)
                if not self._watchers[job_id]:
                    del self._watchers[job_id]

    def _ring(self, job_id: int, ended: bool) -> None:
        with self._guard:
            watchers = list(self._watchers.get(job_id, ()))
        for watcher in watchers:
            if not watcher.loop.is_closed():
                watcher.loop.call_soon_threadsafe(watcher.ring, ended)
