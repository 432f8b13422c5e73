"""Scripts around a switch: predeploy, the release command, postdeploy."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from control import builds, configvars, heartbeat, processes, queue, releases, worker
from control.context import Context
from control.lease import Fenced
from control.values import User
from core.failpoints import FailPoints
from core.states import JobState
from tests.factories import APP, Remote, context, drain, job, settle, user
from tests.waiting import until


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return context(tmp_path, release_timeout=0.2)


@pytest.fixture
def ada(ctx: Context) -> User:
    return user(ctx)


@pytest.fixture
def remote(ctx: Context, ada: User) -> Remote:
    return Remote(ctx, ada)


@dataclass(frozen=True)
class Dying(FailPoints):
    """Ends whatever reaches the point `deadly`, as the death of its server would."""

    deadly: str = ""

    def __call__(self, point: str) -> None:
        if point == self.deadly:
            raise Fenced(point)


def scripted(predeploy: str = "", postdeploy: str = "", once: str = "", release: str = "") -> dict[str, str]:
    """The sample application with these scripts; `once` is Heroku's postdeploy."""
    scripts = {"postdeploy": once, "dokku": {"predeploy": predeploy, "postdeploy": postdeploy}}
    command = f"release: {release}\n" if release else ""
    return {**APP, "Procfile": APP["Procfile"] + command, "app.json": json.dumps({"scripts": scripts})}


def said(ctx: Context, job_id: int) -> str:
    return "\n".join(ctx.journal.read(job_id)[0])


def ran(ctx: Context) -> list[str]:
    """The lines of every one-off that was started."""
    return [one.command[2] for one in ctx.runtime.ran]  # type: ignore[attr-defined]


def live(ctx: Context) -> list[tuple[str, int]]:
    return sorted((one.process, one.release) for one in ctx.runtime.instances())


def test_predeploy_runs_before_the_release_command_and_postdeploy_when_it_is_live(
    ctx: Context, ada: User, remote: Remote
) -> None:
    done, rejected = remote.push(scripted("echo 1", "echo 4", "echo 3", release="echo 2"))
    assert done is not None and not rejected
    assert ran(ctx) == ["echo 1", "echo 2", "echo 3", "echo 4"]
    lines = [line for line in said(ctx, done.id).splitlines() if line.startswith(("-----> R", "-----> S", "=====>"))]
    assert [line[7:] for line in lines[:-1]] == [
        "Releasing v1",
        "Running predeploy script: echo 1",
        "Running release command: echo 2",
        "Starting web (1)",
        "Routing",
        "Running postdeploy script: echo 3",
        "Running postdeploy script: echo 4",
    ]
    assert lines[-1].startswith("=====> Live at")


def test_herokus_postdeploy_runs_once_and_dokkus_with_every_release(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push({**scripted("echo before", "echo after", "echo first"), "FAIL_BUILD": ""})
    remote.push(scripted("echo before", "echo after", "echo first"))
    configvars.change(ctx, ada, "hello", {"A": "1"})
    processes.restart(ctx, ada, "hello")
    drain(ctx)
    releases.roll_back(ctx, ada, "hello", 1)
    drain(ctx)
    assert ran(ctx) == ["echo before", "echo first", "echo after", *["echo before", "echo after"] * 2]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo no luck; exit 3", "the predeploy script exited with code 3"),
        ("sleep 30", "the command did not end within 0 s"),
    ],
)
def test_a_predeploy_that_fails_leaves_the_old_release_untouched(
    ctx: Context, ada: User, remote: Remote, script: str, reason: str
) -> None:
    remote.push(APP)
    tip, before = remote.tip(), {one.id for one in ctx.runtime.instances()}
    refused, rejected = remote.push(scripted(script))
    assert refused is not None and rejected == {"refs/heads/main": reason}
    settle(ctx)
    assert (remote.tip(), {one.id for one in ctx.runtime.instances()}) == (tip, before)
    assert [one.failed for one in releases.list_releases(ctx, ada, "hello")] == [True, False]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo no luck; exit 1", "postdeploy failed with exit code 1"),
        ("sleep 30", "postdeploy did not end well: the command did not end within 0 s"),
    ],
)
def test_a_postdeploy_that_fails_is_told_and_undoes_nothing(
    ctx: Context, ada: User, remote: Remote, script: str, reason: str
) -> None:
    remote.push(APP)
    done, rejected = remote.push(scripted(postdeploy=script))
    assert done is not None and not rejected
    verdict = job(ctx, done.id).verdict
    warning = f"{reason}; v2 is live all the same"
    assert verdict == {"ok": True, "url": "http://hello.localhost:8080", "release": 2, "warning": warning}
    assert f" !     {warning}" in said(ctx, done.id)
    assert live(ctx) == [("web", 2)]


def test_cancelling_ends_a_postdeploy_and_leaves_the_release_live(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    ada = user(ctx)
    remote = Remote(ctx, ada)
    pushed, _ = remote.push(scripted(postdeploy="sleep 30"), work=False)
    claimed = queue.claim(ctx)
    assert pushed is not None and claimed is not None
    thread = threading.Thread(target=worker.work, args=(worker.held(ctx, claimed), claimed))
    thread.start()
    until(lambda: ctx.runtime.ran)  # type: ignore[attr-defined]
    builds.cancel(ctx, ada, "hello")
    thread.join(2)
    assert not thread.is_alive()
    assert job(ctx, pushed.id).state == "succeeded" and live(ctx) == [("web", 1)]
    assert "postdeploy did not end well: cancelled by ada; v1 is live all the same" in said(ctx, pushed.id)
    ctx.db.close()


@pytest.mark.parametrize(("point", "cut_short"), [("deploy.committed", False), ("once.ended", True)])
def test_a_postdeploy_whose_server_died_runs_at_the_most_once(
    ctx: Context, ada: User, remote: Remote, point: str, cut_short: bool
) -> None:
    pushed, _ = remote.push(scripted(postdeploy="echo after"), work=False)
    claimed = queue.claim(ctx)
    assert pushed is not None and claimed is not None
    worker.work(worker.held(replace(ctx, fail=Dying(deadly=point)), claimed), claimed)
    assert job(ctx, pushed.id).state == JobState.RUNNING
    heartbeat.take_over(ctx, heartbeat.Watch())
    drain(ctx)
    assert job(ctx, pushed.id).state == JobState.SUCCEEDED
    assert ran(ctx) == ["echo after"] and live(ctx) == [("web", 1)]
    assert ("postdeploy was cut short" in said(ctx, pushed.id)) == cut_short
