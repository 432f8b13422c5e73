"""The flow of a push, on the memory adapters."""

from __future__ import annotations

from pathlib import Path

import pytest

from control import apps, builds, configvars, deployments, heartbeat, processes, push, queue, releases
from control.context import Context
from control.push import judge
from control.values import Ref, User
from core.errors import Conflict, Denied, Invalid, NotFound
from core.failpoints import FailPoints
from tests.factories import APP, ZERO, Remote, context, drain, git, job, settle, user


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return context(tmp_path)


@pytest.fixture
def ada(ctx: Context) -> User:
    return user(ctx)


@pytest.fixture
def remote(ctx: Context, ada: User) -> Remote:
    return Remote(ctx, ada)


def live(ctx: Context) -> list[tuple[str, int, int]]:
    """(process, release, number) of everything that runs."""
    return sorted((one.process, one.release, one.number) for one in ctx.runtime.instances())


def routed(ctx: Context) -> list[str]:
    return [target.name for route in ctx.proxy.routes() for target in route.targets]


def log(ctx: Context, job_id: int) -> str:
    return "\n".join(ctx.journal.read(job_id)[0])


def test_a_first_push_creates_the_app_and_goes_live(ctx: Context, ada: User, remote: Remote) -> None:
    done, rejected = remote.push(APP)
    assert done is not None and rejected == {}
    assert job(ctx, done.id).verdict == {"ok": True, "url": "http://hello.localhost:8080", "release": 1}
    assert live(ctx) == [("web", 1, 1)]
    assert routed(ctx) == ["v1-web-1-g1"]
    app = apps.info(ctx, ada, "hello")
    assert (app.branch, app.release) == ("main", 1)
    assert "=====> Live at http://hello.localhost:8080 (v1, " in log(ctx, done.id)


def test_a_second_push_replaces_the_first(ctx: Context, remote: Remote) -> None:
    remote.push(APP)
    remote.push({**APP, "app.py": "print('two')\n"})
    assert live(ctx) == [("web", 2, 1)]
    assert routed(ctx) == ["v2-web-1-g2"]


@pytest.mark.parametrize("fault", ["crash", "deaf", "500"])
def test_a_broken_push_changes_nothing(ctx: Context, ada: User, remote: Remote, fault: str) -> None:
    remote.push(APP)
    tip, before = remote.tip(), (live(ctx), routed(ctx), ctx.images.images())
    configvars.change(ctx, ada, "hello", {"MISBEHAVE": fault}, restart=False)
    broken = {**APP, "app.py": "print('two')\n"}
    for _ in range(2):
        done, rejected = remote.push(broken)
        assert done is not None and list(rejected) == ["refs/heads/main"]
        assert remote.tip() == tip
        assert (live(ctx), routed(ctx), ctx.images.images()) == before
    configvars.change(ctx, ada, "hello", {"MISBEHAVE": None}, restart=False)
    assert remote.push(broken)[1] == {}
    assert [(one.number, one.failed) for one in releases.list_releases(ctx, ada, "hello")] == [
        (4, False),
        (3, True),
        (2, True),
        (1, False),
    ]


