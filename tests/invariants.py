"""What must hold after every fault, read from the database, the repositories, the engine and the proxy."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import docker
import docker.errors
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from core.config import Settings
from core.errors import PlatformError
from core.states import IN_FLIGHT, BuildState, JobState
from models import App, Build, Database, Deployment, Formation, Job, Release
from models.base import now
from server import wiring
from tests.installation import Installation


def check_invariants(installation: Installation) -> list[str]:
    """Every invariant that does not hold, in words; empty when all do."""
    settings = installation.settings()
    database = Database(settings.database)
    try:
        with database.begin() as session:
            apps = list(session.scalars(select(App)))
            releases = list(session.scalars(select(Release)))
            deployments = list(session.scalars(select(Deployment)))
            builds, jobs = list(session.scalars(select(Build))), list(session.scalars(select(Job)))
            formations = list(session.scalars(select(Formation)))
    finally:
        database.close()
    wrong = ([] if settings.shared else sound(installation.home)) + settled(builds, jobs, deployments)
    wrong += [f"app {app.name}: {what}" for app in apps for what in repository(installation.home, app)]
    clock = now() + timedelta(seconds=installation.clock_offset)
    end = clock + timedelta(seconds=settings.watch)
    ends = {(one.app_id, one.generation): one.retained_until for one in deployments if one.retained_until}
    kept = {key for key, until in ends.items() if clock < until < end}
    wrong += numbered(releases) + running(settings, apps, releases, formations, kept)
    return wrong + routed(settings, apps, releases) + tidy(installation.home, apps)


def converged(installation: Installation, seconds: float = 30) -> list[str]:
    """What still does not hold after at most `seconds`."""
    deadline = time.monotonic() + seconds
    while (wrong := looked(installation)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return wrong


def looked(installation: Installation) -> list[str]:
    """The same, while the engine, the proxy or the database may be away."""
    try:
        return check_invariants(installation)
    except (PlatformError, OSError, docker.errors.DockerException, SQLAlchemyError) as error:
        return [f"cannot be asked: {type(error).__name__}: {error}"]


def sound(home: Path) -> list[str]:
    with sqlite3.connect(home / "paas.db") as database:
        found = [row[0] for row in database.execute("PRAGMA integrity_check")]
        broken = list(database.execute("PRAGMA foreign_key_check"))
    return [f"database: {line}" for line in found if line != "ok"] + [f"foreign key: {row}" for row in broken]


def settled(builds: list[Build], jobs: list[Job], deployments: list[Deployment]) -> list[str]:
    """Nothing is in progress that nobody works on; to be asked when no push is under way."""
    wrong = [
        f"build {one.number} is {one.state}" for one in builds if one.state in (BuildState.PENDING, BuildState.RUNNING)
    ]
    wrong += [f"job {one.id} is {one.state}" for one in jobs if one.state in (JobState.PENDING, JobState.RUNNING)]
    return wrong + [f"deployment {one.id} is {one.state}" for one in deployments if one.state in IN_FLIGHT]


def repository(home: Path, app: App) -> list[str]:
    """The branch stands on what is live, and git finds nothing wrong."""
    path = home / "repos" / f"{app.id}.git"
    safe = ["git", "-c", f"safe.directory={path}", "-C", str(path)]
    fsck = subprocess.run([*safe, "fsck", "--strict", "--no-dangling"], capture_output=True, text=True)
    tip = subprocess.run(
        [*safe, "rev-parse", "-q", "--verify", f"refs/heads/{app.branch}"], capture_output=True, text=True
    )
    wrong = [] if fsck.returncode == 0 else [f"git fsck: {fsck.stderr.strip()}"]
    found = tip.stdout.strip() or None
    return wrong if found == app.live_commit else [*wrong, f"the tip is {found}, live is {app.live_commit}"]


def numbered(releases: list[Release]) -> list[str]:
    counts = Counter((one.app_id, one.number) for one in releases)
    return [f"release v{number} of {app} exists {count} times" for (app, number), count in counts.items() if count > 1]


def running(
    settings: Settings,
    apps: list[App],
    releases: list[Release],
    formations: list[Formation],
    kept: set[tuple[str, int]],
) -> list[str]:
    """Exactly the instances that are wanted, of the current release, run; and no network nor image beyond.

    `kept`: app and generation of instances that are stopped for a quick return.
    """
    client = docker.DockerClient(base_url=settings.docker_host)
    try:
        ours: dict[str, str | list[str] | bool] = {"label": f"paas.installation={settings.installation}"}
        found = client.containers.list(all=True, filters=ours, ignore_removed=True)
        left = [f"the one-off {one.name} is left over" for one in found if "paas.oneoff" in one.labels]
        have = Counter(
            (one.labels["paas.app"], one.labels["paas.process"], int(one.labels["paas.release"]))
            for one in found
            if "paas.oneoff" not in one.labels
            if one.status == "running" or (one.status == "exited" and at_work(one.labels) not in kept)
        )
        networks = {one.attrs["Labels"]["paas.app"] for one in client.networks.list(filters=ours)}
        images = {str(one["Id"]) for one in client.api.images(filters=ours)}
    finally:
        client.close()
    want = wanted(apps, releases, formations)
    wrong = left + [
        f"{key} runs {have[key]} times, wanted {want[key]}"
        for key in have.keys() | want.keys()
        if have[key] != want[key]
    ]
    wrong += [f"network of {app} is left over" for app in networks - {app.id for app in apps}]
    needed = {one.image for one in releases if one.ran and not one.failed and not one.collected}
    return wrong + [f"image {image[:19]} of a release is gone" for image in needed - images]


def wanted(apps: list[App], releases: list[Release], formations: list[Formation]) -> Counter[tuple[str, str, int]]:
    """How often each process of each app should run, by the release its instances are of."""
    by_id = {one.id: one for one in releases}
    want: Counter[tuple[str, str, int]] = Counter()
    for app in apps:
        release = by_id.get(app.release_id or "")
        for one in formations:
            if release and one.app_id == app.id and one.count and one.process in release.processes and not app.stopped:
                want[(app.id, one.process, app.runs_as or release.number)] = one.count
    return want


def at_work(labels: dict[str, str]) -> tuple[str, int]:
    return labels["paas.app"], int(labels["paas.generation"])


def routed(settings: Settings, apps: list[App], releases: list[Release]) -> list[str]:
    """Each route leads to the current release and to nothing else."""
    current = {app.id: next((one.number for one in releases if one.id == app.release_id), None) for app in apps}
    numbers = {app.id: app.runs_as or current[app.id] for app in apps}
    routes = {route.app: route for route in wiring.proxy(settings).routes()}
    wrong = [f"route of unknown {app}" for app in routes.keys() - numbers.keys()]
    for app in apps:
        if numbers[app.id] is None or app.stopped:
            continue
        route = routes.get(app.id)
        targets = [target.name.split("-")[0] for target in route.targets] if route else []
        if set(targets) != {f"v{numbers[app.id]}"} or (route and route.draining):
            wrong.append(f"route of {app.name} is {route}, release v{numbers[app.id]}")
    return wrong


def tidy(home: Path, apps: list[App]) -> list[str]:
    known = {f"{app.id}.git" for app in apps}
    left = [path.name for path in (home / "repos").iterdir() if path.name not in known]
    quarantines = [str(path) for path in (home / "repos").glob("*/objects/incoming-*")]
    locks = [str(path) for path in (home / "repos").glob("*/refs/**/*.lock")]
    return [
        f"left over: {name}"
        for name in (*left, *quarantines, *locks, *(path.name for path in (home / "tmp").glob("*/*")))
    ]
