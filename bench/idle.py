"""What the platform takes when nothing happens: memory of server and proxy with 20 apps, CPU over a quiet minute."""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from bench.place import installation, sample

TICKS = os.sysconf("SC_CLK_TCK")
MEMORY_GOAL, CPU_GOAL = 150.0, 0.5


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--apps", type=int, default=20)
    arguments.add_argument("--seconds", type=float, default=60)
    chosen = arguments.parse_args()
    with ExitStack() as stack:
        place = stack.enter_context(installation())
        for _ in range(chosen.apps):
            stack.enter_context(sample(place, "static"))
        place.paas("apps:list")
        parts = {name: family(int((place.home / "service" / name / "supervise" / "pid").read_text())) for name in NAMES}
        before = {name: cpu(pids) for name, pids in parts.items()}
        began = time.monotonic()
        time.sleep(chosen.seconds)
        passed = time.monotonic() - began
        used = {name: 100 * (cpu(pids) - before[name]) / passed for name, pids in parts.items()}
        memory = {name: sum(map(pss, pids)) for name, pids in parts.items()}
    for name in NAMES:
        print(f"{name:7} {memory[name]:6.1f} MB PSS  {used[name]:5.2f} % CPU")
    print(f"{'total':7} {sum(memory.values()):6.1f} MB PSS  {sum(used.values()):5.2f} % CPU  ({chosen.apps} apps)")
    print(f"goals   {MEMORY_GOAL:6.1f} MB PSS  {CPU_GOAL:5.2f} % CPU")
    return 0 if sum(memory.values()) <= MEMORY_GOAL and sum(used.values()) < CPU_GOAL else 1


NAMES = ("server", "proxy")


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    children = (Path(f"/proc/{pid}/task") / str(pid) / "children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def pss(pid: int) -> float:
    """Megabytes, shared pages counted in proportion."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def cpu(pids: list[int]) -> float:
    """Seconds of CPU these processes have used."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(one[11]) + int(one[12]) for one in fields) / TICKS


if __name__ == "__main__":
    sys.exit(main())
