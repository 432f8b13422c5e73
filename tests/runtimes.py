"""The two runtimes with what tests run on them: a small server that behaves as its environment says."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from typing import Any

from builder import stack
from core.names import new_id
from runtime.base import Observer, OneOff, ProcessSpec, Runtime
from runtime.docker import DockerRuntime
from runtime.memory import MemoryObserver, MemoryRuntime
from runtime.observe import DockerObserver
from tests.installation import free_subnets

DOCKER = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")

# What `runtime.memory` says of MISBEHAVE, for real.
SERVE = """
import os, socket, sys, time
way = os.environ.get("MISBEHAVE", "")
if way == "crash":
    sys.exit("told to crash")
if way == "oom":
    print("told to oom", flush=True)
    hoard = b"x" * (1 << 30)
if way == "flood":
    print("\\n".join(f"line {number}" for number in range(20_000)), flush=True)
if way == "deaf":
    time.sleep(600)
server = socket.create_server(("127.0.0.1", 5000) if way == "elsewhere" else ("0.0.0.0", int(os.environ["PORT"])))
while True:
    connection, _ = server.accept()
    connection.recv(65536)
    if way == "mute":
        time.sleep(600)
    status = way if way.isdigit() else "200"
    head = f"HTTP/1.1 {status} Words\\r\\nContent-Length: 4\\r\\nConnection: close\\r\\n\\r\\n"
    connection.sendall(head.encode() + b"well")
    connection.close()
"""


@dataclasses.dataclass(frozen=True)
class House:
    """A runtime, and an app of its own for one test."""

    runtime: Runtime
    observer: Observer
    image: str
    subnet: IPv4Network
    app: str = dataclasses.field(default_factory=new_id)

    def spec(self, misbehave: str = "", **changes: Any) -> ProcessSpec:
        """One web instance that answers 200, with `changes`."""
        env = {"MISBEHAVE": misbehave} if misbehave else {}
        command = ("python3", "-c", SERVE)
        spec = ProcessSpec(self.app, "web", 1, self.image, self.subnet, command, env, port=8000, stop_grace=5)
        return dataclasses.replace(spec, **changes)

    def one_off(self, script: str, **changes: Any) -> OneOff:
        one_off = OneOff(self.app, 1, self.image, self.subnet, ("sh", "-c", script))
        return dataclasses.replace(one_off, **changes)


def memory() -> House:
    runtime = MemoryRuntime()
    return House(runtime, MemoryObserver(runtime), "sha256:memory", IPv4Network("10.100.0.0/26"))


class Engine:
    """An installation's share of the Docker engine; `app` lends an app's place in it."""

    def __init__(self) -> None:
        self.installation = f"test-{new_id()}"
        self.subnets = IPv4Network(free_subnets())
        self.free = self.subnets.subnets(new_prefix=26)
        self.image = stack.ensure(DOCKER, self.installation, "bookworm", print).run
        self.runtime = DockerRuntime(DOCKER, self.installation, self.subnets)
        self.observer = DockerObserver(DOCKER, self.installation)

    @contextmanager
    def app(self) -> Iterator[House]:
        house = House(self.runtime, self.observer, self.image, next(self.free))
        try:
            yield house
        finally:
            self.runtime.remove(house.app)

    def close(self) -> None:
        """Leave nothing of it behind."""
        self.runtime.firewall.remove_rules()
        stack.remove(DOCKER, self.installation)
