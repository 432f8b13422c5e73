"""What dies, fails or is overtaken in the middle, and goes on or goes back all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from control import apps, builds, configvars, heartbeat, push, queue, reconcile, releases, worker
from control.context import Context
from control.heartbeat import Watch
from control.progress import Progress
from control.values import User
from core.errors import NotFound, StepFailed
from models import Build, Job
from tests.factories import APP, Remote, context, drain, elsewhere, git, job, said, settle, started, user
from tests.misbehaving import Crashing
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


def test_a_build_that_failed_without_a_verdict_is_tried_again(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    pushed, _ = remote.push({**APP, "FAIL_BUILD": "out of luck"}, work=False)
    assert pushed is not None
    claimed = queue.claim(ctx)
    assert claimed is not None
    builds.fail(ctx, builds.of_job(ctx, claimed), StepFailed("out of luck"), Progress(print))
    heartbeat.take_over(ctx, Watch())
    drain(ctx)
    assert job(ctx, pushed.id).state == "failed"
    assert [one.state for one in builds.list_builds(ctx, ada, "hello")] == ["failed", "failed", "succeeded"]


def test_a_dead_build_that_waits_for_a_place_is_in_nobodys_way(tmp_path: Path) -> None:
    ctx = context(tmp_path, builds=1)
    ada = user(ctx)
    stuck, _ = Remote(ctx, ada, "stuck").push(APP, work=False)
    assert stuck is not None
    with ctx.db.begin() as session:
        row = session.get_one(Job, stuck.id)
        row.state = "failed"
        session.get_one(Build, row.build_id).waiting = True
    _, rejected = Remote(ctx, ada, "other").push(APP)
    assert rejected == {}
    settle(ctx)
    assert builds.info(ctx, ada, "stuck").reason == "interrupted"
    ctx.db.close()


def test_a_destruction_that_failed_half_way_goes_on(
    ctx: Context, ada: User, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.push(APP)
    gone = apps.destroy(ctx, ada, "hello")
    claimed = queue.claim(ctx)
    assert claimed is not None
    worker.work(worker.held(replace(ctx, runtime=Crashing(ctx.runtime, "remove")), claimed), claimed)
    assert job(ctx, gone.id).state == "failed"
    with pytest.raises(NotFound):
        apps.info(ctx, ada, "hello")
    monkeypatch.setattr(reconcile, "AGAIN", timedelta(0))
    settle(ctx)
    drain(ctx)
    assert ctx.runtime.instances() == [] and remote.push(APP)[1] == {}


def test_jobs_of_an_app_are_claimed_in_the_order_of_arrival_only(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    configvars.change(ctx, ada, "hello", {"A": "1"})
    configvars.change(ctx, ada, "hello", {"A": "2"})
    first = queue.claim(ctx)
    assert first is not None and queue.claim(elsewhere(ctx)) is None


def test_a_rollback_during_the_drain_starts_new_instances(tmp_path: Path) -> None:
    ctx = context(tmp_path, watch=120, drain_timeout=5)
    ada = user(ctx)
    remote = Remote(ctx, ada)
    remote.push(APP)
    (one,) = ctx.runtime.instances()
    target = ctx.proxy.routes()[0].targets[0].name
    ctx.proxy.sessions[one.app, target] = 1  # type: ignore[attr-defined]
    remote.push({**APP, "app.py": "2"}, work=False)
    worker.work(worker.held(ctx, queue.claim(ctx)), job(ctx, 2))  # type: ignore[arg-type]
    releases.roll_back(ctx, ada, "hello")
    worker.work(worker.held(ctx, queue.claim(ctx)), job(ctx, 3))  # type: ignore[arg-type]
    ctx.proxy.sessions.clear()  # type: ignore[attr-defined]
    settle(ctx)
    settle(ctx)
    up = [found.generation for found in ctx.runtime.instances() if found.state == "up"]
    assert up == [3] and [found.name for found in ctx.proxy.routes()[0].targets] == ["v3-web-1-g3"]
    ctx.db.close()


def test_config_of_an_older_release_is_kept_out_of_the_log_of_a_restart(
    ctx: Context, ada: User, remote: Remote
) -> None:
    remote.push({**APP, "Procfile": "web: python app.py\nrelease: echo canary-one\n"})
    configvars.change(ctx, ada, "hello", {"TOKEN": "canary-one"})
    drain(ctx)
    configvars.change(ctx, ada, "hello", {"TOKEN": "canary-two"}, restart=False)
    again = releases.roll_back(ctx, ada, "hello", 1)
    drain(ctx)
    back = releases.roll_back(ctx, ada, "hello", 2)
    drain(ctx)
    assert "canary-one" in said(ctx, again.id) and "canary-one" not in said(ctx, back.id)


def test_of_two_hooks_the_later_one_may_be_the_older_pushs(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    older, newer = push.begin(ctx, ada, "hello"), push.begin(ctx, ada, "hello")
    changes = []
    for entry, text in ((older, "2"), (newer, "3")):
        change = remote.commit(entry.path, {**APP, "app.py": text})
        push.policy(ctx, entry, [change], {})
        git(entry.path, "update-ref", change.name, change.new)
        changes.append(change)
    second = push.announce(ctx, newer, [changes[1]])
    first = push.announce(ctx, older, [changes[0]])
    assert first and second
    drain(ctx)
    assert (job(ctx, first.id).state, job(ctx, second.id).state) == ("cancelled", "succeeded")
    assert remote.tip() == changes[1].new


def test_a_branch_that_somebody_is_pushing_to_is_left_alone(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    remote.push({**APP, "FAIL_BUILD": "the registry is away"})
    entry = push.begin(ctx, ada, "hello")
    change = remote.commit(entry.path, {**APP, "app.py": "2"})
    push.policy(ctx, entry, [change], {})
    git(entry.path, "update-ref", change.name, change.new)
    reconcile.once(ctx, {})
    assert remote.tip() == change.new and len(builds.list_builds(ctx, ada, "hello")) == 2
    pushed = push.announce(ctx, entry, [change])
    push.settle(ctx, entry)
    drain(ctx)
    assert pushed is not None and job(ctx, pushed.id).state == "succeeded"


def test_a_job_cancelled_while_nobody_held_it_ends_when_it_is_taken_up(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    configvars.change(ctx, ada, "hello", {"A": "1"})
    claimed = queue.claim(ctx)
    assert claimed is not None
    queue.cancel(ctx, ada, claimed.id)
    heartbeat.take_over(ctx, Watch())
    drain(ctx)
    assert job(ctx, claimed.id).state == "cancelled" and len(releases.list_releases(ctx, ada, "hello")) == 1


def test_a_push_that_fails_leaves_the_config_vars_as_they_were(ctx: Context, ada: User, remote: Remote) -> None:
    asked = '{"env": {"DB": "%s", "KEY": {"generator": "secret"}}}'
    remote.push({**APP, "app.json": asked % "typo", "FAIL_BUILD": "no such host"})
    assert configvars.show(ctx, ada, "hello") == {}
    remote.push({**APP, "app.json": asked % "right"})
    assert configvars.show(ctx, ada, "hello")["DB"] == "right"
    assert len(configvars.show(ctx, ada, "hello")["KEY"]) == 64


def test_a_log_without_end_is_cut_and_its_verdict_is_not(ctx: Context) -> None:
    for _ in range(400):
        ctx.journal.write(1, "x" * 60_000)
    ctx.journal.write(1, " !     it went wrong")
    assert ctx.journal.path(1).stat().st_size < 11 << 20
    lines = "\n".join(every(ctx, 1))
    assert "only its steps and errors are kept" in lines and lines.endswith(" !     it went wrong")


def every(ctx: Context, job_id: int) -> list[str]:
    found: list[str] = []
    offset = 0
    while read := ctx.journal.read(job_id, offset)[0]:
        found, offset = found + read, ctx.journal.read(job_id, offset)[1]
    return found


def test_a_server_that_stops_leaves_its_jobs_to_the_next_one(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    configvars.change(ctx, ada, "hello", {"MISBEHAVE": "deaf"}, restart=False)
    pushed, _ = remote.push({**APP, "app.py": "2"}, work=False)
    assert pushed is not None
    claimed, thread = started(ctx)
    until(lambda: "Starting web" in said(ctx, pushed.id))
    ctx.leases[claimed.id].abandon()
    thread.join(2)
    assert not thread.is_alive() and job(ctx, pushed.id).state == "running"
    heartbeat.take_over(ctx, Watch())
    assert job(ctx, pushed.id).state == "pending"
