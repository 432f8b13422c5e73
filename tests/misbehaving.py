"""Runtimes that go wrong, each in one way, around one that works: what the rest of the house must survive."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from threading import Event

from core.errors import Unavailable
from core.states import InstanceState
from runtime.base import Instance, OneOff, ProcessSpec, Runtime, Session


class Passing:
    """Hands every call on; `before` is told the name of each."""

    def __init__(self, runtime: Runtime, before: Callable[[str], None] = lambda name: None) -> None:
        self.runtime = runtime
        self.before = before

    def apply(self, spec: ProcessSpec) -> list[Instance]:
        self.before("apply")
        return self.runtime.apply(spec)

    def instances(self, app: str | None = None) -> list[Instance]:
        self.before("instances")
        return self.runtime.instances(app)

    def look(self, instance: Instance) -> Instance:
        self.before("look")
        return self.runtime.look(instance)

    def remove(
        self,
        app: str,
        process: str | None = None,
        release: int | None = None,
        ids: frozenset[str] | None = None,
        grace: int | None = None,
        keep: bool = False,
    ) -> None:
        self.before("remove")
        self.runtime.remove(app, process, release, ids, grace, keep)

    def run(self, one_off: OneOff) -> Session:
        self.before("run")
        return self.runtime.run(one_off)


class Slow(Passing):
    """`apply` waits until the test sets `go`; `reached` is set when it waits."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime, self.hold)
        self.go, self.reached = Event(), Event()

    def hold(self, name: str) -> None:
        if name == "apply":
            self.reached.set()
            assert self.go.wait(30), "the test never let it go on"


class Crashing(Passing):
    """The engine goes away at the nth call of `method`, and stays away until `back` is called."""

    def __init__(self, runtime: Runtime, method: str, nth: int = 1) -> None:
        super().__init__(runtime, self.count)
        self.method, self.left, self.away = method, nth, False

    def count(self, name: str) -> None:
        self.left -= name == self.method
        self.away = self.away or (name == self.method and self.left == 0)
        if self.away:
            raise Unavailable("the Docker engine does not answer", "Is Docker running?")

    def back(self) -> None:
        self.away = False


class Full(Passing):
    """The disk is full: nothing new can be created, after the first instance of a process already was."""

    def apply(self, spec: ProcessSpec) -> list[Instance]:
        if spec.count:
            self.runtime.apply(dataclasses.replace(spec, count=1))
        raise Unavailable("Docker refused: no space left on device", "Free some space.")


class Lying(Passing):
    """Says that everything is up, whatever has crashed or gone."""

    def look(self, instance: Instance) -> Instance:
        return dataclasses.replace(instance, state=InstanceState.UP, exit_code=None, restarts=0)

    def instances(self, app: str | None = None) -> list[Instance]:
        return [self.look(one) for one in self.runtime.instances(app)]
