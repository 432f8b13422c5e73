"""A new release is compared with the one before for a while, and taken back by itself when it does worse."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from sqlalchemy import select

from control import releases, wanted
from control.context import Context
from control.traffic import Counts, Traffic, since
from core.errors import PlatformError
from models import App, Deployment, Release
from runtime.base import Instance

log = structlog.get_logger()

CALM, CLOSE = 10.0, 1.0
"""Seconds between two looks at the proxy's counters, which tell nobody when they change: always; while watching."""
WARM_UP = 10.0
"""Seconds after the switch that do not count."""
ENOUGH = 100
"""Requests before anything is said of a release."""
WORSE = 0.10
"""How much larger its share of 5xx may be."""
LOOP = 3
"""Restarts that make a crash loop."""


@dataclass
class Watched:
    """A release that has just become current, and what it is compared with."""

    app: App
    bad: Release
    good: Release
    generation: int
    before: Counts
    """What the old release has answered in its last minutes."""
    since: float
    """When the switch was seen, on the monotonic clock."""
    warm: dict[str, Counts] | None = None
    """Its counters when it had warmed up, by target."""
    restarts: dict[str, int] = field(default_factory=dict)
    """Restarts of its instances when first seen, by id."""


def run(ctx: Context, stopping: threading.Event) -> None:
    """Look at the proxy's counters, now and then or closely, until told to stop."""
    traffic = Traffic()
    watched: dict[str, Watched] = {}
    while not stopping.is_set():
        ctx.turns.switched.clear()
        try:
            watched = once(ctx, traffic, watched)
        except PlatformError as error:
            log.warning("watch.failed", error=str(error))
        except Exception:
            log.exception("watch.failed")
        ctx.turns.switched.wait(CLOSE if watched else CALM)
        if watched:  # a switch of another app is no reason to look twice at once
            stopping.wait(CLOSE / 10)


def once(
    ctx: Context, traffic: Traffic, watched: dict[str, Watched], clock: Callable[[], float] = time.monotonic
) -> dict[str, Watched]:
    """Note the counters, judge every release that is watched; those that still are."""
    traffic.note(ctx.proxy.stats())
    found = {key: watched.get(key) or one for key, one in begun(ctx, traffic, clock()).items()}
    for one in found.values():
        reason = judge(ctx, traffic, one, clock() - one.since)
        if reason:
            log.warning("release.misbehaves", app=one.app.id, release=one.bad.number, reason=reason)
            releases.take_back(ctx, one.app, one.bad, one.good, reason)
    return found


def begun(ctx: Context, traffic: Traffic, moment: float) -> dict[str, Watched]:
    """Releases to watch, by their deployment: those whose predecessor is kept, and that are not taken back yet."""
    found = {}
    with ctx.db.begin() as session:
        for app in session.scalars(select(App).where(App.release_id.is_not(None), App.deleting.is_(False))):
            kept = session.scalars(wanted.retained(ctx, app)).first()
            bad = session.get_one(Release, app.release_id)
            if kept is None or bad.trouble is not None or app.stopped or kept.release_id == bad.id:
                continue
            good = session.get_one(Release, kept.release_id)
            before = traffic.lately(app.id, of(kept))
            key = f"{app.id} {app.generation}"
            found[key] = Watched(app, bad, good, app.generation, before, moment)
    return found


def of(deployment: Deployment) -> Callable[[str], bool]:
    """Whether a target, by its name, is an instance of this deployment."""
    ending = f"-g{deployment.generation}"
    return lambda name: name.endswith(ending)


def judge(ctx: Context, traffic: Traffic, one: Watched, seconds: float) -> str | None:
    """Why the release is taken back; None as long as it does no worse than the one before."""
    instances = [found for found in ctx.runtime.instances(one.app.id) if found.generation == one.generation]
    if loop := crash_loop(instances, one.restarts):
        return loop
    if seconds < WARM_UP:
        return None
    now = {name: counts for name, counts in traffic.last(one.app.id).items() if name.endswith(f"-g{one.generation}")}
    if one.warm is None:
        one.warm = now
    after = sum((since(counts, one.warm.get(name, Counts())) for name, counts in now.items()), Counts())
    return worse(one, after)


def crash_loop(instances: list[Instance], first: dict[str, int]) -> str | None:
    """Words for an instance that has been restarted again and again since it was first seen."""
    for one in instances:
        restarts = one.restarts - first.setdefault(one.id, one.restarts)
        if restarts >= LOOP:
            why = ", out of memory" if one.oom else ""
            return f"{one.name} was restarted {restarts} times{why}"
    return None


def worse(one: Watched, after: Counts) -> str | None:
    if after.requests < ENOUGH or after.share <= one.before.share + WORSE:
        return None
    return (
        f"{after.share:.1%} of its answers were 5xx ({after.errors} of {after.requests}), "
        f"v{one.good.number} had {one.before.share:.1%}"
    )
