"""A new release compared with the one before, and the return to what is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from control import processes, releases, watch
from control.context import Context
from control.traffic import Counts, Traffic, since
from control.values import User
from control.watch import Watched
from core.states import InstanceState
from router.base import TargetStats
from tests.factories import APP, Remote, context, drain, settle, user


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return context(tmp_path, watch=120)


@pytest.fixture
def ada(ctx: Context) -> User:
    return user(ctx)


@pytest.fixture
def remote(ctx: Context, ada: User) -> Remote:
    return Remote(ctx, ada)


def live(ctx: Context) -> dict[int, InstanceState]:
    """State of the instance of each generation."""
    return {one.generation: one.state for one in ctx.runtime.instances()}


def routed(ctx: Context) -> list[str]:
    return [target.name for route in ctx.proxy.routes() for target in route.targets]


UP, RESTING = InstanceState.UP, InstanceState.CRASHED


def two(remote: Remote) -> None:
    remote.push(APP)
    remote.push({**APP, "app.py": "print('two')\n"})


def test_what_made_room_is_kept_stopped_and_off_the_proxy(ctx: Context, remote: Remote) -> None:
    two(remote)
    assert live(ctx) == {1: RESTING, 2: UP}
    assert routed(ctx) == ["v2-web-1-g2"]
    remote.push({**APP, "app.py": "print('three')\n"})
    assert live(ctx) == {2: RESTING, 3: UP}, "one release back is kept, no more"


def test_what_is_kept_goes_when_its_time_is_over(tmp_path: Path) -> None:
    ctx = context(tmp_path, watch=0.01)
    two(Remote(ctx, user(ctx)))
    settle(ctx)
    settle(ctx)
    assert live(ctx) == {2: UP}


def test_a_rollback_starts_what_is_kept_again(ctx: Context, ada: User, remote: Remote) -> None:
    two(remote)
    kept = next(one.id for one in ctx.runtime.instances() if one.generation == 1)
    releases.roll_back(ctx, ada, "hello")
    drain(ctx)
    assert routed(ctx) == ["v1-web-1-g1"]
    assert kept in {one.id for one in ctx.runtime.instances()}
    assert releases.list_releases(ctx, ada, "hello")[0].number == 3
    (web,) = processes.list_processes(ctx, ada, "hello")[:1]
    assert [one.name for one in web.instances] == ["web.1"]
    remote.push({**APP, "app.py": "print('four')\n"})
    assert routed(ctx) == ["v4-web-1-g3"]
    assert live(ctx) == {1: RESTING, 3: UP}
    releases.roll_back(ctx, ada, "hello", 3)
    drain(ctx)
    assert routed(ctx) == ["v1-web-1-g1"]


def test_a_stopped_app_keeps_nothing(ctx: Context, ada: User, remote: Remote) -> None:
    two(remote)
    processes.stop(ctx, ada, "hello")
    drain(ctx)
    assert live(ctx) == {}


class Proxy:
    """Counters as the proxy would show them, over a clock of the test's."""

    def __init__(self, ctx: Context) -> None:
        self.ctx, self.moment = ctx, 0.0
        self.counts: dict[str, list[int]] = {}
        self.traffic, self.watched = Traffic(self.clock), dict[str, Watched]()
        self.app = ctx.runtime.instances()[0].app

    def clock(self) -> float:
        return self.moment

    def serve(self, seconds: int, target: str, rate: int, bad: Callable[[int], bool]) -> None:
        """`rate` requests a second to a target; `bad` says of each second's whether half of them fail."""
        for second in range(seconds):
            self.moment += 1
            one = self.counts.setdefault(target, [0, 0])
            one[0] += rate
            one[1] += rate // 2 if bad(second) else 0
            self.look()

    def look(self) -> None:
        stats = [TargetStats(self.app, name, 0, *counts) for name, counts in self.counts.items()]
        self.ctx.proxy.stats = lambda: stats  # type: ignore[method-assign]
        self.watched = watch.once(self.ctx, self.traffic, self.watched, self.clock)


def never(second: int) -> bool:
    return False


def watched(ctx: Context, remote: Remote, old: Callable[[int], bool] = never) -> Proxy:
    """An app whose second release has just become current, with traffic on the first."""
    remote.push(APP)
    proxy = Proxy(ctx)
    proxy.serve(60, "v1-web-1-g1", 50, old)
    remote.push({**APP, "app.py": "print('two')\n"})
    proxy.look()
    return proxy


