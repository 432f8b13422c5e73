"""Instances that have stopped doing their work without exiting are replaced, where app.json says how that is seen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from builder.manifest import Manifest
from control import checks, queue, reconcile, wanted
from control.context import Context
from control.events import audit
from control.wanted import Wanted
from core.errors import PlatformError
from core.states import InstanceState
from models import App, Release
from runtime import liveness
from runtime.base import Check, Instance

log = structlog.get_logger()

AT_ONCE = 32
"""Instances that are asked at the same time."""
LEAST = 1.0
"""Seconds between two probes of an instance, whatever its check says."""


@dataclass(frozen=True)
class Watched:
    """An instance and a check that tells whether it is alive."""

    instance: Instance
    check: Check
    host: str


@dataclass
class Pulse:
    """What one check of one instance has told so far."""

    due: float
    """When it is asked next."""
    results: list[bool] = field(default_factory=list)
    """Since it was well for the first time, or had long enough to become so; the newest last."""


@dataclass
class Ward:
    """Every pulse there is, on a monotonic clock."""

    clock: Callable[[], float] = time.monotonic
    pulses: dict[Watched, Pulse] = field(default_factory=dict)

    def admit(self, watched: Iterable[Watched]) -> None:
        """Go on with these and forget the others."""
        now = self.clock()
        self.pulses = {one: self.pulses.get(one) or Pulse(now + one.check.initial_delay) for one in watched}

    def due(self) -> list[Watched]:
        return [one for one, pulse in self.pulses.items() if pulse.due <= self.clock()]

    def rest(self) -> float | None:
        """Seconds until the next is due; None when there is nobody to ask."""
        return max(0.0, min(pulse.due for pulse in self.pulses.values()) - self.clock()) if self.pulses else None

    def note(self, one: Watched, alive: bool, boot: float) -> bool:
        """Whether it is dead now; failures count once it has been well or has run for `boot` seconds."""
        pulse = self.pulses[one]
        pulse.due = self.clock() + max(one.check.wait, LEAST)
        if alive or pulse.results or time.time() - one.instance.started_at > boot:
            pulse.results = [*pulse.results, alive][-max(one.check.attempts, 1) :]
        return liveness.dead(pulse.results, one.check.attempts)


def run(ctx: Context, stopping: threading.Event) -> None:
    """Ask until told to stop; as long as no live release has a liveness check, only reconcile wakes it."""
    ward = Ward()
    while not stopping.is_set():
        ctx.turns.mended.clear()
        try:
            for one in look(ctx, ward, stopping):
                threading.Thread(target=revive_quietly, args=(ctx, one), name="revive", daemon=True).start()
        except PlatformError as error:
            log.warning("liveness.failed", error=str(error))
            stopping.wait(LEAST)
        except Exception:
            log.exception("liveness.failed")
            stopping.wait(LEAST)
        ctx.turns.mended.wait(ward.rest())


def look(ctx: Context, ward: Ward, stopping: threading.Event) -> list[Watched]:
    """Ask every instance whose time it is; those that are dead, whose pulse begins anew."""
    with ctx.db.begin() as session:
        asking = [(app, wanted.of(ctx, session, app)) for app in session.scalars(select(App)) if asks(session, app)]
    running = {app.id: ctx.runtime.instances(app.id) for app, _ in asking}
    with ctx.db.begin() as session:
        ward.admit(one for app, want in asking for one in watched(ctx, session, app, want, running[app.id]))
    due = ward.due()
    with ThreadPoolExecutor(max(1, min(len(due), AT_ONCE))) as pool:
        alive = list(
            pool.map(lambda one: liveness.alive(ctx.observer, one.instance, one.host, one.check, stopping), due)
        )
    if stopping.is_set():
        return []
    boot = ctx.settings.start_timeout
    dead = [one for one, well in zip(due, alive, strict=True) if ward.note(one, well, boot)]
    for one in dead:
        ward.pulses[one].results.clear()
    return dead


def asks(session: Session, app: App) -> bool:
    """Whether what is live of the app has a liveness check."""
    if app.release_id is None or app.stopped or app.deleting:
        return False
    manifest = Manifest.of(session.get_one(Release, app.release_id).manifest)
    return any(manifest.checks(process, "liveness") for process in manifest.healthchecks)


def watched(ctx: Context, session: Session, app: App, want: Wanted, instances: Sequence[Instance]) -> list[Watched]:
    """Every wanted instance of the app that is up, with each of its liveness checks."""
    up = [one for one in instances if one.state is InstanceState.UP and want.covers(one)]
    return [Watched(one, check, wanted.host(ctx, app)) for one in up for check in checks.of(session, one, "liveness")]


def revive_quietly(ctx: Context, dead: Watched) -> None:
    """An engine that is away now is there again at the next failures."""
    try:
        revive(ctx, dead)
    except PlatformError as error:
        log.warning("revive.failed", app=dead.instance.app, instance=dead.instance.name, error=str(error))
    except Exception:
        log.exception("revive.failed", app=dead.instance.app, instance=dead.instance.name)


def revive(ctx: Context, dead: Watched) -> None:
    """Replace a dead instance by a new one of the same release; not while a job has the app."""
    instance, check = dead.instance, dead.check
    with ctx.turns.if_free(instance.app) as free:
        if not free:
            return
        with ctx.db.begin() as session:
            if queue.waits(session, instance.app):
                return
            audit(session, "instance.dead", app=instance.app, instance=instance.name, check=check.path)
        log.warning("liveness.dead", app=instance.app, instance=instance.name, check=check.path)
        spare(ctx, instance)
        ctx.runtime.remove(instance.app, ids=frozenset({instance.id}))
        reconcile.mend(ctx, instance.app)


def spare(ctx: Context, instance: Instance) -> None:
    """Let the proxy send it nothing new while it is stopped, which may take its whole grace."""
    with ctx.turns.route_lock(instance.app):
        target = wanted.target(instance)
        route = next((one for one in ctx.proxy.routes() if one.app == instance.app), None)
        if route is not None and target in route.targets:
            others = tuple(one for one in route.targets if one != target)
            ctx.proxy.put(replace(route, targets=others, draining=tuple(sorted({*route.draining, target}))))
