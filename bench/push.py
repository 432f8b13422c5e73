"""From `git push` to the first answer of the new version, beside the floor measured in the same run.

For a one-line change of the Flask and the Express sample: each phase, the total, and the floor (the image built with a
warm cache, a container created and started, its first answer; through the engine's API alone). Then a push that changes
nothing, and scaling from 1 to 2. Ours and the floor take turns; medians are printed.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import re
import secrets
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median

import docker

from bench.place import Place, Work, installation, sample
from builder import build as building
from builder import stack
from builder.base import BuildRequest
from builder.docker import context
from core.config import Settings

SOURCES = {"flask": "app.py", "express": "server.js"}
PHASES = re.compile(r"Live at \S+ \(v\d+, ([\d.]+)s: (.+)\)")
BETWEEN = 0.002
"""Seconds between two questions for the new version."""
GOALS = {"push": 1.0, "nothing changed": 0.5, "scale 1 to 2": 0.5}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=7)
    rounds = arguments.parse_args().rounds
    with installation() as place:
        for name in SOURCES:
            with sample(place, name) as work:
                measure(place, work, name, rounds)
    return 0


def measure(place: Place, work: Work, name: str, rounds: int) -> None:
    figures: dict[str, list[float]] = defaultdict(list)
    floor = Floor(place, name)
    try:
        for round in range(rounds + 1):
            ours, phases = push_change(place, work, name, f"{round}.{secrets.token_hex(3)}")
            beside = floor.measure(work.folder)
            work.commit()
            nothing = timed(work.push)
            scaled = timed(lambda: place.paas("ps:scale", work.app, "web=2"))
            place.paas("ps:scale", work.app, "web=1")
            if round == 0:
                continue  # the first one warms the caches
            figures["push"].append(ours)
            figures["floor"].append(beside)
            figures["nothing changed"].append(nothing)
            figures["scale 1 to 2"].append(scaled)
            for phase, seconds in phases.items():
                figures[f"  {phase}"].append(seconds)
    finally:
        floor.clear()
    tell(name, figures)


def push_change(place: Place, work: Work, name: str, version: str) -> tuple[float, dict[str, float]]:
    """Seconds until the new version answers, and the phases the server tells of, git's own part as `git and ssh`."""
    source = work.folder / SOURCES[name]
    source.write_text(re.sub(r'VERSION = ".*"', f'VERSION = "{version}"', source.read_text()))
    work.commit()
    answered: list[float] = []
    ask = threading.Thread(target=lambda: answered.append(await_version(place, work.app, version)))
    began = time.monotonic()
    ask.start()
    said = work.push()
    returned = time.monotonic() - began
    ask.join()
    found = PHASES.search(said)
    if not found:
        raise SystemExit(f"the push did not go live:\n{said}")
    phases = {part.split()[0]: float(part.split()[1]) for part in found[2].split(", ")}
    return answered[0] - began, {**phases, "git and ssh": returned - float(found[1]), "push returns": returned}


def await_version(place: Place, app: str, version: str) -> float:
    """When an answer first named `version`."""
    while True:
        if version in get("127.0.0.1", place.http_port, f"{app}.{place.domain}"):
            return time.monotonic()
        time.sleep(BETWEEN)


def get(address: str, port: int, host: str) -> str:
    connection = http.client.HTTPConnection(address, port, timeout=10)
    try:
        connection.request("GET", "/", headers={"Host": host})
        return connection.getresponse().read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


class Floor:
    """What the engine alone needs for the same change: no git, no health, no proxy, nothing recorded."""

    def __init__(self, place: Place, name: str) -> None:
        settings = Settings(home=place.home)
        self.client = docker.DockerClient(base_url=settings.docker_host)
        self.references = stack.references(settings.installation, settings.stack)
        self.tag = f"paas-floor-{name}:{secrets.token_hex(4)}"
        self.app = secrets.token_hex(10)

    def measure(self, folder: Path) -> float:
        prepared = building.plan(folder)
        tar = b"".join(context(BuildRequest("floor", self.app, folder, prepared.plan), "paas-floor"))
        began = time.monotonic()
        self.build(tar)
        container = self.client.containers.create(
            self.tag, ["/bin/bash", "-c", prepared.commands["web"]], environment={"PORT": "5000"}, init=True
        )
        try:
            container.start()
            container.reload()
            address = container.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
            while not get(address, 5000, "localhost"):
                time.sleep(BETWEEN)
            return time.monotonic() - began
        finally:
            container.remove(force=True)

    def build(self, tar: bytes) -> None:
        api = self.client.api
        options = {"version": "2", "t": self.tag, "buildargs": json.dumps(self.references)}
        reply = api.post(
            f"{api.base_url}/v{api.api_version}/build",
            params=options,
            data=io.BytesIO(tar),
            headers={"Content-Type": "application/x-tar"},
            stream=True,
        )
        failed = [line for line in reply.iter_lines() if b'"error"' in line]
        if failed:
            raise SystemExit(f"the floor's build failed: {failed[0].decode()}")

    def clear(self) -> None:
        for image in self.client.images.list(filters={"reference": self.tag}):
            self.client.images.remove(str(image.id), force=True)
        self.client.close()


def tell(name: str, figures: dict[str, list[float]]) -> None:
    total, floor = median(figures["push"]), median(figures["floor"])
    print(f"{name}: one-line change live after {total:.2f} s; floor {floor:.2f} s; ratio {total / floor:.2f}")
    for figure, seconds in figures.items():
        goal = f"  (goal {GOALS[figure]:.1f})" if figure in GOALS else ""
        print(f"  {figure:18} median {median(seconds):.2f}  {min(seconds):.2f} to {max(seconds):.2f}{goal}")


if __name__ == "__main__":
    sys.exit(main())