def test_a_release_that_fails_half_its_requests_is_taken_back(ctx: Context, ada: User, remote: Remote) -> None:
    proxy = watched(ctx, remote)
    proxy.serve(30, "v2-web-1-g2", 50, lambda second: True)
    drain(ctx)
    newest, bad, _ = releases.list_releases(ctx, ada, "hello")
    assert bad.trouble == newest.description.removeprefix("Automatic rollback to v1: ")
    assert bad.trouble and bad.trouble.startswith("50.0% of its answers were 5xx (") and "v1 had 0.0%" in bad.trouble
    assert routed(ctx) == ["v1-web-1-g1"] and live(ctx) == {1: UP}


@pytest.mark.parametrize(
    ("what", "seconds", "rate", "bad"),
    [
        ("fails in its first eight seconds", 60, 50, lambda second: second < 8),
        ("is well", 60, 50, never),
        ("has too few requests", 60, 1, lambda second: True),
    ],
)
def test_a_release_that_warms_up_stays(
    ctx: Context, ada: User, remote: Remote, what: str, seconds: int, rate: int, bad: Callable[[int], bool]
) -> None:
    proxy = watched(ctx, remote)
    proxy.serve(seconds, "v2-web-1-g2", rate, bad)
    drain(ctx)
    assert [one.number for one in releases.list_releases(ctx, ada, "hello")] == [2, 1], what


def test_a_release_no_worse_than_the_one_before_stays(ctx: Context, ada: User, remote: Remote) -> None:
    proxy = watched(ctx, remote, lambda second: True)
    proxy.serve(60, "v2-web-1-g2", 50, lambda second: True)
    drain(ctx)
    assert len(releases.list_releases(ctx, ada, "hello")) == 2


def test_a_crash_loop_is_taken_back_at_once(ctx: Context, ada: User, remote: Remote) -> None:
    proxy = watched(ctx, remote)
    (one,) = [found.id for found in ctx.runtime.instances() if found.generation == 2]
    proxy.look()
    for _ in range(3):
        ctx.runtime.crash(one)  # type: ignore[attr-defined]
        proxy.look()
    drain(ctx)
    newest, bad, _ = releases.list_releases(ctx, ada, "hello")
    assert bad.trouble == "web.1 was restarted 3 times"
    assert newest.description == "Automatic rollback to v1: web.1 was restarted 3 times"
    assert len(releases.list_releases(ctx, ada, "hello")) == 3


def test_whoever_pushes_meanwhile_has_the_last_word(ctx: Context, ada: User, remote: Remote) -> None:
    proxy = watched(ctx, remote)
    newer, _ = remote.push({**APP, "app.py": "print('three')\n"}, work=False)
    proxy.serve(30, "v2-web-1-g2", 50, lambda second: True)
    drain(ctx)
    assert newer is not None
    assert [one.number for one in releases.list_releases(ctx, ada, "hello")] == [3, 2, 1]
    assert routed(ctx) == ["v3-web-1-g3"]


def test_traffic_of_the_last_minutes_counts_what_grew(ctx: Context) -> None:
    clock = [0.0]
    traffic = Traffic(lambda: clock[0])
    for moment, requests in ((0, 1000), (100, 1100), (400, 1400)):
        clock[0] = moment
        traffic.note([TargetStats("a", "v1-web-1-g1", 0, requests, requests // 10)])
    assert traffic.lately("a", lambda name: True) == Counts(300, 30)
    clock[0] = 500
    traffic.note([TargetStats("a", "v2-web-1-g2", 0, 50, 0)])
    assert traffic.lately("a", lambda name: name.endswith("-g2")) == Counts(50, 0)
    assert traffic.lately("b", lambda name: True) == Counts()


def test_a_proxy_that_starts_anew_is_no_misbehaviour(ctx: Context, ada: User, remote: Remote) -> None:
    proxy = watched(ctx, remote)
    proxy.serve(15, "v2-web-1-g2", 50, never)
    proxy.counts = {"v1-web-1-g1": [50, 11], "v2-web-1-g2": [0, 0]}
    proxy.serve(30, "v2-web-1-g2", 50, never)
    drain(ctx)
    assert len(releases.list_releases(ctx, ada, "hello")) == 2
    assert since(Counts(50, 11), Counts(150, 0)) == Counts(50, 11)


def test_a_restart_does_not_end_the_watch(ctx: Context, ada: User, remote: Remote) -> None:
    two(remote)
    processes.restart(ctx, ada, "hello")
    drain(ctx)
    assert live(ctx)[1] == RESTING
