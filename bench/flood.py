"""An app that writes its log as fast as it can: what that costs the server, another app, and whoever reads logs.

Prints what the app wrote, CPU and memory of the server, the latency of another app's requests and of `logs`, each
beside the same without the flood.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import docker

from bench.idle import cpu, family, pss
from bench.load import Report
from bench.place import Place, Work, installation, sample

MEMORY_GOAL = 50.0
"""Megabytes the server may grow."""
RATE = 50
"""Requests a second to the other app."""
BETWEEN = 0.5
"""Seconds between two looks at the server's memory."""


@dataclass
class Course:
    """What was seen during one stretch of time."""

    cpu: float = 0.0
    """Percent of one core."""
    memory: list[float] = field(default_factory=list)
    """Megabytes of the server, every now and then."""
    written: float = 0.0
    """Megabytes a second by the app."""
    logs: list[float] = field(default_factory=list)
    """Seconds of each `logs`."""
    requests: Report = field(default_factory=lambda: Report(0, {}, ()))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=30)
    arguments.add_argument("--width", type=int, default=1000, help="characters a line")
    arguments.add_argument("--follow", action="store_true", help="somebody follows the log meanwhile")
    chosen = arguments.parse_args()
    with installation() as place, sample(place, "static") as other, sample(place, "flask") as work:
        equip(work, chosen.width)
        quiet = observe(place, other, work, chosen.seconds)
        place.paas("ps:scale", work.app, "worker=1")
        with followed(place, work.app) if chosen.follow else nullcontext():
            flooded = observe(place, other, work, chosen.seconds)
        kept = sum(file.stat().st_size for file in (place.home / "logs" / "apps").glob("*/*.log")) / 1e6
        dropped = place.paas("logs", work.app, "-n", "10000", "-p", "paas").count("dropped")
    return tell(quiet, flooded, kept, dropped)


def equip(work: Work, width: int) -> None:
    """Give the app a worker that writes `width` characters a line; it does not run yet."""
    web = "gunicorn --bind 0.0.0.0:$PORT --threads 8 --worker-tmp-dir /dev/shm app:app"
    (work.folder / "Procfile").write_text(f"web: {web}\nworker: yes {'x' * (width - 1)}\n")
    work.commit()
    work.push()


def observe(place: Place, other: Work, work: Work, seconds: float) -> Course:
    """Load the other app and read logs for some time."""
    course = Course()
    server = family(int((place.home / "service" / "server" / "supervise" / "pid").read_text()))
    load = place.load(other.app, RATE)
    stopping = threading.Event()
    reader = threading.Thread(target=read, args=(place, work, course, stopping))
    before, bytes_before, began = cpu(server), written(work), time.monotonic()
    load.start()
    reader.start()
    while time.monotonic() - began < seconds:
        course.memory.append(sum(map(pss, server)))
        time.sleep(BETWEEN)
    passed = time.monotonic() - began
    course.cpu = 100 * (cpu(server) - before) / passed
    course.written = (written(work) - bytes_before) / passed / 1e6
    stopping.set()
    reader.join()
    course.requests = load.stop()
    return course


def read(place: Place, work: Work, course: Course, stopping: threading.Event) -> None:
    """`logs`, again and again, timed."""
    while not stopping.wait(1):
        began = time.monotonic()
        place.paas("logs", work.app)
        course.logs.append(time.monotonic() - began)


def written(work: Work) -> int:
    """Bytes the app's worker has written so far."""
    client = docker.from_env()
    try:
        labels = [f"paas.installation={(work.place.home / 'installation').read_text().strip()}", "paas.process=worker"]
        found = client.containers.list(filters={"label": labels})
        pids = [int(row[1]) for one in found for row in one.top()["Processes"]]
    finally:
        client.close()
    counts = [Path(f"/proc/{pid}/io").read_text().split("wchar: ")[1].split()[0] for pid in pids]
    return sum(map(int, counts))


@contextmanager
def followed(place: Place, app: str) -> Iterator[None]:
    """Somebody reads `logs -t` all the time."""
    command = [*place.ssh, "paas", "logs", app, "-t"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as following:
        try:
            yield
        finally:
            following.kill()


def tell(quiet: Course, flooded: Course, kept: float, dropped: int) -> int:
    growth = max(flooded.memory) - median(quiet.memory)
    print(f"the app wrote      {flooded.written:7.1f} MB/s; {kept:.1f} MB are kept; dropping was said {dropped} times")
    print(f"the server's CPU   {flooded.cpu:7.1f} %     (quiet {quiet.cpu:.1f} %)")
    print(f"its memory grew by {growth:7.1f} MB    (goal {MEMORY_GOAL:.0f}) from {median(quiet.memory):.1f}")
    for name, course in (("quiet", quiet), ("flooded", flooded)):
        print(f"another app, {name:7}  {course.requests.line()}")
        print(f"logs, {name:7}         median {median(course.logs):.2f} s, longest {max(course.logs):.2f} s")
    return 1 if growth > MEMORY_GOAL or flooded.requests.failed else 0


if __name__ == "__main__":
    sys.exit(main())
