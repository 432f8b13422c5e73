"""Instances that hang are replaced, where app.json has a liveness check."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from control import liveness, processes
from control.context import Context
from control.liveness import Ward, Watched
from control.values import User
from models import AuditEntry
from tests.factories import APP, Remote, context, drain, user

CHECK = {"type": "liveness", "path": "/live", "attempts": 2, "wait": 10, "initialDelay": 3}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return context(tmp_path)


@pytest.fixture
def ada(ctx: Context) -> User:
    return user(ctx)


@pytest.fixture
def remote(ctx: Context, ada: User) -> Remote:
    return Remote(ctx, ada)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def live_checked(**check: Any) -> dict[str, str]:
    return {**APP, "app.json": json.dumps({"healthchecks": {"web": [{**CHECK, **check}]}})}


def turn(ctx: Context, answer: str) -> None:
    """Let every instance answer with this status from now on."""
    for record in ctx.runtime.records.values():  # type: ignore[attr-defined]
        record.env = {**record.env, "MISBEHAVE": answer}


def look(ctx: Context, ward: Ward) -> list[Watched]:
    return liveness.look(ctx, ward, Event())


def test_an_instance_is_dead_after_so_many_failures_in_a_row(ctx: Context, remote: Remote, clock: Clock) -> None:
    remote.push(live_checked())
    ward = Ward(clock)
    assert look(ctx, ward) == [] and ward.rest() == 3
    for at, answer, dead in (
        (3, "", 0),
        (13, "500", 0),
        (23, "200", 0),
        (33, "500", 0),
        (43, "500", 1),
        (53, "500", 0),
    ):
        clock.now = at
        turn(ctx, answer)
        assert len(look(ctx, ward)) == dead, at
        assert ward.rest() == 10


def test_nobody_is_asked_between_two_attempts(ctx: Context, remote: Remote, clock: Clock) -> None:
    remote.push(live_checked(initialDelay=0))
    ward = Ward(clock)
    look(ctx, ward)
    turn(ctx, "500")
    for _ in range(5):
        assert look(ctx, ward) == []


def test_an_instance_that_still_starts_is_left_alone(ctx: Context, remote: Remote, clock: Clock) -> None:
    slow = replace(ctx, settings=ctx.settings.model_copy(update={"start_timeout": 60}))
    remote.push(live_checked(initialDelay=0))
    turn(ctx, "500")
    ward = Ward(clock)
    for _ in range(5):
        assert look(slow, ward) == []
        clock.now += 10


def test_without_a_liveness_check_nothing_is_ever_due(ctx: Context, ada: User, remote: Remote, clock: Clock) -> None:
    remote.push(live_checked(type="readiness"))
    ward = Ward(clock)
    assert look(ctx, ward) == [] and ward.rest() is None
    remote.push(live_checked())
    look(ctx, ward)
    assert ward.rest() is not None
    processes.stop(ctx, ada, "hello")
    drain(ctx)
    assert look(ctx, ward) == [] and ward.rest() is None


def test_a_dead_instance_is_replaced_and_its_sister_is_not(
    ctx: Context, ada: User, remote: Remote, clock: Clock
) -> None:
    remote.push(live_checked(initialDelay=0, attempts=1))
    processes.scale(ctx, ada, "hello", {"web": 2})
    drain(ctx)
    ward = Ward(clock)
    look(ctx, ward)
    first, second = sorted(ctx.runtime.instances(), key=lambda one: one.number)
    ctx.runtime.records[first.id].env = {"MISBEHAVE": "mute"}  # type: ignore[attr-defined]
    clock.now = 10
    (dead,) = look(ctx, ward)
    assert dead.instance.id == first.id
    liveness.revive(ctx, dead)
    after = sorted(ctx.runtime.instances(), key=lambda one: one.number)
    assert [one.number for one in after] == [1, 2]
    assert after[0].id != first.id and after[1].id == second.id
    (route,) = ctx.proxy.routes()
    assert len(route.targets) == 2 and not route.draining
    with ctx.db.begin() as session:
        told = [one.detail for one in session.query(AuditEntry) if one.verb == "instance.dead"]
    assert told == [{"instance": "web.1", "check": "/live"}]


def test_an_app_that_a_job_waits_for_is_left_to_the_job(ctx: Context, ada: User, remote: Remote, clock: Clock) -> None:
    remote.push(live_checked(initialDelay=0, attempts=1))
    ward = Ward(clock)
    look(ctx, ward)
    turn(ctx, "500")
    clock.now = 10
    (dead,) = look(ctx, ward)
    processes.restart(ctx, ada, "hello")
    liveness.revive(ctx, dead)
    assert [one.id for one in ctx.runtime.instances()] == [dead.instance.id]
