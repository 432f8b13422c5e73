"""What is collected and what is kept, on the memory adapters."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from control import apps, builds, configvars, garbage, reconcile, releases
from control.context import Context
from control.garbage import Said, stale
from control.values import User
from core.errors import Conflict, NotFound, Unavailable
from models.base import now
from tests.factories import APP, Remote, context, drain, settle, user

DAY = timedelta(days=1)


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return context(tmp_path, kept_releases=2, kept_builds=2)


@pytest.fixture
def ada(ctx: Context) -> User:
    return user(ctx)


@pytest.fixture
def remote(ctx: Context, ada: User) -> Remote:
    return Remote(ctx, ada)


def pushed(remote: Remote, *words: str) -> None:
    for word in words:
        assert remote.push({**APP, "app.py": word})[1] == {}


def states(ctx: Context, ada: User) -> dict[int, bool]:
    """Whether each release is collected, by its number."""
    return {one.number: one.collected for one in releases.list_releases(ctx, ada, "hello")}


def test_images_of_the_newest_releases_are_kept_and_older_ones_go(ctx: Context, ada: User, remote: Remote) -> None:
    pushed(remote, "1", "2", "3", "4")
    kept = {one.image for one in releases.list_releases(ctx, ada, "hello") if not one.collected}
    assert states(ctx, ada) == {1: True, 2: True, 3: False, 4: False}
    assert set(ctx.images.images()) == kept and len(kept) == 2
    assert all(one.image for one in releases.list_releases(ctx, ada, "hello"))


def test_a_rollback_to_a_release_without_image_is_refused_in_words(ctx: Context, ada: User, remote: Remote) -> None:
    pushed(remote, "1", "2", "3")
    with pytest.raises(Conflict, match=r"v1's image is no longer kept \(the newest 2 are\)"):
        releases.roll_back(ctx, ada, "hello", 1)
    releases.roll_back(ctx, ada, "hello", 2)
    drain(ctx)
    assert apps.info(ctx, ada, "hello").release == 4


def test_releases_that_share_a_kept_image_stay_rollback_targets(ctx: Context, ada: User, remote: Remote) -> None:
    pushed(remote, "1")
    for value in "abc":
        configvars.change(ctx, ada, "hello", {"A": value})
    drain(ctx)
    assert states(ctx, ada) == {1: False, 2: False, 3: False, 4: False}
    releases.roll_back(ctx, ada, "hello", 1)
    drain(ctx)
    assert apps.info(ctx, ada, "hello").release == 5


def test_the_current_release_keeps_its_image_however_old_it_is() -> None:
    rows = [release(number) for number in range(1, 6)]
    assert garbage.kept(rows, "r1", set(), 2) == {"i1", "i4", "i5"}
    assert garbage.kept(rows, "r5", {2}, 1) == {"i2", "i5"}
    rows[4].failed = True
    assert garbage.kept(rows, "r4", set(), 1) == {"i4"}


def release(number: int) -> garbage.Release:
    return garbage.Release(id=f"r{number}", number=number, image=f"i{number}", ran=True, failed=False)


def test_a_tree_pushed_again_after_its_image_went_is_built_again(ctx: Context, ada: User, remote: Remote) -> None:
    pushed(remote, "1", "2", "3", "1")
    assert len(ctx.images.requests) == 4  # type: ignore[attr-defined]
    assert states(ctx, ada) == {1: True, 2: True, 3: False, 4: False}


def test_nothing_is_collected_while_work_waits(ctx: Context, ada: User, remote: Remote) -> None:
    pushed(remote, "1", "2")
    remote.push({**APP, "app.py": "3"}, work=False)
    before = ctx.images.images()
    one_kept = context_with(ctx, kept_releases=1)
    garbage.once(one_kept)
    assert ctx.images.images() == before
    drain(ctx)
    garbage.once(one_kept)
    assert states(ctx, ada) == {1: True, 2: True, 3: False}


def context_with(ctx: Context, **settings: object) -> Context:
    """The same platform under other settings."""
    return Context(**{**vars(ctx), "settings": ctx.settings.model_copy(update=settings)})


def test_an_image_in_use_is_left_to_reconcile(ctx: Context, ada: User, remote: Remote) -> None:
    pushed(remote, "1")
    (digest,) = ctx.images.images()
    ctx.images.in_use.add(digest)  # type: ignore[attr-defined]
    pushed(remote, "2", "3")
    assert states(ctx, ada)[1] and digest in ctx.images.images()
    ctx.images.in_use.clear()  # type: ignore[attr-defined]
    settle(ctx)
    assert digest not in ctx.images.images()


def test_reconcile_removes_what_was_written_off_before_the_server_died(ctx: Context, ada: User, remote: Remote) -> None:
    pushed(remote, "1", "2")
    app = apps.info(ctx, ada, "hello")
    with ctx.db.begin() as session:
        row = session.get_one(garbage.App, app.id)
        gone = garbage.write_off(context_with(ctx, kept_releases=1), session, row, set())
    assert gone < set(ctx.images.images())
    reconcile.once(ctx, reconcile.once(ctx, {}, grace=0), grace=0)
    assert gone.isdisjoint(ctx.images.images()) and len(ctx.images.images()) == 1


def test_logs_of_the_newest_builds_are_kept_and_a_missing_one_is_told(ctx: Context, ada: User, remote: Remote) -> None:
    pushed(remote, "1", "2", "3")
    garbage.once(ctx)
    with pytest.raises(NotFound, match="log of build 1 is no longer kept") as told:
        builds.output(ctx, ada, "hello", 1)
    assert told.value.hint == "Those of the newest 2 are, for 30 days."
    assert "Live at" in builds.output(ctx, ada, "hello", 2)
    assert len(builds.list_builds(ctx, ada, "hello")) == 3


def test_stale_logs_are_of_no_job_of_no_app_too_old_or_of_too_old_builds() -> None:
    at = now()
    jobs = [
        Said(1, "a", True, at),
        Said(2, "a", True, None),
        Said(3, "a", True, at),
        Said(4, "a", True, at),
        Said(5, "b", False, at - 29 * DAY),
        Said(6, "b", False, at - 31 * DAY),
        Said(7, None, True, at - timedelta(minutes=1)),
        Said(8, None, False, at - DAY),
        Said(9, "b", True, None),
    ]
    assert stale(jobs, [*range(1, 10), 77], at, 2, 30 * DAY) == [1, 6, 8, 77]


def test_the_build_cache_is_pruned_to_its_size(ctx: Context, remote: Remote) -> None:
    pushed(remote, "1", "2", "3")
    garbage.prune(context_with(ctx, build_cache=2 << 20))
    assert sum(ctx.images.cache.values()) == 2 << 20  # type: ignore[attr-defined]


def test_one_parts_trouble_does_not_keep_the_others_waiting(ctx: Context, ada: User, remote: Remote) -> None:
    pushed(remote, "1", "2", "3")
    full = context_with(ctx, build_cache=0)

    def broken() -> list[str]:
        raise Unavailable("the engine is away")

    assert garbage.quietly(broken) is None
    ctx.journal.folder.rename(ctx.journal.folder.with_name("gone"))
    garbage.once(full)
    assert ctx.images.cache == {}  # type: ignore[attr-defined]


class Told(threading.Event):
    """Stops whoever waits for it."""

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout == garbage.EVERY
        self.set()
        return True


def test_the_loop_looks_at_once_and_ends_when_told(ctx: Context, remote: Remote) -> None:
    pushed(remote, "1", "2", "3")
    garbage.run(context_with(ctx, build_cache=0), Told())
    assert ctx.images.cache == {}  # type: ignore[attr-defined]
