"""Named points of the flow where a test may kill the server, raise, or fill the disk; inert otherwise."""

from __future__ import annotations

import errno
import os
import signal
from dataclasses import dataclass
from pathlib import Path

POINTS = (
    "push.moved",
    "push.queued",
    "job.claimed",
    "build.exported",
    "build.built",
    "release.cut",
    "deploy.provisioned",
    "deploy.started",
    "deploy.healthy",
    "deploy.routed",
    "deploy.committed",
    "job.done",
)


@dataclass(frozen=True)
class FailPoints:
    """Armed by a file named like the point in `folder`: its content (kill, raise, enospc) is done once."""

    folder: Path | None = None

    def __call__(self, point: str) -> None:
        if point not in POINTS:
            raise KeyError(point)
        if self.folder is None:
            return
        try:
            action = (self.folder / point).read_text().strip()
            (self.folder / point).unlink()
        except FileNotFoundError:
            return
        act(action, point)


def act(action: str, point: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    raise RuntimeError(f"fail-point {point}: {action}")
