"""A deploy belongs to the platform: left alone, looked at again, cancelled, planned, taken back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.installation import Installation
from tests.invariants import converged
from tests.repository import Repository, python_app
from tests.waiting import until

pytestmark = pytest.mark.real


@pytest.fixture
def app(installation: Installation, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Repository]:
    """An app that is live, of a name of its own."""
    name = f"durable-{abs(hash(request.node.name)) % 100000}"
    repository = Repository(installation, tmp_path / "work", name)
    repository.commit(python_app("one"))
    repository.push()
    yield repository
    installation.ssh("apps:destroy", name, "--force")


def build(repository: Repository, number: object = "latest") -> dict[str, Any]:
    done = repository.installation.ssh("builds:info", repository.app, str(number), "--json", check=False)
    found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    return found


def pushing(repository: Repository, *options: str) -> subprocess.Popen[str]:
    """`git push` in the background, in a process group of its own as a terminal gives it."""
    return subprocess.Popen(
        ["git", "push", *options, "paas", "main"],
        cwd=repository.folder,
        env=repository.installation.git_env(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def said(repository: Repository, words: str) -> None:
    """Wait until the log of the second build, the one after the fixture's, has these words."""
    until(lambda: words in repository.installation.ssh("builds:output", repository.app, "2", check=False).stdout, 30)


def test_a_detached_push_returns_when_queued_and_can_be_attached_to(
    installation: Installation, app: Repository
) -> None:
    app.commit(python_app("two", Procfile="web: python app.py\nrelease: sleep 2\n"))
    done = app.push("-o", "detach", "main")
    assert f"-----> Queued as build 2 of {app.app}" in done.stderr and "Live at" not in done.stderr
    attached = installation.ssh("builds:attach", app.app, "2")
    assert "-----> Building" in attached.stdout and "=====> Live at" in attached.stdout
    assert installation.curl(app.app) == (200, "two\n")
    assert installation.ssh("builds:attach", app.app).stdout == attached.stdout, "replayed once it has ended"


def test_a_detached_push_that_fails_moves_the_branch_back(installation: Installation, app: Repository) -> None:
    tip = app.remote_tip()
    app.commit(python_app("two", Procfile="web: python app.py\nrelease: exit 3\n"))
    assert app.push("-o", "detach", "main").returncode == 0
    attached = installation.ssh("builds:attach", app.app, check=False)
    assert attached.returncode == 31 and "exited with code 3" in attached.stderr
    until(lambda: app.remote_tip() == tip)
    assert converged(installation) == []


def test_ctrl_c_leaves_the_deploy_running(installation: Installation, app: Repository) -> None:
    app.commit(python_app("two", Procfile="web: python app.py\nrelease: sleep 10\n"))
    push = pushing(app)
    said(app, "Running release command")
    os.killpg(push.pid, signal.SIGINT)
    push.communicate(timeout=10)
    again = app.push(check=False)
    assert "is in flight: ssh paas builds:attach" in again.stderr
    assert installation.ssh("builds:attach", app.app, "2").returncode == 0
    assert installation.curl(app.app) == (200, "two\n")


def test_a_lost_connection_cancels_when_the_pusher_asked_for_that(installation: Installation, app: Repository) -> None:
    app.commit(python_app("two", Procfile="web: python app.py\nrelease: sleep 60\n"))
    push = pushing(app, "-o", "cancel-on-disconnect")
    said(app, "Running release command")
    os.killpg(push.pid, signal.SIGKILL)
    push.communicate(timeout=10)
    until(lambda: build(app)["state"] != "running" and converged(installation, 0) == [])
    assert installation.curl(app.app) == (200, "one\n")


DOCKERFILE = """\
FROM {base}
COPY . /app
RUN echo begun; setsid sh -c 'while :; do sleep 1; done' & setsid sleep 3600 & sleep 3600
CMD ["python3", "/app/app.py"]
"""
PATIENT = '{"healthchecks": {"web": [{"type": "startup", "path": "/", "attempts": 20}]}}'
STUCK = {
    "a build with grandchildren": ("begun", {}),
    "a release command": ("Running release command", {"Procfile": "web: python app.py\nrelease: sleep 3600\n"}),
    "the waiting for health": ("Starting web", {"app.py": "import time\ntime.sleep(3600)\n", "app.json": PATIENT}),
}


