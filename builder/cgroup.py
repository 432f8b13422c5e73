"""Limits for all builds of the machine together.

A build step is not one of the engine's containers, so a request's own limits are ignored; but every step lives
under one cgroup of BuildKit's, and what is set there holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

log = structlog.get_logger()

ROOT = Path("/sys/fs/cgroup")
PLACE = "docker/buildkit"
PERIOD = 100_000


@dataclass(frozen=True)
class BuildLimits:
    """Of all builds together: memory in bytes, processes, CPUs."""

    memory: int = 2 << 30
    pids: int = 1024
    cpus: float = 2.0


def limit(limits: BuildLimits, root: Path = ROOT) -> bool:
    """Set the limits; False (and a warning) where this machine's cgroups do not let us."""
    unified = (root / "cgroup.controllers").exists()
    try:
        write(files_v2(limits, root) if unified else files_v1(limits, root))
    except OSError as error:
        log.warning("builds.unlimited", reason=str(error))
        return False
    return True


def files_v1(limits: BuildLimits, root: Path) -> dict[Path, str]:
    return {
        root / "pids" / PLACE / "pids.max": str(limits.pids),
        root / "memory" / PLACE / "memory.limit_in_bytes": str(limits.memory),
        root / "cpu" / PLACE / "cpu.cfs_quota_us": str(int(limits.cpus * PERIOD)),
    }


def files_v2(limits: BuildLimits, root: Path) -> dict[Path, str]:
    controllers = "+pids +memory +cpu"
    return {
        root / "cgroup.subtree_control": controllers,
        (root / PLACE).parent / "cgroup.subtree_control": controllers,
        root / PLACE / "pids.max": str(limits.pids),
        root / PLACE / "memory.max": str(limits.memory),
        root / PLACE / "memory.swap.max": "0",
        root / PLACE / "cpu.max": f"{int(limits.cpus * PERIOD)} {PERIOD}",
    }


def write(files: Mapping[Path, str]) -> None:
    for file, value in files.items():
        # The engine makes the group with its first build; limits must be there before it.
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value)
