"""Which app has which slot, and its route: the router's truth on disk, from which the proxy's files are written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from core.errors import Unavailable
from router.base import Route, Target
from router.haproxy_config import slot_names


@dataclass(frozen=True)
class Book:
    slots: int
    routes: Mapping[str, Route] = field(default_factory=dict)
    """Slot to route. `draining` is never written down: a proxy that starts from its file has nothing to drain."""

    def slot(self, app: str) -> str | None:
        return next((slot for slot, route in self.routes.items() if route.app == app), None)

    def route(self, slot: str) -> Route:
        """What `slot` serves; a route of no app when it is spare."""
        return self.routes.get(slot, Route("", ()))

    def with_route(self, route: Route) -> Book:
        """With `route` in its app's slot, or in the first spare one; twice as many slots when there is none."""
        slot = self.slot(route.app)
        if slot is None:
            spare = [name for name in slot_names(self.slots) if name not in self.routes]
            if not spare:
                return replace(self, slots=self.slots * 2).with_route(route)
            slot = spare[0]
        return replace(self, routes={**self.routes, slot: replace(route, draining=())})

    def without(self, app: str) -> Book:
        return replace(self, routes={slot: route for slot, route in self.routes.items() if route.app != app})


def dump(book: Book) -> str:
    routes = {slot: asdict(route) for slot, route in book.routes.items()}
    return json.dumps({"slots": book.slots, "routes": routes}, indent=1, sort_keys=True)


def load(path: Path, slots: int) -> Book:
    """The book in `path`; an empty one with `slots` slots when there is none yet."""
    try:
        raw = json.loads(path.read_text())
        return Book(raw["slots"], {slot: route(value) for slot, value in raw["routes"].items()})
    except FileNotFoundError:
        return Book(slots)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unavailable(f"the router's file {path} is damaged", "Delete it: it is written anew.") from error


def route(raw: dict[str, object]) -> Route:
    targets = tuple(Target(**value) for value in raw["targets"])  # type: ignore[attr-defined]
    return Route(str(raw["app"]), tuple(raw["hosts"]), targets)  # type: ignore[arg-type]
