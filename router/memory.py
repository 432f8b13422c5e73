"""A proxy in memory: the same promises, and a history to look at."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock

from core.errors import Unavailable
from router import checked
from router.base import Route, TargetStats


class MemoryProxy:
    """Serves nothing. `history` has every route that was put, in order; a deleted app has an empty one.

    `reserved` are the platform's own hosts. While `down` every call raises Unavailable; as with a real proxy, what
    `put` and `delete` were told meanwhile is in effect when it is up again.
    """

    def __init__(self, reserved: frozenset[str] = frozenset({"localhost", "127.0.0.1"})) -> None:
        self.history: list[Route] = []
        self.sessions: dict[tuple[str, str], int] = {}
        self.down = False
        self._reserved = reserved
        self._routes: dict[str, Route] = {}
        self._lock = Lock()

    def crash(self) -> None:
        """Be unreachable until `down` is unset; what drained is forgotten, as by a process that starts anew."""
        with self._lock:
            self.down = True
            self._routes = {app: replace(route, draining=()) for app, route in self._routes.items()}

    def routes(self) -> list[Route]:
        with self._lock:
            self._answer()
            return sorted(self._routes.values(), key=lambda route: route.app)

    def put(self, route: Route) -> None:
        wanted = checked.route(route)
        with self._lock:
            checked.free(wanted, self._routes.values(), self._reserved)
            before = self._routes.get(wanted.app, Route(wanted.app, ()))
            known = {target.name for target in before.targets + before.draining}
            # What is not there cannot drain, and a proxy started from its file has forgotten those that did.
            draining = tuple(one for one in wanted.draining if one.name in known and not self.down)
            self._routes[wanted.app] = replace(wanted, draining=draining)
            self.history.append(wanted)
            self._answer()

    def delete(self, app: str) -> None:
        with self._lock:
            if self._routes.pop(checked.app(app), None):
                self.history.append(Route(app, ()))
            self._answer()

    def stats(self) -> list[TargetStats]:
        with self._lock:
            self._answer()
            return [
                TargetStats(route.app, one.name, self.sessions.get((route.app, one.name), 0), 0, 0)
                for route in self._routes.values()
                for one in route.targets + route.draining
            ]

    def _answer(self) -> None:
        if self.down:
            raise Unavailable("the proxy does not answer")