def test_a_failed_build_is_told_and_leaves_no_release(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    done, rejected = remote.push({**APP, "FAIL_BUILD": "out of luck"})
    assert done is not None and rejected
    assert [one.number for one in releases.list_releases(ctx, ada, "hello")] == [1]
    assert builds.info(ctx, ada, "hello").state == "failed"
    assert " !     " in builds.output(ctx, ada, "hello")


def test_a_first_push_that_fails_leaves_no_branch(ctx: Context, ada: User, remote: Remote) -> None:
    _, rejected = remote.push({**APP, "FAIL_BUILD": ""})
    assert rejected and remote.tip() is None
    assert remote.push(APP)[1] == {}


def test_the_same_tree_makes_no_build_and_no_release(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    done, rejected = remote.push(APP)
    assert done is not None and rejected == {}
    assert "Nothing has changed: v1 serves this" in log(ctx, done.id)
    assert len(releases.list_releases(ctx, ada, "hello")) == 1
    newest, built = builds.list_builds(ctx, ada, "hello")
    assert (newest.state, newest.reason, newest.job) == ("succeeded", "unchanged", done.id)
    assert len(ctx.images.requests) == 1 and built.reason is None  # type: ignore[attr-defined]
    settle(ctx)
    assert remote.tip() is not None and live(ctx) == [("web", 1, 1)]


def test_a_reverted_tree_uses_the_earlier_image(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    remote.push({**APP, "app.py": "print('two')\n"})
    done, _ = remote.push(APP)
    assert done is not None and "its image is used" in log(ctx, done.id)
    first, _, third = reversed(releases.list_releases(ctx, ada, "hello"))
    assert first.image == third.image


def test_waiting_pushes_are_superseded_by_the_newest(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    older, _ = remote.push({**APP, "app.py": "2"}, work=False)
    newer, _ = remote.push({**APP, "app.py": "3"}, work=False)
    drain(ctx)
    assert older and newer
    assert (job(ctx, older.id).state, job(ctx, newer.id).state) == ("cancelled", "succeeded")
    assert len(releases.list_releases(ctx, ada, "hello")) == 2


def test_release_order_is_push_order_with_other_work_between(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    configvars.change(ctx, ada, "hello", {"A": "1"})
    remote.push({**APP, "app.py": "2"}, work=False)
    processes.restart(ctx, ada, "hello")
    drain(ctx)
    words = [one.description for one in reversed(releases.list_releases(ctx, ada, "hello"))]
    assert (words[0][:7], words[1], words[2][:7]) == ("Deploy ", "Set A", "Deploy ")
    assert live(ctx) == [("web", 3, 1)]


def test_somebody_elses_name_is_just_not_available(ctx: Context, remote: Remote) -> None:
    remote.push(APP)
    with pytest.raises(Conflict, match="not available"):
        push.begin(ctx, user(ctx, "bob"), "hello")
    with pytest.raises(NotFound, match="no app 'hello'"):
        push.repository(ctx, user(ctx, "bob"), "hello")


def test_a_push_of_another_branch_alone_is_denied(ctx: Context, remote: Remote) -> None:
    remote.push(APP)
    with pytest.raises(Denied, match="git push paas feature:main"):
        remote.push(APP, ref="refs/heads/feature")
    assert remote.tip(ref="refs/heads/feature") is None


def test_a_push_that_was_denied_leaves_no_repository(ctx: Context, ada: User) -> None:
    with pytest.raises(Denied):
        Remote(ctx, ada, "never").push(APP, ref="refs/heads/feature")
    assert list((ctx.settings.home / "repos").iterdir()) == []
    assert apps.list_apps(ctx, ada) == []


def test_judging_refs_names_only_those_that_may_not_pass() -> None:
    new = "1" * 40
    refs = [
        Ref(ZERO, new, "refs/heads/main"),
        Ref(ZERO, new, "refs/heads/other"),
        Ref(ZERO, new, "refs/tags/v1"),
        Ref(ZERO, new, "refs/notes/x"),
    ]
    assert judge("hello", "main", refs) == {
        "refs/heads/other": "hello deploys from main: git push paas other:main",
        "refs/notes/x": "only branches and tags are taken",
    }
    assert "cannot be deleted" in judge("hello", "main", [Ref(new, ZERO, "refs/heads/main")])["refs/heads/main"]


def test_a_ref_that_moved_unannounced_is_queued_when_the_session_ends(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    entry = push.begin(ctx, ada, "hello")
    change = remote.commit(entry.path, {**APP, "app.py": "2"})
    push.policy(ctx, entry, [change], {})
    git(entry.path, "update-ref", change.name, change.new)
    push.settle(ctx, entry)
    drain(ctx)
    assert live(ctx) == [("web", 2, 1)]


def test_a_ref_that_moved_under_a_dead_server_is_found_by_reconcile(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    entry = push.begin(ctx, ada, "hello")
    change = remote.commit(entry.path, {**APP, "app.py": "2"})
    git(entry.path, "update-ref", change.name, change.new)
    ctx.pushes.clear()
    push.mark(ctx, entry).unlink()  # a server that starts forgets what it was doing
    settle(ctx)
    drain(ctx)
    assert live(ctx) == [("web", 2, 1)] and remote.tip() == change.new


@pytest.mark.parametrize(
    "point", ["build.exported", "build.built", "release.cut", "deploy.provisioned", "deploy.healthy"]
)
def test_a_disk_that_fills_in_mid_deploy_changes_nothing(ctx: Context, remote: Remote, point: str) -> None:
    remote.push(APP)
    before = (live(ctx), routed(ctx), remote.tip())
    (ctx.settings.home / "fail" / point).write_text("enospc")
    _, rejected = remote.push({**APP, "app.py": "2"})
    assert rejected
    settle(ctx)
    assert (live(ctx), routed(ctx), remote.tip()) == before
    assert remote.push({**APP, "app.py": "2"})[1] == {}


def test_an_unknown_fail_point_is_an_error() -> None:
    with pytest.raises(KeyError):
        FailPoints()("no.such.point")


def test_scaling_starts_and_stops_instances(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    processes.scale(ctx, ada, "hello", {"web": 2, "worker": 1})
    drain(ctx)
    assert live(ctx) == [("web", 1, 1), ("web", 1, 2), ("worker", 1, 1)]
    assert len(routed(ctx)) == 2
    processes.scale(ctx, ada, "hello", {"web": 1, "worker": 0})
    drain(ctx)
    assert live(ctx) == [("web", 1, 1)] and len(routed(ctx)) == 1
    with pytest.raises(NotFound, match="no process type 'nope'"):
        processes.scale(ctx, ada, "hello", {"nope": 1})
    with pytest.raises(Invalid):
        processes.scale(ctx, ada, "hello", {"web": -1})


def test_stop_and_start_keep_the_release(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    processes.stop(ctx, ada, "hello")
    drain(ctx)
    assert live(ctx) == [] and routed(ctx) == []
    processes.start(ctx, ada, "hello")
    drain(ctx)
    assert live(ctx) == [("web", 1, 1)] and len(routed(ctx)) == 1


def test_a_stopped_app_takes_config_and_stays_stopped(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    processes.stop(ctx, ada, "hello")
    configvars.change(ctx, ada, "hello", {"A": "1"})
    drain(ctx)
    assert live(ctx) == [] and apps.info(ctx, ada, "hello").stopped
    processes.start(ctx, ada, "hello")
    drain(ctx)
    assert live(ctx) == [("web", 2, 1)]


def test_a_restart_replaces_every_instance_of_the_same_release(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    before = {one.id for one in ctx.runtime.instances()}
    processes.restart(ctx, ada, "hello")
    drain(ctx)
    assert live(ctx) == [("web", 1, 1)]
    assert before.isdisjoint({one.id for one in ctx.runtime.instances()})


def test_a_rollback_brings_back_image_and_config_as_a_new_release(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    configvars.change(ctx, ada, "hello", {"COLOUR": "red"})
    drain(ctx)
    tip = remote.tip()
    remote.push({**APP, "app.py": "2"})
    releases.roll_back(ctx, ada, "hello", 1)
    drain(ctx)
    newest, *_, oldest = releases.list_releases(ctx, ada, "hello")
    assert (newest.number, newest.description, newest.image) == (4, "Rollback to v1", oldest.image)
    assert releases.info(ctx, ada, "hello", 4).config_removed == ("COLOUR",)
    assert remote.tip() != tip
    with pytest.raises(Conflict, match="what runs now"):
        releases.roll_back(ctx, ada, "hello", 4)


def test_the_release_command_runs_before_the_switch(ctx: Context, ada: User, remote: Remote) -> None:
    done, _ = remote.push({**APP, "Procfile": "web: python app.py\nrelease: echo migrating\n"})
    assert done is not None and "-----> Running release command: echo migrating" in log(ctx, done.id)
    assert live(ctx) == [("web", 1, 1)]


def test_config_values_never_reach_a_log_or_the_database(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    configvars.change(ctx, ada, "hello", {"SECRET": "canary-swordfish"})
    drain(ctx)
    failed, _ = remote.push({**APP, "FAIL_BUILD": "the token canary-swordfish was refused"})
    assert failed is not None
    assert configvars.show(ctx, ada, "hello") == {"SECRET": "canary-swordfish"}
    assert "the token [redacted] was refused" in log(ctx, failed.id)
    places = [ctx.journal.path(failed.id), *ctx.settings.home.glob("paas.db*")]
    assert len(places) >= 2
    assert all(b"canary-swordfish" not in place.read_bytes() for place in places)


def test_destroying_an_app_leaves_nothing_of_it(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    done = apps.destroy(ctx, ada, "hello")
    with pytest.raises(NotFound):
        apps.info(ctx, ada, "hello")
    drain(ctx)
    assert job(ctx, done.id).state == "succeeded"
    assert live(ctx) == [] and ctx.proxy.routes() == [] and ctx.images.images() == []
    assert list((ctx.settings.home / "repos").iterdir()) == []
    assert remote.push(APP)[1] == {}


def test_reconcile_brings_back_what_is_missing_and_removes_what_nobody_knows(
    ctx: Context, ada: User, remote: Remote
) -> None:
    remote.push(APP)
    (one,) = ctx.runtime.instances()
    ctx.runtime.remove(one.app)
    settle(ctx)
    assert live(ctx) == [("web", 1, 1)] and routed(ctx) == ["v1-web-1-g1"]
    ctx.proxy.delete(one.app)
    settle(ctx)
    assert routed(ctx) == ["v1-web-1-g1"]


def test_a_job_whose_server_died_is_done_once_more_and_then_given_up(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    waiting, _ = remote.push({**APP, "app.py": "2"}, work=False)
    assert waiting is not None
    queue.claim(ctx)
    heartbeat.take_over(ctx, heartbeat.Watch())
    assert job(ctx, waiting.id).state == "pending"
    queue.claim(ctx)
    heartbeat.take_over(ctx, heartbeat.Watch())
    assert job(ctx, waiting.id).state == "failed"


def test_redeploy_builds_the_live_commit_again(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(APP)
    newest, _ = remote.push({**APP, "app.py": "2"}, work=False)
    deployments.redeploy(ctx, ada, "hello")
    drain(ctx)
    assert newest is not None and remote.tip() == releases.info(ctx, ada, "hello", 3).commit
    assert [one.description.split()[0] for one in releases.list_releases(ctx, ada, "hello")] == [
        "Redeploy",
        "Deploy",
        "Deploy",
    ]
    assert live(ctx) == [("web", 3, 1)]
