"""What an app should be running, read from its rows; the one answer that routes, reconcile and `ps` share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from control import configvars
from control.context import Context
from core.states import IN_FLIGHT, DeploymentState
from core.states import InstanceState as State
from models import App, Deployment, Formation, Release
from models.base import now
from router.base import Target
from runtime.base import ONCE, Instance, Limits, ProcessSpec

DEFAULT_PORT = 5000
ROUTED = "web"
RESTING = (State.CRASHED, State.GONE)
"""States of an instance that does not run."""
RUN = "run"
"""What `run` starts is limited under this name."""


@dataclass(frozen=True)
class Wanted:
    """The process specs of an app's current release, and the generations that are no surplus beside it."""

    app: str
    hosts: tuple[str, ...]
    specs: tuple[ProcessSpec, ...]
    in_flight: frozenset[int] = frozenset()
    """Started by a deploy that has not ended."""
    retained: frozenset[int] = frozenset()
    """Kept, stopped, for a quick return."""

    def covers(self, instance: Instance) -> bool:
        """Whether this instance is one of those wanted."""
        return any(
            (spec.process, spec.release, spec.generation) == (instance.process, instance.release, instance.generation)
            and instance.number <= spec.count
            for spec in self.specs
        )

    def surplus(self, instances: Iterable[Instance]) -> list[Instance]:
        """Those that have to go: to be stopped when they are kept, to be removed otherwise."""
        others = [one for one in instances if not self.covers(one) and one.generation not in self.in_flight]
        return [one for one in others if not (one.generation in self.retained and one.state in RESTING)]

    def missing(self, instances: Iterable[Instance]) -> list[ProcessSpec]:
        """Specs of which not every instance runs: one that crashes again and again is left to the engine, one that was
        stopped is not."""
        started = [one for one in instances if self.covers(one) and one.state is State.UP]
        return [spec for spec in self.specs if sum(one.process == spec.process for one in started) < spec.count]


def of(ctx: Context, session: Session, app: App) -> Wanted:
    """What rows say about this app."""
    release = session.get(Release, app.release_id) if app.release_id else None
    runs = release is not None and not app.stopped and not app.deleting
    return Wanted(
        app=app.id,
        hosts=hosts(ctx, app),
        specs=tuple(specs(ctx, session, app, release, app.generation, app.runs_as)) if runs and release else (),
        in_flight=frozenset(one.generation for one in session.scalars(in_flight(app))),
        retained=frozenset(one.generation for one in session.scalars(retained(ctx, app))) if runs else frozenset(),
    )


def in_flight(app: App) -> Select[Deployment]:
    """Deployments of the app that have not ended."""
    states = [state.value for state in IN_FLIGHT]
    return select(Deployment).where(Deployment.app_id == app.id, Deployment.state.in_(states))


def retained(ctx: Context, app: App) -> Select[Deployment]:
    """Deployments of the app that have made room and whose instances are kept, the newest first.

    An end further away than any that is set was set under another clock, and keeps nothing.
    """
    longest = now() + timedelta(seconds=ctx.settings.watch)
    kept = (Deployment.state == DeploymentState.STOPPED, Deployment.retained_until.between(now(), longest))
    return select(Deployment).where(Deployment.app_id == app.id, *kept).order_by(Deployment.finished_at.desc())


def hosts(ctx: Context, app: App) -> tuple[str, ...]:
    return tuple(sorted({host(ctx, app), *(domain.host for domain in app.domains)}))


def host(ctx: Context, app: App) -> str:
    """The name every app has."""
    return f"{app.name}.{ctx.settings.domain}"


def formations(session: Session, app: App) -> dict[str, Formation]:
    rows = session.scalars(select(Formation).where(Formation.app_id == app.id))
    return {row.process: row for row in rows}


def counts(session: Session, app: App) -> dict[str, int]:
    return {process: row.count for process, row in formations(session, app).items()}


def specs(
    ctx: Context,
    session: Session,
    app: App,
    release: Release,
    generation: int,
    runs_as: int | None = None,
    scale: dict[str, int] | None = None,
) -> list[ProcessSpec]:
    """A spec for every process type of `release` that should run at least once; `runs_as`: in kept instances."""
    chosen = formations(session, app)
    formation = {**{process: row.count for process, row in chosen.items()}, **(scale or {})}
    env = environment(ctx, app, release)
    return [
        ProcessSpec(
            app=app.id,
            process=process,
            release=runs_as or release.number,
            image=release.image,
            subnet=IPv4Network(app.subnet),
            command=tuple(definition["argv"]),
            env={**env, "DYNO": f"{process}.1"},
            count=formation.get(process, 0),
            port=(release.port or DEFAULT_PORT) if process == ROUTED else None,
            limits=limits(ctx, chosen.get(process)),
            read_only=app.read_only,
            generation=generation,
            stop_grace=ctx.settings.stop_grace,
        )
        for process, definition in sorted(release.processes.items())
        if process != ONCE and formation.get(process, 0) > 0
    ]


def limits(ctx: Context, chosen: Formation | None) -> Limits:
    """What was set for a process type, and the installation's settings where nothing was."""
    every = ctx.settings
    if chosen is None:
        return Limits(memory=every.memory, cpus=every.cpus, pids=every.pids)
    return Limits(
        memory=every.memory if chosen.memory is None else chosen.memory,
        cpus=every.cpus if chosen.cpus is None else chosen.cpus,
        pids=every.pids if chosen.pids is None else chosen.pids,
    )


def limits_of(ctx: Context, app: App, process: str) -> Limits:
    """What one command of the app may use that is no part of the formation: `run`, `release`."""
    with ctx.db.begin() as session:
        return limits(ctx, session.get(Formation, (app.id, process)))


def environment(ctx: Context, app: App, release: Release) -> dict[str, str]:
    """Config vars of the release, and what every process is told about itself."""
    config = configvars.open_snapshot(ctx, app, release.number, release.sealed_config)
    ours = {
        "PAAS_APP": app.name,
        "PAAS_RELEASE": f"v{release.number}",
        "GIT_REV": release.commit,
        "SOURCE_VERSION": release.commit,
    }
    return {**ours, **config}


def target(instance: Instance) -> Target:
    """An instance as the proxy knows it."""
    name = f"v{instance.release}-{instance.process}-{instance.number}-g{instance.generation}"
    return Target(address=str(instance.address), port=instance.port or DEFAULT_PORT, name=name)
