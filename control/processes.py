"""Processes: how many run, starting and stopping them, and one-off commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Network

from sqlalchemy.orm import Session

from control import access, deployments, queue, routes, values, wanted
from control.context import Context
from control.events import audit
from control.progress import Progress
from core.errors import Conflict, Invalid, NotFound
from core.states import InstanceState
from models import App, Formation, Release
from runtime.base import ONCE, Instance, OneOff
from runtime.base import Session as Run

MOST = 50
"""Instances of one process type: a /26 has 61 addresses, and a deploy needs some twice."""


def list_processes(ctx: Context, user: values.User, app: str) -> list[values.Process]:
    """Every process type of the current release with what runs of it."""
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        release = session.get(Release, row.release_id) if row.release_id else None
        formation = wanted.counts(session, row)
        commands = release.processes if release else {}
        want = wanted.of(ctx, session, row)
    seen = [remembered(ctx, one) for one in ctx.runtime.instances(row.id) if want.covers(one)]
    return [
        values.Process(
            type=name,
            wanted=0 if row.stopped else formation.get(name, 0),
            command=process["command"],
            instances=tuple(shown(one) for one in seen if one.process == name),
        )
        for name, process in sorted(commands.items())
        if name != ONCE
    ]


def remembered(ctx: Context, one: Instance) -> Instance:
    """`one`, with whether it ran out of memory the last time when it runs again since."""
    if one.state is not InstanceState.UP or not one.restarts:
        return one
    return replace(one, oom=ctx.runtime.look(replace(one, restarts=0)).oom)


def shown(one: Instance) -> values.Instance:
    return values.Instance(one.name, one.state.value, one.release, one.started_at, one.restarts, one.exit_code, one.oom)


def scale(ctx: Context, user: values.User, app: str, counts: dict[str, int]) -> values.Job:
    """Run that many of each process type named."""
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        release = needed(session, row)
        for process, count in counts.items():
            if process not in release.processes or process == ONCE:
                types = ", ".join(sorted(set(release.processes) - {ONCE}))
                raise NotFound(f"{app} has no process type {process!r}", f"It has: {types}.")
            if not 0 <= count <= MOST:
                raise Invalid(f"{process}={count} is not possible", f"Choose 0 to {MOST}.")
        job = queue.shown(session, queue.add(ctx, session, row, "scale", user, counts=counts))
    queue.wake(ctx)
    return job


def needed(session: Session, app: App) -> Release:
    """The current release; Conflict before the first one."""
    release = session.get(Release, app.release_id) if app.release_id else None
    if release is None:
        raise Conflict(f"{app.name} has never been deployed", "Push it first: git push paas main")
    return release


def restart(ctx: Context, user: values.User, app: str) -> values.Job:
    """Replace every instance by a new one of the same release."""
    return order(ctx, user, app, "restart")


def stop(ctx: Context, user: values.User, app: str) -> values.Job:
    """Run nothing until started again."""
    return order(ctx, user, app, "stop")


def start(ctx: Context, user: values.User, app: str) -> values.Job:
    """Run the current release again."""
    return order(ctx, user, app, "start")


def order(ctx: Context, user: values.User, app: str, kind: str) -> values.Job:
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        needed(session, row)
        job = queue.shown(session, queue.add(ctx, session, row, kind, user))
    queue.wake(ctx)
    return job


def apply_scale(ctx: Context, app: App, counts: dict[str, int], say: Progress) -> None:
    """Start what is new and wait for it, then record the formation, then let what is too many finish."""
    with ctx.db.begin() as session:
        row = session.get_one(App, app.id)
        release = needed(session, row)
        specs = wanted.specs(ctx, session, row, release, row.generation, row.runs_as, scale=counts)
    if not row.stopped:
        running = {
            (one.process, one.number) for one in ctx.runtime.instances(app.id) if one.generation == row.generation
        }
        growing = [spec for spec in specs if spec.process in counts and (spec.process, spec.count) not in running]
        for spec in growing:
            say.step(f"Starting {spec.process} ({spec.count})")
        # What was started of a scaling that fails is surplus when the job has ended: reconcile takes it away.
        with say.phase("start"):
            deployments.bring_up(ctx, row, growing, say)
        ctx.at("scale.started")
    record(ctx, app, counts)
    routes.put(ctx, app.id)
    deployments.retire_soon(ctx, app.id)
    say.section(", ".join(f"{process}={count}" for process, count in sorted(counts.items())) + f" ({say.summary()})")


def record(ctx: Context, app: App, counts: dict[str, int]) -> None:
    with ctx.db.begin() as session:
        for process, count in counts.items():
            session.merge(Formation(app_id=app.id, process=process, count=count))
        audit(session, "app.scaled", app=app.id, counts=counts)


def halt(ctx: Context, app: App, say: Progress) -> None:
    """Record that the app is stopped, take it off the proxy, let it finish."""
    with ctx.db.begin() as session:
        session.get_one(App, app.id).stopped = True
        audit(session, "app.stopped", app=app.id)
    say.step(f"Stopping {app.name}")
    routes.put(ctx, app.id)
    deployments.retire_soon(ctx, app.id)


def one_off(ctx: Context, user: values.User, app: str, command: Sequence[str], tty: bool, size: tuple[int, int]) -> Run:
    """Run `command` in a new instance of the current release."""
    return begin(ctx, user, app, command, tty, size, "")


def enter(
    ctx: Context,
    user: values.User,
    app: str,
    instance: str | None,
    command: Sequence[str],
    tty: bool,
    size: tuple[int, int],
) -> Run:
    """Run `command` inside a running instance: `web.1`, or the first one."""
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        want = wanted.of(ctx, session, row)
    up = [one for one in ctx.runtime.instances(row.id) if one.state is InstanceState.UP and want.covers(one)]
    up.sort(key=lambda one: (one.process != wanted.ROUTED, one.process, one.number))
    found = next((one for one in up if instance in (None, one.name)), None)
    if found is None:
        running = ", ".join(one.name for one in up) or "nothing"
        raise NotFound(f"{app} has no running instance {instance or ''}".rstrip(), f"It runs: {running}.")
    return begin(ctx, user, app, command, tty, size, found.id)


def begin(
    ctx: Context, user: values.User, app: str, command: Sequence[str], tty: bool, size: tuple[int, int], inside: str
) -> Run:
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        release = needed(session, row)
        env = wanted.environment(ctx, row, release)
        audit(session, "app.run", user=user.id, app=row.id, command=command[0] if command else "")
    return ctx.runtime.run(
        OneOff(
            app=row.id,
            release=release.number,
            image=release.image,
            subnet=IPv4Network(row.subnet),
            command=tuple(command),
            env={**env, "DYNO": "run.1", "PORT": str(release.port or wanted.DEFAULT_PORT)},
            limits=wanted.limits_of(ctx, row, wanted.RUN),
            tty=tty,
            size=size,
            instance=inside,
        )
    )
