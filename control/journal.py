"""Logs of jobs: written to a file first, followed second; a slow or dead reader never blocks a writer.

Readers learn of a line from the kernel, so it does not matter which server writes it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
from asyncinotify import Inotify, Mask

from core.text import clean

log = structlog.get_logger()


MOST = 10 << 20
"""Bytes of one job's log; what is longer keeps its steps, errors and verdict."""
AT_ONCE = 1 << 20
"""Bytes of it that are read at a time."""
TELLING = ("----->", "=====>", " !     ")


def bounded(line: str, size: int) -> str:
    """What is written of a line to a log of `size` bytes already."""
    if line.startswith(TELLING):
        return f"{line}\n" if size < 2 * MOST else ""
    if size >= MOST:
        return ""
    return f"{line}\n" if size + len(line.encode()) < MOST else f"{line}\n{CUT}"


CUT = f"       (the log is longer than {MOST >> 20} MB: only its steps and errors are kept from here on)\n"


class Notices:
    """What the kernel tells of the folder, to those who follow a file in it; there as long as anybody does."""

    def __init__(self, folder: Path) -> None:
        self.bells: dict[str, set[asyncio.Event]] = {}
        self.inotify = Inotify()
        self.inotify.add_watch(folder, Mask.MODIFY | Mask.ATTRIB | Mask.CREATE)
        self.listening = asyncio.create_task(self.listen())
        self.listening.add_done_callback(lambda _: self.inotify.close())

    async def listen(self) -> None:
        async for event in self.inotify:
            # An event without a name tells that some were lost.
            rung = self.bells.get(str(event.name), ()) if event.name else set().union(*self.bells.values())
            for bell in rung:
                bell.set()

    def close(self) -> None:
        self.listening.cancel()


class Journal:
    """The job logs of this installation, a file each in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._notices: Notices | None = None

    def path(self, job_id: int) -> Path:
        return self.folder / f"{job_id}.log"

    def jobs(self) -> list[int]:
        """Ids of the jobs whose log is here."""
        return sorted(int(path.stem) for path in self.folder.glob("*.log") if path.stem.isdecimal())

    def remove(self, job_id: int) -> None:
        """Forget a job's log; fine when it is gone."""
        self.path(job_id).unlink(missing_ok=True)

    def write(self, job_id: int, line: str) -> None:
        """Append one line; a full disk loses lines, never a deploy."""
        try:
            with self.path(job_id).open("a", encoding="utf-8", errors="replace") as file:
                file.write(bounded(clean(line), file.tell()))
        except OSError as error:
            log.warning("journal.lost", job=job_id, error=str(error))

    def end(self, job_id: int) -> None:
        """Tell the readers that the verdict is there."""
        with suppress(FileNotFoundError):
            os.utime(self.path(job_id))

    def read(self, job_id: int, offset: int = 0) -> tuple[list[str], int]:
        """Whole lines from byte `offset` on, a good many at most, and the offset behind them."""
        try:
            with self.path(job_id).open("rb") as file:
                file.seek(offset)
                data = file.read(AT_ONCE)
        except FileNotFoundError:
            return [], offset
        whole = data[: data.rfind(b"\n") + 1]
        return whole.decode("utf-8", "replace").splitlines(), offset + len(whole)

    async def ends(self) -> AsyncIterator[None]:
        """Each time a job has ended, whichever server did it."""
        with Inotify() as inotify:
            inotify.add_watch(self.folder, Mask.ATTRIB)
            async for _ in inotify:
                yield

    @contextmanager
    def watch(self, job_id: int) -> Iterator[asyncio.Event]:
        """An event that is set whenever the job's log has changed or its verdict is there."""
        notices = self._notices = self._notices or Notices(self.folder)
        name, bell = self.path(job_id).name, asyncio.Event()
        notices.bells.setdefault(name, set()).add(bell)
        try:
            yield bell
        finally:
            notices.bells[name].discard(bell)
            if not notices.bells[name]:
                del notices.bells[name]
            if not notices.bells:
                notices.close()
                self._notices = None
