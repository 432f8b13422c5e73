"""The proxy's folder: written atomically, and only when HAProxy itself would load it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from core.errors import Unavailable
from router.haproxy_book import Book, dump, load
from router.haproxy_config import Frame, config, hosts_map, without_servers
from router.haproxy_pages import pages
from router.plan import HOSTS

BOOK = "router.json"
CONFIG = "haproxy.cfg"
CANDIDATE = "candidate.cfg"
VALIDATION_TIMEOUT = 30


class Files:
    """`slots` is the size of a pool that begins."""

    def __init__(self, folder: Path, frame: Frame, slots: int) -> None:
        self._folder = folder
        self._frame = frame
        self._slots = slots
        found = shutil.which("haproxy") or "/usr/sbin/haproxy"
        self.program = [found, "-C", str(folder)]
        """It works in the folder, so that no file names another by a path."""

    def create(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"{self._folder} could not be made", evidence=str(error)) from error

    def book(self) -> Book:
        return load(self._folder / BOOK, self._slots)

    def write(self, book: Book) -> None:
        """Everything that follows from `book`; Unavailable, and the last good files in place, when it will not do."""
        text = config(self._frame, book.slots, book.routes)
        hosts = hosts_map(self._frame, book.routes)
        try:
            written = [self._replace(name, page) for name, page in pages().items()]
            if not (self._folder / HOSTS).exists():  # HAProxy looks for it when asked about a configuration
                self._replace(HOSTS, hosts)
            self._validate(text)
            written += [self._replace(BOOK, dump(book)), self._replace(HOSTS, hosts), self._replace(CONFIG, text)]
            if any(written):
                sync(self._folder)
        except OSError as error:
            raise Unavailable(
                "the proxy's files could not be written", "Is the disk full?", evidence=str(error)
            ) from error

    def _validate(self, text: str) -> None:
        """Ask HAProxy whether it would load `text`.

        Not when only server lines differ from the file's, each part of which was checked: it takes 10 ms with few slots
        and more with many, and stands between a change and its first request.
        """
        before = self._read(CONFIG)
        if before is not None and without_servers(before.decode()) == without_servers(text):
            return
        (self._folder / CANDIDATE).write_text(text)
        command = [*self.program, "-c", "-f", CANDIDATE]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=VALIDATION_TIMEOUT, check=False)
        except (FileNotFoundError, subprocess.TimeoutExpired) as error:
            raise Unavailable("HAProxy could not be asked about its configuration", evidence=str(error)) from error
        finally:
            (self._folder / CANDIDATE).unlink()
        if done.returncode:
            raise Unavailable("HAProxy refuses its new configuration; the old one stays", evidence=done.stderr[-1000:])

    def _read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def _replace(self, name: str, text: str) -> bool:
        """`text` in the file `name`, wholly or not at all; False when it was there already."""
        if self._read(name) == text.encode():
            return False
        fresh = self._folder / f"{name}.new"
        fresh.write_bytes(text.encode())
        sync(fresh)
        fresh.rename(self._folder / name)
        return True


def sync(path: Path) -> None:
    """What was written to a file, or renamed in a folder, is on disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