@pytest.mark.parametrize("what", STUCK)
def test_cancelling_takes_two_seconds_and_frees_the_line(
    installation: Installation, app: Repository, what: str
) -> None:
    words, files = STUCK[what]
    if what == "a build with grandchildren":
        files = {"Dockerfile": DOCKERFILE.format(base=stack(installation))}
    app.commit({**python_app("two"), **files})
    push = pushing(app)
    said(app, words)
    began = time.monotonic()
    installation.ssh("builds:cancel", app.app)
    stderr = push.communicate(timeout=10)[1]
    # Within 2 s by promise; a loaded machine is no reason to fail.
    assert time.monotonic() - began < 10
    assert push.returncode == 1 and "cancelled by" in stderr and "[remote rejected]" in stderr
    assert converged(installation, 10) == []
    assert installation.curl(app.app) == (200, "one\n")
    for name in files:
        (app.folder / name).unlink()
    app.commit(python_app("three"))
    assert "Live at" in app.push().stderr


def stack(installation: Installation) -> str:
    client = docker.from_env()
    try:
        tags = [tag for image in client.images.list() for tag in image.tags]
    finally:
        client.close()
    return next(tag for tag in tags if "/stack:" in tag and installation.id in tag)


def test_the_plan_changes_nothing(installation: Installation, app: Repository) -> None:
    before = installation.ssh("releases", app.app).stdout, installation.ssh("builds", app.app).stdout
    tip = app.remote_tip()
    app.commit(python_app("two", Procfile="web: python app.py\nrelease: python migrate.py\n"))
    done = app.push("-o", "plan", "main", check=False)
    assert done.returncode == 1 and "(this was only the plan)" in done.stderr
    assert "Would run release command: python migrate.py" in done.stderr and "web: python app.py" in done.stderr
    assert (installation.ssh("releases", app.app).stdout, installation.ssh("builds", app.app).stdout) == before
    assert app.remote_tip() == tip


def test_the_plan_of_a_first_push_leaves_no_app(installation: Installation, tmp_path: Path) -> None:
    repository = Repository(installation, tmp_path / "work", "planned")
    repository.commit(python_app("one"))
    done = repository.push("-o", "plan", "main", check=False)
    assert "Python app detected" in done.stderr and "(this was only the plan)" in done.stderr
    assert "planned" not in installation.ssh("apps").stdout
    assert converged(installation) == []


def test_an_unknown_push_option_is_refused(app: Repository) -> None:
    app.commit(python_app("two"))
    done = app.push("-o", "detatch", "main", check=False)
    assert done.returncode == 1 and "there is no push option 'detatch'" in done.stderr


def test_what_made_room_is_kept_stopped_and_a_rollback_starts_it_again(
    installation: Installation, app: Repository
) -> None:
    app.commit(python_app("two"))
    app.push()
    until(lambda: states(installation, app) == {"1": "exited", "2": "running"})
    began = time.monotonic()
    installation.ssh("rollback", app.app)
    assert time.monotonic() - began < 5
    assert installation.curl(app.app) == (200, "one\n")
    until(lambda: states(installation, app) == {"1": "running", "2": "exited"})
    assert converged(installation) == []


def states(installation: Installation, app: Repository) -> dict[str, str]:
    """State of the web container of each release."""
    client = docker.from_env()
    try:
        ours = [f"paas.installation={installation.id}", f"paas.app={app_id(installation, app)}"]
        found = client.containers.list(all=True, filters={"label": ours}, ignore_removed=True)
        return {one.labels["paas.release"]: one.status for one in found}
    finally:
        client.close()


def app_id(installation: Installation, app: Repository) -> str:
    return str(json.loads(installation.ssh("apps:info", app.app, "--json").stdout)["id"])
