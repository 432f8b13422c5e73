"""A lock that threads of one server and several servers of one machine share."""

from __future__ import annotations

import fcntl
from pathlib import Path
from threading import RLock
from typing import IO


class FileLock:
    """Re-entrant within a thread; freed by the kernel when its holder dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = RLock()
        self._depth = 0
        self._file: IO[str] | None = None

    def __enter__(self) -> None:
        self._threads.acquire()
        try:
            if self._depth == 0:
                self._file = self._locked()
        except BaseException:
            self._threads.release()
            raise
        self._depth += 1

    def _locked(self) -> IO[str]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except BaseException:
            file.close()
            raise
        return file

    def __exit__(self, *exception: object) -> None:
        self._depth -= 1
        if self._depth == 0 and self._file:
            self._file.close()
        self._threads.release()
