"""The server is killed at every named point of a push, and the proxy whenever; traffic never stops."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.load import Load
from core.failpoints import POINTS
from tests.installation import Installation
from tests.invariants import converged
from tests.repository import Repository, python_app
from tests.waiting import until

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def fragile(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    repository = Repository(installation, tmp_path_factory.mktemp("fragile") / "work", "fragile")
    repository.commit(python_app("zero"))
    repository.push()
    yield repository
    installation.ssh("apps:destroy", "fragile", "--force")


def back(installation: Installation, name: str, old: int) -> float:
    """Seconds until the supervisor has another process in place of the killed one."""
    began = time.monotonic()
    while time.monotonic() < began + 10:
        if (pid := installation.program(name)) and pid != old:
            return time.monotonic() - began
        time.sleep(0.005)
    raise AssertionError(f"{name} did not come back")


@contextmanager
def loaded(installation: Installation) -> Iterator[None]:
    """50 requests a second while the block runs; none may fail."""
    load = Load(f"http://127.0.0.1:{installation.http_port}/", "fragile.localhost", rate=50)
    load.start()
    try:
        yield
    finally:
        report = load.stop()
    assert report.failed == 0 and report.sent > 0, report.failures


def answers(installation: Installation) -> bool:
    return installation.ssh("version", check=False).returncode == 0


@pytest.mark.parametrize("point", POINTS)
def test_a_server_killed_in_mid_push_loses_nothing(installation: Installation, fragile: Repository, point: str) -> None:
    old = installation.program("server")
    before = installation.curl("fragile")[1]
    fragile.commit(python_app(f"at-{point}"))
    armed = installation.home / "fail" / point
    armed.parent.mkdir(exist_ok=True)
    armed.write_text("kill")
    with loaded(installation):
        done = fragile.push(check=False)
        assert not armed.exists(), f"{point} was never hit: {done.stderr}"
        assert done.returncode != 0
        until(lambda: installation.program("server") not in (0, old) and answers(installation))
        assert converged(installation) == []
    body = installation.curl("fragile")[1]
    assert body in (before, f"at-{point}\n")
    again = fragile.push(check=False)
    assert again.returncode == 0, again.stderr
    assert installation.curl("fragile") == (200, f"at-{point}\n")
    assert converged(installation) == []


def test_a_killed_proxy_is_back_with_every_route(installation: Installation, fragile: Repository) -> None:
    body = installation.curl("fragile")
    old = installation.program("proxy")
    os.kill(old, signal.SIGKILL)
    back(installation, "proxy", old)
    until(lambda: installation.curl("fragile") == body, 5)
    assert converged(installation) == []


def test_apps_are_served_while_there_is_no_server(installation: Installation, fragile: Repository) -> None:
    old = installation.program("server")
    with loaded(installation):
        os.kill(old, signal.SIGKILL)
        back(installation, "server", old)
        until(lambda: answers(installation))
