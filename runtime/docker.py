"""The runtime on a Docker engine: one container an instance, one bridge network an app."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from typing import Any, TypeVar

import structlog

from core.errors import DeployFailed
from core.failpoints import INERT, FailPoints
from runtime import containers, marks, networks
from runtime.base import ONCE, Instance, OneOff, ProcessSpec, Session
from runtime.engine import Engine, Refused, filters
from runtime.firewall import Firewall
from runtime.marks import Marks
from runtime.session import ContainerSession, ExecSession

log = structlog.get_logger()
Item = TypeVar("Item")
Result = TypeVar("Result")
Listed = dict[str, Any]
AT_ONCE = 8
"""Containers created or started at the same time by one call."""
STAGGER = 1.0
"""Seconds one container has for its end before the next is stopped too: most need much less."""
CALL_MARGIN = 60.0
"""Seconds the engine may take to stop a container beyond its grace."""


class DockerRuntime:
    """Implements `runtime.base.Runtime`; safe to call from several threads."""

    def __init__(
        self,
        docker_host: str,
        installation: str,
        subnets: IPv4Network,
        *,
        server: str = "server",
        fail: FailPoints = INERT,
    ) -> None:
        """`server`: the name of the one that uses it; one-offs end with the server that began them."""
        self.server = server
        self.fail = fail
        self.engine = Engine(docker_host)
        self.marks = Marks(installation)
        self.firewall = Firewall(installation, subnets)
        self.users: dict[str, str] = {}
        # Finding a place free (a network, an address) and taking it must not interleave.
        self.placing = threading.Lock()

    def apply(self, spec: ProcessSpec) -> list[Instance]:
        self.network(spec.app, spec.subnet)
        with self.placing:
            present = self.listed(app=spec.app)
            here = {number(found): found for found in present if belongs(found, spec)}
            ids = {n: found["Id"] for n, found in here.items() if n <= spec.count}
            ids |= self.create(spec, present, [n for n in range(1, spec.count + 1) if n not in ids])
        self.fail("runtime.created")
        idle = [ids[n] for n in ids if n not in here or here[n]["State"] in ("created", "exited")]
        together(self.start, idle)
        return [containers.instance(self.inspect(ids[n])) for n in sorted(ids)]

    def instances(self, app: str | None = None) -> list[Instance]:
        seen = [self.inspected(found["Id"]) for found in self.listed(app=app) if not is_one_off(found)]
        return [containers.instance(container) for container in seen if container is not None]

    def look(self, instance: Instance) -> Instance:
        seen = self.inspected(instance.id)
        if seen is None:
            return containers.gone(instance)
        now = containers.instance(seen)
        if now.restarts > instance.restarts and now.exit_code is None:
            return self.last_end(now)
        return now

    def remove(
        self,
        app: str,
        process: str | None = None,
        release: int | None = None,
        ids: frozenset[str] | None = None,
        grace: int | None = None,
        keep: bool = False,
    ) -> None:
        everything = process is None and release is None and ids is None
        found = [
            container
            for container in self.listed(app=app, process=process, release=release)
            if everything or process == ONCE or not is_one_off(container)
            if ids is None or container["Id"] in ids
        ]
        in_turn(partial(self.discard, grace=grace, keep=keep), found)
        if everything:
            networks.remove(self.engine, self.marks, app)

    def run(self, one_off: OneOff) -> Session:
        if one_off.instance:
            return ExecSession(self.engine, one_off)
        return ContainerSession(self.engine, one_off, partial(self.prepare, one_off))

    def sweep(self) -> None:
        """Kill the one-offs of an earlier life of the server: nobody reads their output or awaits their end."""
        in_turn(self.discard, self.listed(oneoff=self.server))

    def network(self, app: str, subnet: IPv4Network) -> None:
        """Make the app's network exist, and never without the rules that close the host to it."""
        with self.placing:
            if not networks.exists(self.engine, self.marks, app, subnet):
                self.firewall.assert_rules()
                networks.create(self.engine, self.marks, app, subnet)

    def prepare(self, one_off: OneOff) -> dict[str, Any]:
        """What a one-off needs before it is created; the description to create it from."""
        self.network(one_off.app, one_off.subnet)
        return containers.one_off(one_off, self.marks, self.image_user(one_off.image), self.server)

    def listed(self, **labels: object) -> list[Listed]:
        """Containers of this installation with these labels, as the engine lists them."""
        wanted = filters(label=self.marks.matching(**labels))
        found: list[Listed] = self.engine.call("GET", "/containers/json", all=1, filters=wanted)
        return found

    def inspect(self, container: str) -> dict[str, Any]:
        seen: dict[str, Any] = self.engine.call("GET", f"/containers/{container}/json")
        return seen

    def inspected(self, container: str) -> dict[str, Any] | None:
        """What the engine knows of a container; None when it is gone."""
        try:
            return self.inspect(container)
        except Refused as error:
            if error.answered == 404:
                return None
            raise

    def create(self, spec: ProcessSpec, present: list[Listed], numbers: list[int]) -> dict[int, str]:
        """Create the instances `numbers`; their container ids by number."""
        taken = {address for found in present if (address := containers.address(found))}
        addresses = networks.free(spec.subnet, taken, len(numbers))
        ids = together(lambda place: self.create_one(spec, *place), list(zip(numbers, addresses, strict=True)))
        return dict(zip(numbers, ids, strict=True))

    def create_one(self, spec: ProcessSpec, number: int, address: IPv4Address) -> str:
        body = containers.process(spec, self.marks, number, address, self.image_user(spec.image))
        name = self.marks.container(spec.app, spec.process, spec.release, spec.generation, number)
        try:
            return str(self.engine.call("POST", "/containers/create", body, name=name)["Id"])
        except Refused as error:
            if error.answered == 409:
                return str(self.inspect(name)["Id"])
            if error.answered in (400, 404):
                raise DeployFailed("the instance cannot be created", evidence=error.reason) from error
            raise

    def start(self, container: str) -> None:
        try:
            self.engine.call("POST", f"/containers/{container}/start")
        except Refused as error:
            if error.answered in (400, 404) or "unable to find user" in error.reason:
                raise DeployFailed("the instance cannot be started", evidence=error.reason) from error
            raise

    def discard(self, found: Listed, grace: int | None = None, keep: bool = False) -> None:
        """Stop a container as gracefully as it asked for (or `grace` says), then remove it and its unnamed volumes
        unless it is to be kept."""
        container = found["Id"]
        grace = int(found["Labels"].get(marks.GRACE, 0)) if grace is None else grace
        try:
            if grace or keep:
                self.engine.call("POST", f"/containers/{container}/stop", t=grace, timeout=grace + CALL_MARGIN)
            if keep:
                return
            self.engine.call("DELETE", f"/containers/{container}", force=1, v=1)
        except Refused as error:
            # Gone already, or somebody else is removing it this moment.
            if error.answered not in (404, 409):
                raise

    def image_user(self, image: str) -> str:
        """The USER of an image; images never change, so each is asked about once."""
        if image not in self.users:
            try:
                self.users[image] = self.engine.call("GET", f"/images/{image}/json")["Config"]["User"]
            except Refused as error:
                hint = "A new build makes it again: redeploy."
                raise DeployFailed("the image is no longer on this machine", hint, evidence=error.reason) from error
        return self.users[image]

    def last_end(self, now: Instance) -> Instance:
        """`now` with how it ended before the engine restarted it, from the engine's memory of events."""
        wanted = filters(container=[now.id], event=["die", "oom"], type=["container"])
        since, until = f"{now.started_at - 3600:.9f}", f"{time.time():.9f}"
        raw = self.engine.read("/events", since=since, until=until, filters=wanted)
        return containers.ended(now, raw)


