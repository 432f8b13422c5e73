"""The difference between what a slot serves and what it should."""

from __future__ import annotations

import pytest

from router.base import Route, Target
from router.plan import CHECK, Mode, Server, changes

SLOT = "slot0001"
V1, V2 = Target("10.0.0.2", 5000, "v1-web-1-g0"), Target("10.0.0.3", 5000, "v2-web-1-g0")
HOST = ("hello.localhost",)
NAMED = {"hello.localhost": SLOT, "localhost": "api"}


def server(target: Target, mode: Mode = Mode.READY) -> Server:
    return Server(target.name, target.address, target.port, mode)


def orders(*servers: Server, route: Route, hosts: dict[str, str] = NAMED) -> list[str]:
    return changes(SLOT, servers, hosts, route)


def test_nothing_is_ordered_when_everything_is_as_wanted() -> None:
    wanted = Route("a", HOST, (V1,), draining=(V2,))
    assert orders(server(V1), server(V2, Mode.DRAIN), route=wanted) == []


def test_a_first_target_is_added_before_its_host_leads_there() -> None:
    assert orders(route=Route("a", HOST, (V1,)), hosts={}) == [
        f"add server {SLOT}/v1-web-1-g0 10.0.0.2:5000 {CHECK}",
        f"enable server {SLOT}/v1-web-1-g0",
        f"enable health {SLOT}/v1-web-1-g0",
        "add map hosts.map hello.localhost slot0001",
    ]


def test_a_swap_adds_the_new_target_before_the_old_one_drains() -> None:
    assert orders(server(V1), route=Route("a", HOST, (V2,), draining=(V1,))) == [
        f"add server {SLOT}/v2-web-1-g0 10.0.0.3:5000 {CHECK}",
        f"enable server {SLOT}/v2-web-1-g0",
        f"enable health {SLOT}/v2-web-1-g0",
        f"set server {SLOT}/v1-web-1-g0 state drain",
    ]


def test_a_drained_target_is_let_go_with_whatever_it_still_has() -> None:
    assert orders(server(V2), server(V1, Mode.DRAIN), route=Route("a", HOST, (V2,))) == [
        f"set server {SLOT}/v1-web-1-g0 state maint",
        f"shutdown sessions server {SLOT}/v1-web-1-g0",
        f"del server {SLOT}/v1-web-1-g0",
    ]


def test_a_draining_target_that_is_wanted_again_serves() -> None:
    assert orders(server(V1, Mode.DRAIN), route=Route("a", HOST, (V1,))) == [
        f"set server {SLOT}/v1-web-1-g0 state ready"
    ]


def test_a_half_added_target_is_finished() -> None:
    assert orders(server(V1, Mode.MAINT), route=Route("a", HOST, (V1,))) == [
        f"set server {SLOT}/v1-web-1-g0 state ready",
        f"enable health {SLOT}/v1-web-1-g0",
    ]


def test_a_half_removed_target_is_finished() -> None:
    assert orders(server(V1, Mode.MAINT), route=Route("a", HOST)) == [
        f"shutdown sessions server {SLOT}/v1-web-1-g0",
        f"del server {SLOT}/v1-web-1-g0",
    ]


@pytest.mark.parametrize("address, port", [("10.0.0.9", 5000), ("10.0.0.2", 5001)])
def test_a_target_with_another_address_is_moved(address: str, port: int) -> None:
    moved = Target(address, port, V1.name)
    assert orders(server(V1), route=Route("a", HOST, (moved,))) == [
        f"set server {SLOT}/v1-web-1-g0 addr {address} port {port}"
    ]


def test_what_is_not_there_cannot_drain() -> None:
    assert orders(server(V2), route=Route("a", HOST, (V2,), draining=(V1,))) == []


def test_hosts_are_added_moved_and_removed_and_those_of_others_left_alone() -> None:
    seen = {"old.localhost": SLOT, "moved.localhost": "slot0002", "other.localhost": "slot0003", "localhost": "api"}
    assert orders(route=Route("a", ("hello.localhost", "moved.localhost")), hosts=seen) == [
        "add map hosts.map hello.localhost slot0001",
        "set map hosts.map moved.localhost slot0001",
        "del map hosts.map old.localhost",
    ]


def test_a_spare_slot_is_emptied() -> None:
    assert orders(server(V1), route=Route("", ())) == [
        "del map hosts.map hello.localhost",
        f"set server {SLOT}/v1-web-1-g0 state maint",
        f"shutdown sessions server {SLOT}/v1-web-1-g0",
        f"del server {SLOT}/v1-web-1-g0",
    ]
