"""Jobs that are cancelled, and jobs whose server dies while another one shares the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from control import builds, configvars, heartbeat, push, queue, releases, worker
from control.context import Context
from control.heartbeat import Watch
from control.lease import Fenced, Lease
from control.places import next_one
from control.values import User
from core.errors import Cancelled, Conflict, Invalid
from models import Job
from tests.factories import APP, Remote, context, drain, elsewhere, job, said, settle, started, user
from tests.misbehaving import Slow
from tests.waiting import until


@pytest.fixture
def ctx(tmp_path: Path) -> Iterator[Context]:
    made = context(tmp_path, start_timeout=30)
    yield made
    made.db.close()


@pytest.fixture
def ada(ctx: Context) -> User:
    return user(ctx)


@pytest.fixture
def remote(ctx: Context, ada: User) -> Remote:
    return Remote(ctx, ada)


STUCK = {
    "a build": {**APP, "HANG_BUILD": ""},
    "a release command": {**APP, "Procfile": "web: python app.py\nrelease: sleep 30\n"},
    "the waiting for health": {**APP, "app.py": "deaf"},
}
REACHED = {
    "a build": "Building in memory",
    "a release command": "Running release command",
    "the waiting for health": "Starting web",
}


@pytest.mark.parametrize("what", STUCK)
def test_cancelling_ends_what_is_in_flight_and_changes_nothing(
    ctx: Context, ada: User, remote: Remote, what: str
) -> None:
    remote.push(APP)
    tip = remote.tip()
    if what == "the waiting for health":
        configvars.change(ctx, ada, "hello", {"MISBEHAVE": "deaf"}, restart=False)
    pushed, _ = remote.push(STUCK[what], work=False)
    assert pushed is not None
    _, thread = started(ctx)
    until(lambda: REACHED[what] in said(ctx, pushed.id))
    builds.cancel(ctx, ada, "hello")
    thread.join(2)
    assert not thread.is_alive()
    assert job(ctx, pushed.id).state == "cancelled"
    assert " !     cancelled by ada" in said(ctx, pushed.id)
    settle(ctx)
    assert remote.tip() == tip
    assert [(one.process, one.release) for one in ctx.runtime.instances()] == [("web", 1)]
    with pytest.raises(Conflict, match="nothing of hello is in flight"):
        builds.cancel(ctx, ada, "hello")


def test_a_cancelled_build_says_so(ctx: Context, ada: User, remote: Remote) -> None:
    pushed, _ = remote.push(STUCK["a build"], work=False)
    assert pushed is not None
    _, thread = started(ctx)
    until(lambda: ctx.images.running)  # type: ignore[attr-defined]
    builds.cancel(ctx, ada, "hello", 1)
    thread.join(2)
    found = builds.info(ctx, ada, "hello", 1)
    assert (found.state, found.reason, found.job) == ("cancelled", "cancelled", pushed.id)
    assert job(ctx, pushed.id).verdict["exit_code"] == 6  # type: ignore[index]


def test_a_job_that_waits_is_cancelled_at_once_and_its_branch_goes_back(
    ctx: Context, ada: User, remote: Remote
) -> None:
    remote.push(APP)
    tip = remote.tip()
    pushed, _ = remote.push({**APP, "app.py": "2"}, work=False)
    assert pushed is not None
    assert builds.cancel(ctx, ada, "hello", 2).state == "cancelled"
    assert builds.info(ctx, ada, "hello", 2).state == "cancelled"
    settle(ctx)
    assert remote.tip() == tip and queue.claim(ctx) is None


def test_somebody_on_another_server_cancels_with_the_next_beat(ctx: Context, ada: User, remote: Remote) -> None:
    pushed, _ = remote.push(STUCK["a build"], work=False)
    assert pushed is not None
    _, thread = started(ctx)
    until(lambda: ctx.images.running)  # type: ignore[attr-defined]
    builds.cancel(elsewhere(ctx), ada, "hello")
    assert thread.is_alive()
    heartbeat.beat(ctx)
    thread.join(2)
    assert job(ctx, pushed.id).state == "cancelled"


def test_a_client_that_vanishes_cancels_when_it_asked_for_that(ctx: Context, ada: User, remote: Remote) -> None:
    entry = push.begin(ctx, ada, "hello")
    change = remote.commit(entry.path, APP)
    push.policy(ctx, entry, [change], {}, ["cancel-on-disconnect"])
    pushed = push.announce(ctx, entry, [change])
    assert pushed is not None
    push.settle(ctx, entry, gone=True)
    assert job(ctx, pushed.id).state == "cancelled"


def test_the_older_of_two_waiting_pushes_and_the_newer_say_what_happened(
    ctx: Context, ada: User, remote: Remote
) -> None:
    remote.push(APP)
    older, _ = remote.push({**APP, "app.py": "2"}, work=False)
    newer, _ = remote.push({**APP, "app.py": "3"}, work=False)
    assert older and newer
    assert "superseded by build 3" in said(ctx, older.id)
    assert "-----> Supersedes build 2" in said(ctx, newer.id)
    assert builds.info(ctx, ada, "hello", 2).reason == "superseded"


def test_a_dead_servers_job_is_taken_over_when_its_beat_stands_still(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    pushed, _ = remote.push({**APP, "app.py": "2"}, work=False)
    assert pushed is not None
    claimed = queue.claim(ctx)
    assert claimed is not None
    dead = worker.held(ctx, claimed)
    clock = [0.0]
    other, watch = elsewhere(ctx), Watch(lambda: clock[0])
    assert heartbeat.take_over(other, watch)
    clock[0] = ctx.settings.lease - 1
    heartbeat.beat(ctx)
    assert heartbeat.take_over(other, watch), "it has just beaten"
    clock[0] += ctx.settings.lease - 1
    assert heartbeat.take_over(other, watch)
    clock[0] += 2
    assert not heartbeat.take_over(other, watch)
    drain(other)
    assert job(ctx, pushed.id).state == "succeeded"
    with pytest.raises(Fenced):
        dead.check()
    worker.work(dead, claimed)
    settle(ctx)
    assert [(one.process, one.release) for one in ctx.runtime.instances()] == [("web", 2)]
    assert [one.number for one in releases.list_releases(ctx, ada, "hello")] == [2, 1]


def test_a_fenced_server_in_mid_deploy_does_no_more(ctx: Context, remote: Remote) -> None:
    remote.push(APP)
    pushed, _ = remote.push({**APP, "app.py": "2"}, work=False)
    assert pushed is not None
    slow = Slow(ctx.runtime)
    claimed, thread = started(replace(ctx, runtime=slow))
    assert slow.reached.wait(10)
    with ctx.db.begin() as session:
        session.get_one(Job, claimed.id).state = "pending"
    drain(elsewhere(ctx))
    slow.go.set()
    thread.join(5)
    assert not thread.is_alive()
    settle(ctx)
    settle(ctx)  # what reconcile let go has gone by then
    assert job(ctx, pushed.id).state == "succeeded"
    assert [(one.process, one.release, one.generation) for one in ctx.runtime.instances()] == [("web", 2, 3)]
    assert [target.name for route in ctx.proxy.routes() for target in route.targets] == ["v2-web-1-g3"]


def test_a_lease_calls_each_interrupt_once_even_late(ctx: Context, remote: Remote) -> None:
    remote.push(APP, work=False)
    claimed = queue.claim(ctx)
    assert claimed is not None
    lease, calls = Lease(ctx.db, claimed), []
    with lease.interrupted_by(lambda: calls.append("early")):
        lease.cancel("ada")
        lease.cancel("bob")
    with lease.interrupted_by(lambda: calls.append("late")):
        pass
    assert calls == ["early", "late"]
    with pytest.raises(Cancelled, match="cancelled by ada"):
        lease.check()


def test_a_user_cannot_fill_the_line(tmp_path: Path) -> None:
    ctx = context(tmp_path, queue_limit=2)
    ada, bob = user(ctx), user(ctx, "bob")
    Remote(ctx, ada).push(APP)
    for value in ("1", "2"):
        configvars.change(ctx, ada, "hello", {"A": value})
    with pytest.raises(Conflict, match="2 jobs of yours are waiting"):
        configvars.change(ctx, ada, "hello", {"A": "3"})
    _, rejected = Remote(ctx, bob, "other").push(APP)
    assert rejected == {}
    ctx.db.close()


def test_a_push_over_the_limit_moves_its_branch_back(tmp_path: Path) -> None:
    ctx = context(tmp_path, queue_limit=1)
    ada = user(ctx)
    remote = Remote(ctx, ada)
    remote.push(APP)
    tip = remote.tip()
    configvars.change(ctx, ada, "hello", {"A": "1"})
    with pytest.raises(Conflict, match="jobs of yours are waiting"):
        remote.push({**APP, "app.py": "2"}, work=False)
    assert remote.tip() == tip
    ctx.db.close()


def test_places_go_to_whoever_has_the_fewest_builds_then_to_the_first() -> None:
    waiting = [("b1", "ada", 1), ("b2", "ada", 2), ("b3", "bob", 3)]
    assert next_one(waiting, Counter()) == "b1"
    assert next_one(waiting, Counter({"ada": 1})) == "b3"
    assert next_one(waiting, Counter({"ada": 1, "bob": 1})) == "b1"
    assert next_one([], Counter()) is None


def test_builds_wait_for_a_place_and_one_that_is_cancelled_leaves_it(tmp_path: Path) -> None:
    ctx = context(tmp_path, builds=1)
    ada = user(ctx)
    first, _ = Remote(ctx, ada, "first").push({**APP, "HANG_BUILD": ""}, work=False)
    second, _ = Remote(ctx, ada, "second").push(APP, work=False)
    assert first and second
    threads = [started(ctx)[1]]
    until(lambda: ctx.images.running)  # type: ignore[attr-defined]
    threads.append(started(ctx)[1])
    until(lambda: "Waiting for other builds on this machine" in said(ctx, second.id))
    builds.cancel(ctx, ada, "first")
    for thread in threads:
        thread.join(5)
    assert [job(ctx, one.id).state for one in (first, second)] == ["cancelled", "succeeded"]
    ctx.db.close()


def test_the_plan_says_what_would_happen_and_changes_nothing(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    entry = push.begin(ctx, ada, "hello")
    change = remote.commit(entry.path, {**APP, "Procfile": "web: python app.py\nrelease: echo migrate\n"})
    push.policy(ctx, entry, [change], {}, ["plan"])
    words = "\n".join(push.rehearse(ctx, entry, {}))
    push.settle(ctx, entry)
    assert "-----> Would run release command: echo migrate" in words
    assert "web: python app.py" in words and "Nothing has been changed" in words
    assert len(builds.list_builds(ctx, ada, "hello")) == 1


def test_an_unknown_push_option_is_refused_with_those_there_are(ctx: Context, ada: User, remote: Remote) -> None:
    with pytest.raises(Invalid, match="no push option 'detatch'") as refused:
        remote.push(APP, options=["detatch"])
    assert "git push -o detach" in refused.value.hint


def test_nocache_builds_anew_what_has_not_changed(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    remote.push(APP, options=["nocache"])
    assert [request.use_cache for request in ctx.images.requests] == [True, False]  # type: ignore[attr-defined]
