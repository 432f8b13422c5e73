"""A build and a deploy told beforehand: what a push would do, without doing it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from builder import build as building
from builder import source
from builder.build import Prepared
from control import builds, configvars, formation, requirements, wanted
from control.context import Context
from models import App
from runtime.base import ONCE


def rehearse(
    ctx: Context, app: App | None, name: str, repository: Path, commit: str, env: Mapping[str, str]
) -> list[str]:
    """What a push of `commit` would make, without making it; `env` says where its objects are."""
    folder = Path(tempfile.mkdtemp(prefix="plan-", dir=ctx.scratch))
    try:
        tree = source.export(repository, commit, folder / "src", builds.limits(ctx), env)
        prepared = building.plan(tree.folder, ctx.settings.stack)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    config, counts, first = standing(ctx, app)
    if first:
        counts |= formation.asked(counts, prepared.manifest, prepared.processes)
    return [
        f"-----> Planning {name} from {commit[:7]}",
        *prepared.words(),
        *requirements.words(prepared.manifest, prepared.expected, config),
        *starting(prepared, counts),
        *running(prepared, first),
        "=====> Nothing has been changed",
    ]


def standing(ctx: Context, app: App | None) -> tuple[dict[str, str], dict[str, int], bool]:
    """The app's config vars, its counts, and whether nothing of it has been live; those of a new app for None."""
    if app is None:
        return {}, dict(formation.DEFAULT), True
    with ctx.db.begin() as session:
        return configvars.snapshot(ctx, session, app), wanted.counts(session, app), app.release_id is None


def starting(prepared: Prepared, counts: Mapping[str, int]) -> Iterator[str]:
    yield "-----> Would start"
    for kind, command in prepared.commands.items():
        if kind != ONCE:
            yield f"       {kind}: {command or 'the command of the image'}"
    formed = [f"{kind}={counts.get(kind, 0)}" for kind in prepared.commands if kind != ONCE]
    yield f"-----> Formation would be {' '.join(formed)}"


def running(prepared: Prepared, first: bool) -> Iterator[str]:
    """The scripts, in the order in which they would run."""
    scripts = prepared.manifest.scripts
    lines = [
        ("predeploy script", scripts.dokku_predeploy),
        ("release command", prepared.commands.get(ONCE)),
        ("postdeploy script", scripts.postdeploy if first else ""),
        ("postdeploy script", scripts.dokku_postdeploy),
    ]
    yield from (f"-----> Would run {title}: {line}" for title, line in lines if line)
