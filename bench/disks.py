"""Small file systems of their own, to be filled."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BALLAST = "ballast"


@contextmanager
def disk(megabytes: int) -> Iterator[Path]:
    """An ext4 file system in a file, mounted; unmounted and gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="paas-disk-"))
    folder.chmod(0o711)
    image, mount = folder / "image", folder / "mount"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    try:
        call("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
        call("mount", "-o", "loop", str(image), str(mount))
        try:
            yield mount
        finally:
            call("umount", "--recursive", str(mount))
    finally:
        if not mount.is_mount():
            shutil.rmtree(folder)


def fill(mount: Path, leave: int) -> None:
    """Take all of the free space but `leave` bytes."""
    empty(mount)
    free = shutil.disk_usage(mount).free
    with (mount / BALLAST).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free - leave))


def gorge(mount: Path) -> None:
    """Take every last block, small ones included."""
    for size in (1 << 16, 1 << 12, 1):
        with (mount / BALLAST).open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(size)):
                pass


def empty(mount: Path) -> None:
    """Give it all back."""
    (mount / BALLAST).unlink(missing_ok=True)


def call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
