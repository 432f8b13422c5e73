"""What every proxy promises, the one in memory and the real ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import Conflict, Invalid, Unavailable
from router.base import Proxy, Route, Target
from router.memory import MemoryProxy
from tests.haproxy import RunningProxy

V1, V1B, V2 = (
    Target("127.0.0.1", 4001, "v1-web-1"),
    Target("127.0.0.1", 4011, "v1-web-2"),
    Target("127.0.0.1", 4002, "v2"),
)


class Given:
    """A proxy, and how to make it unreachable and come back as after a crash."""

    def __init__(self, proxy: Proxy, real: RunningProxy | None = None) -> None:
        self.proxy = proxy
        self.real = real

    def break_off(self) -> None:
        if self.real:
            self.real.stop()
        elif isinstance(self.proxy, MemoryProxy):
            self.proxy.crash()

    def come_back(self) -> None:
        if self.real:
            self.real.start()
        elif isinstance(self.proxy, MemoryProxy):
            self.proxy.down = False


@pytest.fixture(params=["memory", pytest.param("haproxy", marks=pytest.mark.real)])
def given(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Given]:
    if request.param == "memory":
        yield Given(MemoryProxy())
        return
    real = RunningProxy(tmp_path)
    try:
        real.start()
        yield Given(real.proxy, real)
    finally:
        real.stop()


def test_a_new_proxy_has_no_routes(given: Given) -> None:
    assert given.proxy.routes() == []
    assert given.proxy.stats() == []


def test_a_route_that_was_put_is_in_effect(given: Given) -> None:
    route = Route("a1", ("hello.localhost", "www.example.com"), (V1, V1B))
    given.proxy.put(route)
    assert given.proxy.routes() == [route]


def test_routes_come_back_sorted_however_they_were_put(given: Given) -> None:
    given.proxy.put(Route("b", ("z.localhost", "a.localhost"), (V2, V1)))
    given.proxy.put(Route("a", (), (V1,)))
    assert given.proxy.routes() == [
        Route("a", (), (V1,)),
        Route("b", ("a.localhost", "z.localhost"), (V1, V2)),
    ]


def test_putting_the_same_route_again_changes_nothing(given: Given) -> None:
    route = Route("a1", ("hello.localhost",), (V1,))
    given.proxy.put(route)
    given.proxy.put(route)
    assert given.proxy.routes() == [route]


def test_a_swap_drains_the_old_target_and_then_lets_it_go(given: Given) -> None:
    given.proxy.put(Route("a1", ("hello.localhost",), (V1,)))
    swapped = Route("a1", ("hello.localhost",), (V2,), draining=(V1,))
    given.proxy.put(swapped)
    assert given.proxy.routes() == [swapped]
    given.proxy.put(Route("a1", ("hello.localhost",), (V2,)))
    assert given.proxy.routes() == [Route("a1", ("hello.localhost",), (V2,))]


def test_a_draining_target_can_serve_again(given: Given) -> None:
    given.proxy.put(Route("a1", ("hello.localhost",), (V1,)))
    given.proxy.put(Route("a1", ("hello.localhost",), (V2,), draining=(V1,)))
    back = Route("a1", ("hello.localhost",), (V1,), draining=(V2,))
    given.proxy.put(back)
    assert given.proxy.routes() == [back]


def test_a_target_that_was_let_go_can_come_back_under_its_name(given: Given) -> None:
    for targets in ((V1,), (V2,), (V1,)):
        given.proxy.put(Route("a1", ("hello.localhost",), targets))
        assert given.proxy.routes()[0].targets == targets


def test_a_target_may_get_another_address(given: Given) -> None:
    given.proxy.put(Route("a1", ("hello.localhost",), (V1,)))
    moved = Route("a1", ("hello.localhost",), (Target("127.0.0.2", 4003, V1.name),))
    given.proxy.put(moved)
    assert given.proxy.routes() == [moved]


def test_what_the_proxy_never_had_does_not_drain(given: Given) -> None:
    given.proxy.put(Route("a1", ("hello.localhost",), (V2,), draining=(V1,)))
    assert given.proxy.routes() == [Route("a1", ("hello.localhost",), (V2,))]


def test_an_app_without_targets_keeps_its_hosts(given: Given) -> None:
    down = Route("a1", ("hello.localhost",))
    given.proxy.put(down)
    assert given.proxy.routes() == [down]


def test_hosts_come_and_go(given: Given) -> None:
    for hosts in (("a.localhost",), ("a.localhost", "b.localhost"), ("b.localhost",), ()):
        given.proxy.put(Route("a1", hosts, (V1,)))
        assert given.proxy.routes() == [Route("a1", hosts, (V1,))]


def test_a_host_that_leads_to_another_app_is_a_conflict(given: Given) -> None:
    given.proxy.put(Route("a1", ("hello.localhost",), (V1,)))
    with pytest.raises(Conflict):
        given.proxy.put(Route("a2", ("hello.localhost",), (V2,)))
    given.proxy.put(Route("a1", (), (V1,)))
    given.proxy.put(Route("a2", ("hello.localhost",), (V2,)))
    assert [route.hosts for route in given.proxy.routes()] == [(), ("hello.localhost",)]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_platforms_own_hosts_are_not_for_apps(given: Given, host: str) -> None:
    with pytest.raises((Conflict, Invalid)):
        given.proxy.put(Route("a1", (host,), (V1,)))
    assert given.proxy.routes() == []


def test_a_deleted_app_is_forgotten_and_deleting_it_again_is_fine(given: Given) -> None:
    given.proxy.put(Route("a1", ("hello.localhost",), (V1,)))
    given.proxy.delete("a1")
    given.proxy.delete("a1")
    assert given.proxy.routes() == []
    assert given.proxy.stats() == []


def test_every_target_is_counted(given: Given) -> None:
    given.proxy.put(Route("a1", ("hello.localhost",), (V1,)))
    given.proxy.put(Route("a1", ("hello.localhost",), (V2,), draining=(V1,)))
    counted = given.proxy.stats()
    assert {(one.app, one.target) for one in counted} == {("a1", V1.name), ("a1", V2.name)}
    assert all(one.sessions == one.requests == one.errors == 0 for one in counted)


def test_an_unreachable_proxy_is_unavailable_for_every_verb(given: Given) -> None:
    given.break_off()
    with pytest.raises(Unavailable):
        given.proxy.routes()
    with pytest.raises(Unavailable):
        given.proxy.put(Route("a1", ("hello.localhost",), (V1,)))
    with pytest.raises(Unavailable):
        given.proxy.delete("a1")
    with pytest.raises(Unavailable):
        given.proxy.stats()


def test_what_was_put_while_it_was_away_is_in_effect_when_it_is_back(given: Given) -> None:
    given.proxy.put(Route("a1", ("hello.localhost",), (V1,)))
    given.proxy.put(Route("a2", ("other.localhost",), (V1,)))
    given.break_off()
    with pytest.raises(Unavailable):
        given.proxy.put(Route("a1", ("hello.localhost",), (V2,), draining=(V1,)))
    with pytest.raises(Unavailable):
        given.proxy.delete("a2")
    given.come_back()
    assert given.proxy.routes() == [Route("a1", ("hello.localhost",), (V2,))]


def test_after_a_crash_it_serves_what_was_put_and_has_forgotten_what_drained(given: Given) -> None:
    given.proxy.put(Route("a1", ("hello.localhost",), (V1,)))
    given.proxy.put(Route("a1", ("hello.localhost",), (V2,), draining=(V1,)))
    given.break_off()
    given.come_back()
    assert given.proxy.routes() == [Route("a1", ("hello.localhost",), (V2,))]
    given.proxy.put(Route("a1", ("hello.localhost",), (V1,), draining=(V2,)))
    assert given.proxy.routes() == [Route("a1", ("hello.localhost",), (V1,), draining=(V2,))]


HOSTILE_HOSTS = """
*.localhost|A.localhost|a..localhost|-a.localhost|a_b.localhost|a.localhost:80|a.localhost/x|é.localhost|a.localhost.
1.2.3.4|#a.localhost|{a}.localhost|a'.localhost|a"b.localhost|a.localhost;del|a\\.localhost|%[src].localhost|a,b.localhost
""".replace("\n", "|").split("|")
HOSTILE_HOSTS += [
    " ",
    "a b.localhost",
    "a.localhost\n",
    "a\n.localhost slot0001",
    "a.localhost\r\nX: y",
    "a.localhost\x00",
]
HOSTILE_HOSTS += ["a" * 64 + ".localhost", "a." * 127 + "localhost"]


def test_hostile_hosts_are_refused_and_change_nothing(given: Given) -> None:
    for host in HOSTILE_HOSTS:
        with pytest.raises(Invalid):
            given.proxy.put(Route("a1", (host,), (V1,)))
    assert given.proxy.routes() == []


@pytest.mark.parametrize(
    "target",
    [
        Target("127.0.0.1", 4001, "a b"),
        Target("127.0.0.1", 4001, "a;disable server x"),
        Target("127.0.0.1", 4001, "a\n"),
        Target("127.0.0.1", 4001, "a/b"),
        Target("127.0.0.1", 4001, ""),
        Target("127.0.0.1", 4001, "-a"),
        Target("127.0.0.1", 0, "a"),
        Target("127.0.0.1", 65536, "a"),
        Target("example.com", 80, "a"),
        Target("127.0.0.1 check", 80, "a"),
        Target("127.1", 80, "a"),
        Target("::1", 80, "a"),
        Target("/run/x.sock", 80, "a"),
    ],
)
def test_a_hostile_target_is_refused(target: Target) -> None:
    with pytest.raises(Invalid):
        MemoryProxy().put(Route("a1", ("hello.localhost",), (target,)))


@pytest.mark.parametrize("app", ["", "a b", "a\n", "../a", "-a", "a" * 64])
def test_a_hostile_app_id_is_refused(app: str) -> None:
    with pytest.raises(Invalid):
        MemoryProxy().put(Route(app, ("hello.localhost",), (V1,)))


def test_two_targets_of_one_name_are_refused() -> None:
    with pytest.raises(Invalid):
        MemoryProxy().put(Route("a1", (), (V1, Target("127.0.0.1", 4009, V1.name))))
    with pytest.raises(Invalid):
        MemoryProxy().put(Route("a1", (), (V1,), draining=(V1,)))
