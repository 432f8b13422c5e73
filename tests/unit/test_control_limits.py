"""Limits and locks, on the memory adapters."""

from __future__ import annotations

from pathlib import Path

import pytest

from control import apps, configvars, deployments, limits, processes, releases
from control.context import Context
from control.limits import machine_memory
from control.values import User
from core.errors import Denied, Invalid, NotFound
from tests.factories import APP, Remote, context, drain, job, user

MB = 1 << 20


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return context(tmp_path)


@pytest.fixture
def ada(ctx: Context) -> User:
    return user(ctx)


@pytest.fixture
def remote(ctx: Context, ada: User) -> Remote:
    return Remote(ctx, ada)


def memory(ctx: Context) -> dict[str, int]:
    """Megabytes of each instance that runs, by its name."""
    return {one.name: one.memory // MB for one in ctx.runtime.instances()}


def test_a_limit_replaces_the_instances_of_its_process_type(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    processes.scale(ctx, ada, "hello", {"worker": 1})
    drain(ctx)
    before = {one.id for one in ctx.runtime.instances()}
    done = limits.change(ctx, ada, "hello", "worker", {"memory": 64 * MB})
    drain(ctx)
    assert done is not None and job(ctx, done.id).state == "succeeded"
    assert memory(ctx) == {"web.1": 512, "worker.1": 64}
    assert before.isdisjoint({one.id for one in ctx.runtime.instances()})


def test_limits_outlive_scaling_and_deploys(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    limits.change(ctx, ada, "hello", "web", {"memory": 64 * MB, "cpus": 0.5})
    processes.scale(ctx, ada, "hello", {"web": 2})
    remote.push({**APP, "app.py": "2"})
    assert memory(ctx) == {"web.1": 64, "web.2": 64}
    web = next(one for one in limits.show(ctx, ada, "hello") if one.process == "web")
    assert (web.memory, web.cpus, web.pids, web.chosen) == (64 * MB, 0.5, 512, ("memory", "cpus"))
    limits.change(ctx, ada, "hello", "web", {"memory": None})
    drain(ctx)
    assert memory(ctx) == {"web.1": 512, "web.2": 512}


def test_before_the_first_deploy_a_limit_of_any_name_waits_for_it(ctx: Context, ada: User, remote: Remote) -> None:
    apps.create(ctx, ada, "hello")
    assert limits.change(ctx, ada, "hello", "web", {"memory": 64 * MB}) is None
    assert limits.change(ctx, ada, "hello", "later", {"pids": 20}) is None
    remote.push(APP)
    assert memory(ctx) == {"web.1": 64}
    with pytest.raises(NotFound, match="no process type 'nope'") as told:
        limits.change(ctx, ada, "hello", "nope", {"pids": 20})
    assert told.value.hint == "It has: web, worker."


def test_the_same_limit_again_and_one_of_a_stopped_app_restart_nothing(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    assert limits.change(ctx, ada, "hello", "web", {"memory": 64 * MB}) is not None
    assert limits.change(ctx, ada, "hello", "web", {"memory": 64 * MB}) is None
    processes.stop(ctx, ada, "hello")
    drain(ctx)
    assert limits.change(ctx, ada, "hello", "web", {"memory": 128 * MB}) is None
    assert memory(ctx) == {}
    processes.start(ctx, ada, "hello")
    drain(ctx)
    assert memory(ctx) == {"web.1": 128}


@pytest.mark.parametrize(
    ("name", "amount"),
    [("memory", 6 * MB - 1), ("memory", machine_memory() + 1), ("cpus", 0.04), ("cpus", 1e4), ("pids", 9)],
)
def test_what_the_machine_cannot_give_is_refused(
    ctx: Context, ada: User, remote: Remote, name: str, amount: float
) -> None:
    remote.push(APP)
    with pytest.raises(Invalid, match=f"{name}=.* is not possible"):
        limits.change(ctx, ada, "hello", "web", {name: amount})


def test_one_offs_have_limits_of_their_own_or_the_settings(ctx: Context, ada: User, remote: Remote) -> None:
    apps.create(ctx, ada, "hello")
    limits.change(ctx, ada, "hello", "web", {"memory": 64 * MB})
    limits.change(ctx, ada, "hello", "release", {"memory": 128 * MB})
    remote.push({**APP, "Procfile": "web: python app.py\nrelease: echo migrating\n"})
    assert [one.limits.memory // MB for one in ctx.runtime.ran] == [128]  # type: ignore[attr-defined]
    assert limits.change(ctx, ada, "hello", "run", {"pids": 20}) is None


def test_an_instance_out_of_memory_is_told_with_its_limit_and_the_command(
    ctx: Context, ada: User, remote: Remote
) -> None:
    configvars.change(ctx, ada, apps.create(ctx, ada, "hello").name, {"MISBEHAVE": "oom"})
    done, _ = remote.push(APP)
    assert done is not None
    verdict = job(ctx, done.id).verdict
    assert verdict is not None
    assert verdict["message"] == "web.1 ran out of memory while starting (512 MB allowed)"
    assert verdict["hint"] == "Allow it more: ssh paas limits:set hello memory=1g"
    assert limits.remedy("hello", "worker", 300 * MB) == "ssh paas limits:set hello -p worker memory=600m"


def test_a_locked_app_takes_no_push_and_says_who_locked_it_and_why(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    tip = remote.tip()
    locked = apps.lock(ctx, ada, "hello", "database migration tonight")
    assert (locked.locked, locked.locked_by) == ("database migration tonight", "ada")
    with pytest.raises(Denied) as told:
        remote.push({**APP, "app.py": "2"})
    assert told.value.lines() == ["hello is locked by ada: database migration tonight", "ssh paas apps:unlock hello"]
    assert remote.tip() == tip
    assert apps.unlock(ctx, ada, "hello").locked is None
    assert remote.push({**APP, "app.py": "2"})[1] == {}


def test_a_lock_without_a_reason_leaves_all_but_pushes_possible(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    apps.lock(ctx, ada, "hello")
    with pytest.raises(Denied, match=r"^hello is locked by ada$"):
        remote.push({**APP, "app.py": "2"})
    deployments.redeploy(ctx, ada, "hello")
    configvars.change(ctx, ada, "hello", {"A": "1"})
    drain(ctx)
    processes.scale(ctx, ada, "hello", {"worker": 1})
    drain(ctx)
    releases.roll_back(ctx, ada, "hello", 1)
    drain(ctx)
    assert apps.info(ctx, ada, "hello").release == 4
    assert sorted(memory(ctx)) == ["web.1", "worker.1"]
