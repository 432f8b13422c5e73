"""What a tree asks of its app's config vars, met as far as the platform can: once, before anything is built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from builder.manifest import Manifest
from builder.needs import Needs, generate, needs, refusal
from control import configvars
from control.context import Context
from control.events import audit
from control.progress import Progress
from models import App, Build, ConfigVar, Job, Release

SET = "set"
"""In the payload of a job: names it has set of what app.json gives, and their versions."""


def meet(
    ctx: Context, app: App, build: Build, manifest: Manifest, expected: Sequence[str], say: Progress
) -> dict[str, str]:
    """Set what app.json gives and nobody has set; the config vars then. BuildFailed names what a person must set."""
    with ctx.db.begin() as session:
        before = configvars.snapshot(ctx, session, app)
        found = needs(manifest, expected, before)
        if found.missing:
            raise refusal(app.name, found.missing)
        made = values(found)
        config = {**before, **made}
        if made:
            configvars.check(config, made)
            configvars.write(ctx, session, session.get_one(App, app.id), before, made)
            audit(session, "config.changed", user=build.user_id, app=app.id, names=sorted(made), source="app.json")
            note(session, build, sorted(made))
    if made:
        say.redact(made.values())
        say.step(f"Setting config vars: {', '.join(sorted(made))} (from app.json)")
    return config


def note(session: Session, build: Build, names: list[str]) -> None:
    """Let the job remember what it has set, at which versions: when it fails, that goes again."""
    job = session.scalar(select(Job).where(Job.build_id == build.id))
    if job is not None:
        session.flush()
        rows = session.scalars(select(ConfigVar).where(ConfigVar.app_id == build.app_id, ConfigVar.name.in_(names)))
        job.payload = {**job.payload, SET: {**job.payload.get(SET, {}), **{row.name: row.version for row in rows}}}


def undo(ctx: Context, job: Job) -> None:
    """Unset what a job that failed has set by itself, unless its release was live or somebody has set it since."""
    with ctx.db.begin() as session:
        row = session.get(Job, job.id)
        if row is None or session.scalar(select(Release.id).where(Release.job_id == job.id, Release.ran.is_(True))):
            return
        for name, version in row.payload.get(SET, {}).items():
            mine = (ConfigVar.app_id == row.app_id, ConfigVar.name == name, ConfigVar.version == version)
            session.execute(delete(ConfigVar).where(*mine))


def values(found: Needs) -> dict[str, str]:
    """The defaults, and a new value from each generator."""
    return {**found.defaults, **{name: generate(generator) for name, generator in found.generators.items()}}


def met(ctx: Context, app: App, build: Build) -> bool:
    """Whether the config vars have all that the tree of an earlier build asked for: some may be unset since."""
    if build.manifest is None:
        return False
    with ctx.db.begin() as session:
        config = configvars.snapshot(ctx, session, app)
    found = needs(Manifest.of(build.manifest), build.manifest["expected"], config)
    return not (found.missing or found.defaults or found.generators)


def words(manifest: Manifest, expected: Sequence[str], config: Mapping[str, str]) -> Iterator[str]:
    """What a push would say of the config vars: those it would set, those that it would be refused for."""
    found = needs(manifest, expected, config)
    if given := sorted({*found.defaults, *found.generators}):
        yield f"-----> Would set config vars: {', '.join(given)} (from app.json)"
    for source in dict.fromkeys(one.source for one in found.missing):
        missing = ", ".join(one.name for one in found.missing if one.source == source)
        yield f"-----> Missing config vars: {missing} (asked for in {source})"
