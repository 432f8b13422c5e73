"""The seam of the router: routes in, a proxy that serves them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, order=True)
class Target:
    """One instance behind a route."""

    address: str
    port: int
    name: str
    """Stable and unique within the route: `v12-web-1-g0`, letters, digits and dashes."""


@dataclass(frozen=True)
class Route:
    """Where requests for `hosts` go. One route an app."""

    app: str
    """The app's id."""
    hosts: tuple[str, ...]
    """Lower-case host names, sorted."""
    targets: tuple[Target, ...] = ()
    """Serve new requests; empty: the app is down (503 page)."""
    draining: tuple[Target, ...] = ()
    """Finish what they have, get nothing new."""


@dataclass(frozen=True)
class TargetStats:
    """What the proxy counts for a target."""

    app: str
    target: str
    sessions: int
    """Requests and streams in progress."""
    requests: int
    errors: int
    """Responses of class 5xx."""


class Proxy(Protocol):
    """Serves routes. `put` and `delete` are idempotent and write the file on disk first, then the running proxy.

    Unavailable when the running proxy does not answer: the file on disk is true all the same.
    """

    def routes(self) -> list[Route]:
        """What is in effect, targets that drain included; sorted by app, hosts and targets sorted."""
        ...

    def put(self, route: Route) -> None:
        """Make `route` true: new targets serve first, then those in `draining` get nothing new, others go.

        What is not there does not drain. A target that goes is cut off: drain it first. Invalid for a host, a target or
        an id that no proxy file may contain; Conflict for a host that leads to another app or is the platform's own.
        """
        ...

    def delete(self, app: str) -> None:
        """Forget an app's route: its hosts answer 404."""
        ...

    def stats(self) -> list[TargetStats]: ...
