"""Each app's own network, and the fixed addresses in it."""

from __future__ import annotations

import time
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import structlog

from core.errors import Conflict, Invalid
from runtime.engine import Engine, Refused, filters
from runtime.marks import Marks

log = structlog.get_logger()
LEAVE_TIMEOUT = 10.0
"""Seconds in which the last container leaves a network that is being removed."""


def floating(subnet: IPv4Network) -> IPv4Network:
    """The last quarter: the engine hands it out to one-offs, so that these never take an instance's address."""
    return list(subnet.subnets(prefixlen_diff=2))[-1]


def free(subnet: IPv4Network, taken: Collection[IPv4Address], count: int) -> list[IPv4Address]:
    """`count` addresses for new instances; Invalid when there are not so many left."""
    _gateway, *hosts = subnet.hosts()
    reserved = floating(subnet)
    left = [host for host in hosts if host not in reserved and host not in taken]
    if len(left) < count:
        raise Invalid(
            f"the app's network {subnet} has {len(left)} addresses left, {count} are needed",
            "Scale down; during a release the old and the new instances need addresses at the same time.",
        )
    return left[:count]


def description(mark: Marks, app: str, subnet: IPv4Network) -> dict[str, Any]:
    """The engine's description of the app's network."""
    pool = {"Subnet": str(subnet), "Gateway": str(next(subnet.hosts())), "IPRange": str(floating(subnet))}
    return {
        "Name": mark.network(app),
        "CheckDuplicate": True,
        "Driver": "bridge",
        "IPAM": {"Driver": "default", "Config": [pool]},
        "Options": {
            "com.docker.network.bridge.name": mark.bridge(app),
            "com.docker.network.bridge.enable_icc": "false",
        },
        "Labels": mark.labels(app),
    }


def exists(engine: Engine, mark: Marks, app: str, subnet: IPv4Network) -> bool:
    """Whether the app has its network; Conflict when that has other addresses."""
    try:
        found = engine.call("GET", f"/networks/{mark.network(app)}")
    except Refused as error:
        if error.answered == 404:
            return False
        raise
    actual = found["IPAM"]["Config"][0]["Subnet"]
    if actual != str(subnet):
        raise Conflict(f"the app's network is {actual}, not {subnet}", "Destroy the app's network, then deploy again.")
    return True


def create(engine: Engine, mark: Marks, app: str, subnet: IPv4Network) -> None:
    """Make the app's network; Conflict when its addresses are somebody else's."""
    try:
        engine.call("POST", "/networks/create", description(mark, app, subnet))
    except Refused as error:
        if "overlaps" in error.reason:
            hint = "Set PAAS_SUBNETS to a range nobody else uses on this machine."
            raise Conflict(f"another network already uses addresses of {subnet}", hint) from error
        raise
    log.info("network created", app=app, subnet=str(subnet))


def remove(engine: Engine, mark: Marks, app: str) -> None:
    """Remove every network of the app."""
    deadline = time.monotonic() + LEAVE_TIMEOUT
    for network in engine.call("GET", "/networks", filters=filters(label=mark.matching(app=app))):
        while not removed(engine, network["Id"]):
            if time.monotonic() > deadline:
                raise Conflict("the app's network is still in use", "Is a container of somebody else attached to it?")
            time.sleep(0.05)


def removed(engine: Engine, network: str) -> bool:
    """Whether the network is gone now; not while a container of it is still being removed."""
    try:
        engine.call("DELETE", f"/networks/{network}")
    except Refused as error:
        if error.answered == 403 and "active endpoints" in error.reason:
            return False
        if error.answered != 404:
            raise
    return True