def belongs(found: Listed, spec: ProcessSpec) -> bool:
    """Whether a container is of this process, release and generation."""
    labels = found["Labels"]
    wanted = {marks.PROCESS: spec.process, marks.RELEASE: str(spec.release), marks.GENERATION: str(spec.generation)}
    return not is_one_off(found) and all(labels.get(key) == value for key, value in wanted.items())


def is_one_off(found: Listed) -> bool:
    return marks.ONEOFF in found["Labels"]


def number(found: Listed) -> int:
    return int(found["Labels"][marks.NUMBER])


def together(step: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`step` of every item, several at once; all are tried before the first error is raised."""
    queue = list(items)
    if len(queue) < 2:
        return [step(item) for item in queue]
    with ThreadPoolExecutor(min(len(queue), AT_ONCE), "runtime") as pool:
        futures = [pool.submit(step, item) for item in queue]
    return [future.result() for future in futures]


def in_turn(step: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`step` of every item; each gets STAGGER seconds to be done before the next one begins.

    Two containers that leave the same network in the same moment can lock an engine before 23.0 up for good: two of
    its goroutines take the same two locks in opposite orders (moby issue 46661).
    """
    queue = list(items)
    with ThreadPoolExecutor(max(1, len(queue)), "runtime") as pool:
        futures = []
        for item in queue:
            futures.append(pool.submit(step, item))
            wait(futures[-1:], timeout=STAGGER)
    return [future.result() for future in futures]
