"""Nothing enters the proxy's file or its socket unless it passed here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address

from core import names
from core.errors import Conflict, Invalid
from router.base import Route, Target

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,98}[A-Za-z0-9])?")
APP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def route(given: Route) -> Route:
    """`given` in its canonical form (hosts and targets sorted, each once), else Invalid."""
    app(given.app)
    targets = tuple(sorted({target(one) for one in given.targets}))
    draining = tuple(sorted({target(one) for one in given.draining}))
    every = [one.name for one in targets + draining]
    if len(set(every)) != len(every):
        raise Invalid(f"two targets of app {given.app} have the same name", evidence=", ".join(every))
    return replace(given, hosts=tuple(sorted({host(one) for one in given.hosts})), targets=targets, draining=draining)


def app(given: str) -> str:
    if not APP.fullmatch(given):
        raise Invalid(f"{given!r} is not an app's id")
    return given


def host(given: str) -> str:
    if names.host(given) != given:
        raise Invalid(f"{given!r} is not a host name in its canonical form", f"Write it {names.host(given)}.")
    return given


def domain(given: str) -> str:
    """`given` in lower case if it may be the platform's own host name; unlike an app's, of one label too."""
    if not all(names.LABEL.fullmatch(label) for label in given.lower().split(".")):
        raise Invalid(f"{given!r} is not a domain", "Set PAAS_DOMAIN to something like example.com.")
    return given.lower()


def address(given: str) -> IPv4Address:
    try:
        return IPv4Address(given)
    except AddressValueError as error:
        raise Invalid(f"{given!r} is not an IPv4 address") from error


def target(given: Target) -> Target:
    if not NAME.fullmatch(given.name):
        raise Invalid(f"{given.name!r} is not a target's name", "Use letters, digits and dashes.")
    if str(address(given.address)) != given.address or type(given.port) is not int or not 0 < given.port < 65536:
        raise Invalid(f"{given.address}:{given.port} is not an address and a port")
    return given


def free(wanted: Route, routes: Iterable[Route], reserved: frozenset[str]) -> None:
    """Conflict when a host of `wanted` is the platform's own or leads to another app."""
    for own in reserved.intersection(wanted.hosts):
        raise Conflict(f"{own} is the platform's own host name", "Choose another host name.")
    for other in routes:
        if other.app != wanted.app and (both := set(other.hosts) & set(wanted.hosts)):
            raise Conflict(f"{min(both)} leads to another app", "Remove it there first.", evidence=other.app)
