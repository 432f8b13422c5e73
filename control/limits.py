"""What an instance of each process type may use: memory, CPU, processes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy.orm import Session

from control import access, queue, values, wanted
from control.context import Context
from control.events import audit
from control.wanted import ROUTED, RUN
from core import names
from core.amounts import spoken
from core.errors import Invalid, NotFound
from models import App, Formation, Release
from runtime.base import ONCE
from runtime.health import OutOfMemory

Amount = int | float | None
LEAST_MEMORY = 6 << 20
"""Bytes; the engine starts nothing with less."""
LEAST_CPUS = 0.05
LEAST_PIDS = 10
MOST_PIDS = 1 << 22
"""What Linux can count."""


def show(ctx: Context, user: values.User, app: str) -> list[values.Limits]:
    """The limits of every process type, by name."""
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        return shown(ctx, session, row)


def shown(ctx: Context, session: Session, app: App) -> list[values.Limits]:
    chosen = wanted.formations(session, app)
    return [of(ctx, process, chosen.get(process)) for process in sorted({*types(session, app), *chosen})]


def of(ctx: Context, process: str, chosen: Formation | None) -> values.Limits:
    """A process type's limits, with the names of those that were set for it."""
    found = wanted.limits(ctx, chosen)
    own = tuple(name for name in ("memory", "cpus", "pids") if getattr(chosen, name, None) is not None)
    return values.Limits(process, found.memory, found.cpus, found.pids, own)


def types(session: Session, app: App) -> list[str]:
    """The process types of the current release; none before the first."""
    release = session.get(Release, app.release_id) if app.release_id else None
    return sorted(release.processes) if release else []


def change(ctx: Context, user: values.User, app: str, process: str, changes: Mapping[str, Amount]) -> values.Job | None:
    """Set limits of one process type, None unsets; the job that replaces its instances, None when nothing runs."""
    check(changes)
    with ctx.db.begin() as session:
        row = access.find(session, user, app)
        check_process(session, row, process)
        if not write(session, row, process, changes):
            return None
        audit(session, "limits.changed", user=user.id, app=row.id, process=process, limits=dict(changes))
        if process in (ONCE, RUN) or not may_run(session, row):
            return None
        job = queue.shown(session, queue.add(ctx, session, row, "restart", user))
    queue.wake(ctx)
    return job


def may_run(session: Session, app: App) -> bool:
    """Whether instances run, or a push that waits may start them with the limits of before."""
    return not app.stopped and (app.release_id is not None or queue.waits(session, app.id))


def write(session: Session, app: App, process: str, changes: Mapping[str, Amount]) -> bool:
    """Record the limits; tell whether anything is different now."""
    row = session.get(Formation, (app.id, process))
    different = any((getattr(row, name) if row else None) != amount for name, amount in changes.items())
    if row is None and different:
        row = Formation(app_id=app.id, process=process, count=0)
        session.add(row)
    for name, amount in changes.items() if row else ():
        setattr(row, name, amount)
    return different


def check_process(session: Session, app: App, process: str) -> None:
    """NotFound for a process type the app does not have; before its first release any name will do."""
    if not names.PROCESS.fullmatch(process):
        raise Invalid(f"{process!r} is not a process type", "Try web.")
    known = types(session, app)
    if known and process not in (*known, ONCE, RUN):
        raise NotFound(f"{app.name} has no process type {process!r}", f"It has: {', '.join(known)}.")


def check(changes: Mapping[str, Amount]) -> None:
    """Invalid for what the machine cannot give or nothing can start with."""
    ranges = {
        "memory": (LEAST_MEMORY, machine_memory()),
        "cpus": (LEAST_CPUS, os.cpu_count() or 1),
        "pids": (LEAST_PIDS, MOST_PIDS),
    }
    for name, amount in changes.items():
        least, most = ranges[name]
        if amount is not None and not least <= amount <= most:
            between = f"{worded(name, least)} to {worded(name, most)}"
            raise Invalid(f"{name}={worded(name, amount)} is not possible", f"Choose {between}.")


def worded(name: str, amount: float) -> str:
    return spoken(int(amount)) if name == "memory" else f"{amount:g}" if name == "cpus" else str(amount)


def machine_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@contextmanager
def advising(app: App) -> Iterator[None]:
    """An instance that runs out of memory inside is told with the command that gives it more."""
    try:
        yield
    except OutOfMemory as error:
        error.hint = f"Allow it more: {remedy(app.name, error.instance.process, error.instance.memory)}"
        raise


def remedy(app: str, process: str, memory: int) -> str:
    """The command that doubles a memory limit."""
    more = spoken(2 * memory or 1 << 30).removesuffix("B").replace(" ", "").lower()
    which = "" if process == ROUTED else f"-p {process} "
    return f"ssh paas limits:set {app} {which}memory={more}"
