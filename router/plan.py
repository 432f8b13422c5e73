"""The pure difference between what a slot of the proxy serves and what it should: runtime API commands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from router.base import Route, Target

HOSTS = "hosts.map"

# The same for servers written in the file and servers added at run time (`default-server` does not reach those).
# Our own probe decides readiness; the check only finds out about an instance that went away.
CHECK = "check inter 5s fastinter 500ms downinter 500ms rise 1 fall 2"


class Mode(StrEnum):
    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"


@dataclass(frozen=True)
class Server:
    """One server of a slot, as the running proxy has it."""

    name: str
    address: str
    port: int
    mode: Mode


def changes(slot: str, servers: Sequence[Server], hosts: Mapping[str, str], route: Route) -> list[str]:
    """What to order so that `slot` serves `route`: new targets first, then hosts, then draining, then removal.

    `hosts` is the whole running map, host to slot.
    """
    seen = {server.name: server for server in servers}
    wanted = {target.name for target in route.targets}
    draining = {target.name for target in route.draining} - wanted
    orders: list[str] = []
    for target in route.targets:
        orders += serve(slot, seen.get(target.name), target)
    orders += name(slot, hosts, route.hosts)
    for server in servers:
        if server.name in draining and server.mode is Mode.READY:
            orders.append(f"set server {slot}/{server.name} state drain")
    for server in servers:
        if server.name not in wanted | draining:
            orders += drop(slot, server)
    return orders


def serve(slot: str, seen: Server | None, target: Target) -> Iterator[str]:
    """Orders that make `target` get requests."""
    place = f"{slot}/{target.name}"
    if seen is None:
        yield f"add server {place} {target.address}:{target.port} {CHECK}"
        yield f"enable server {place}"
        yield f"enable health {place}"
        return
    if (seen.address, seen.port) != (target.address, target.port):
        yield f"set server {place} addr {target.address} port {target.port}"
    if seen.mode is not Mode.READY:
        yield f"set server {place} state ready"
    if seen.mode is Mode.MAINT:  # added by somebody who was killed before its checks were switched on
        yield f"enable health {place}"


def name(slot: str, hosts: Mapping[str, str], wanted: Sequence[str]) -> Iterator[str]:
    """Orders that make exactly the hosts `wanted` lead to `slot`."""
    for host in wanted:
        if host not in hosts:
            yield f"add map {HOSTS} {host} {slot}"
        elif hosts[host] != slot:
            yield f"set map {HOSTS} {host} {slot}"
    for host, leads_to in hosts.items():
        if leads_to == slot and host not in wanted:
            yield f"del map {HOSTS} {host}"


def drop(slot: str, server: Server) -> Iterator[str]:
    """Orders that remove a server, whatever it still has."""
    place = f"{slot}/{server.name}"
    if server.mode is not Mode.MAINT:
        yield f"set server {place} state maint"
    yield f"shutdown sessions server {place}"
    yield f"del server {place}"
