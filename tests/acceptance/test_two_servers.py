"""Two servers on one PostgreSQL and one state folder: one dies, the other goes on; on SQLite there is only ever one."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.installation import ROOT, Installation
from tests.invariants import converged
from tests.ports import free_port
from tests.postgres import Cluster
from tests.repository import Repository, python_app
from tests.waiting import until

pytestmark = pytest.mark.real


class Second:
    """Another server of the installation, on ports of its own."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.ssh_port = free_port()
        ports = {"PAAS_SSH_PORT": str(self.ssh_port), "PAAS_API_PORT": str(free_port())}
        self.log = (installation.folder / "second.log").open("w")
        self.process = subprocess.Popen(
            [str(ROOT / ".venv" / "bin" / "python"), "-m", "server.main"],
            cwd=ROOT,
            env={**installation.environment, **ports, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    @property
    def ssh_command(self) -> list[str]:
        alias = f"HostKeyAlias=[127.0.0.1]:{self.installation.ssh_port}"
        return [*self.installation.ssh_command, "-p", str(self.ssh_port), "-o", alias]

    def ssh(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.installation.call([*self.ssh_command, "paas", *arguments], check=check)

    def push(self, repository: Repository) -> subprocess.Popen[str]:
        """`git push paas main` through this server, in the background."""
        env = {**self.installation.git_env(), "GIT_SSH_COMMAND": " ".join(self.ssh_command)}
        command = ["git", "push", "paas", "main"]
        return subprocess.Popen(command, cwd=repository.folder, env=env, stderr=subprocess.PIPE, text=True)

    def answers(self) -> bool:
        return self.ssh("version", check=False).returncode == 0

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture(scope="module")
def shared(postgres: Cluster) -> Iterator[Installation]:
    made = Installation(database_url=postgres.database(), lease=3)
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def second(shared: Installation) -> Iterator[Callable[[], Second]]:
    opened: list[Second] = []

    def another() -> Second:
        one = Second(shared)
        opened.append(one)
        until(one.answers, 30)
        return one

    yield another
    for one in opened:
        one.close()


SLOWLY = {"Procfile": "web: python app.py\nrelease: sleep 8\n"}


def test_both_servers_take_pushes_and_follow_each_others_logs(
    shared: Installation, second: Callable[[], Second], tmp_path: Path
) -> None:
    other = second()
    repository = Repository(shared, tmp_path / "work", "both")
    repository.commit(python_app("one"))
    repository.push()
    repository.commit(python_app("two"))
    pushing = other.push(repository)
    attached = shared.ssh("builds:attach", "both", check=False) if wait_for_build(shared, "both", 2) else None
    assert pushing.wait(60) == 0
    assert attached is not None and attached.returncode == 0 and "=====> Live at" in attached.stdout
    assert shared.curl("both") == (200, "two\n")
    assert other.ssh("releases", "both").stdout == shared.ssh("releases", "both").stdout
    assert converged(shared) == []


def wait_for_build(installation: Installation, app: str, number: int) -> bool:
    until(lambda: installation.ssh("builds:info", app, str(number), check=False).returncode == 0)
    return True


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped for a while"])
def test_what_one_server_leaves_undone_the_other_finishes(
    shared: Installation, second: Callable[[], Second], tmp_path: Path, how: signal.Signals
) -> None:
    app = f"left-{how.name.lower()}"
    doomed = second()
    repository = Repository(shared, tmp_path / "work", app)
    repository.commit(python_app("one"))
    repository.push()
    repository.commit(python_app("two", **SLOWLY))
    pushing = doomed.push(repository)
    until(lambda: "Running release command" in shared.ssh("builds:output", app, "2", check=False).stdout)
    os.kill(doomed.process.pid, how)
    attached = shared.ssh("builds:attach", app, "2")
    assert "=====> Live at" in attached.stdout
    assert shared.curl(app) == (200, "two\n")
    if how == signal.SIGSTOP:
        os.kill(doomed.process.pid, signal.SIGCONT)
        until(doomed.answers)
    else:
        assert pushing.wait(30) != 0
    pushing.kill()
    pushing.wait()
    assert converged(shared) == []
    assert shared.curl(app) == (200, "two\n")
    assert [line.split()[0] for line in shared.ssh("releases", app).stdout.splitlines()[1:]] == ["v2", "v1"]


def test_a_second_server_on_sqlite_refuses_to_start(installation: Installation) -> None:
    refused = Second(installation)
    try:
        assert refused.process.wait(30) == 40
        said = Path(refused.log.name).read_text()
        assert f"another server runs on {installation.home}" in said and "Traceback" not in said
    finally:
        refused.close()
    assert installation.ssh("version").returncode == 0
