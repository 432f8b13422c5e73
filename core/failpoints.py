"""Named points of the flow where a test may kill the server, raise, wait, or fill the disk; inert otherwise."""

from __future__ import annotations

import errno
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

POINTS = (
    # A push, as the SSH door and the hooks live it.
    "push.begun",
    "push.judged",
    "push.moved",
    "push.queued",
    "push.settled",
    # Its job.
    "job.claimed",
    "build.started",
    "build.exported",
    "build.planned",
    "build.built",
    "build.recorded",
    "release.cut",
    "deploy.begun",
    "deploy.provisioned",
    "once.started",
    "once.ended",
    "runtime.created",
    "deploy.started",
    "deploy.healthy",
    "proxy.written",
    "deploy.routed",
    "deploy.committed",
    "job.done",
    "job.finished",
    # What goes on when the push has returned.
    "retire.begun",
    "retire.drained",
    "retire.ended",
    # What else changes an app.
    "push.returning",
    "scale.started",
    "app.destroying",
    "app.forgotten",
)


@dataclass(frozen=True)
class FailPoints:
    """Armed by a file named like the point in `folder`: what it says (kill, raise, enospc, sleep=2) is done once."""

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

    def arm(self, orders: str) -> None:
        """Arm points from a line such as `deploy.routed:kill,build.built:sleep=2`; the same line only once, since a
        killed server reads it again."""
        if self.folder is None or not orders:
            return
        done = self.folder / "armed"
        if done.exists() and done.read_text() == orders:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        for point, _, action in (order.strip().partition(":") for order in orders.split(",")):
            if point not in POINTS:
                raise KeyError(point)
            (self.folder / point).write_text(action)
        done.write_text(orders)


INERT = FailPoints()


def act(action: str, point: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "enospc":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if action.startswith("sleep="):
        time.sleep(float(action.removeprefix("sleep=")))
        return
    raise RuntimeError(f"fail-point {point}: {action}")
