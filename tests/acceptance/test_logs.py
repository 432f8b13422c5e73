"""What an operator reads of an app whose processes end by themselves, write without end, or write garbage."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.installation import Installation
from tests.repository import Repository, python_app
from tests.waiting import until

pytestmark = pytest.mark.real

PROCFILE = """web: python app.py
crash: python -c "import time; time.sleep(2); exit(3)"
hoard: python -c "import time; time.sleep(2); hoard = b'x' * (1 << 30)"
flood: yes flood
garbage: python garbage.py
"""
GARBAGE = r"""
import os, time
os.write(1, b"\x1b]0;owned\x07\x1b[31mcaf\xe9\0\x1b[2J\n" + b"z" * 200000 + b"\nend of it\n")
time.sleep(600)
"""


@pytest.fixture(scope="module")
def noisy(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    repository = Repository(installation, tmp_path_factory.mktemp("noisy") / "work", "noisy")
    repository.commit(python_app("one", **{"Procfile": PROCFILE, "garbage.py": GARBAGE}))
    repository.push()
    installation.ssh("ps:scale", "noisy", "crash=1", "hoard=1", "flood=1", "garbage=1")
    yield repository
    installation.ssh("apps:destroy", "noisy", "--force")


def test_how_processes_ended_is_told_in_the_log_and_by_ps(installation: Installation, noisy: Repository) -> None:
    def told() -> str:
        return installation.ssh("logs", "noisy", "-p", "paas").stdout

    until(lambda: "(2 times)" in told() and "out of memory" in told(), 60)
    assert "paas: crash.1 (v1) exited with code 3 and was restarted\n" in told()
    assert "paas: hoard.1 (v1) ran out of memory (limit 512 MB) and was restarted" in told()
    until(lambda: "out of memory, restarted" in installation.ssh("ps", "noisy").stdout)


def test_a_flood_and_garbage_are_harmless_to_readers(installation: Installation, noisy: Repository) -> None:
    until(lambda: "flood.1 (v1) wrote faster than" in installation.ssh("logs", "noisy", "-p", "paas").stdout)
    until(lambda: "end of it" in installation.ssh("logs", "noisy", "-p", "garbage").stdout)
    cafe, cut, end = installation.ssh("logs", "noisy", "-p", "garbage.1").stdout.splitlines()
    assert cafe.endswith("garbage.1: caf\N{REPLACEMENT CHARACTER}") and end.endswith("end of it")
    assert cut.count("z") == 64 << 10
    assert installation.curl("noisy") == (200, "one\n")


def test_lines_are_found_by_their_release_and_time(installation: Installation, noisy: Repository) -> None:
    installation.curl("noisy", "/under-v1")
    until(lambda: "/under-v1" in installation.ssh("logs", "noisy", "-p", "web").stdout)
    installation.ssh("config:set", "noisy", "A=1")
    installation.curl("noisy", "/under-v2")
    until(lambda: "/under-v2" in installation.ssh("logs", "noisy", "--release", "v2").stdout)
    lines = installation.ssh("logs", "noisy", "--since", "1h", "--release", "v1", "-p", "web", "--json").stdout
    found = [json.loads(line) for line in lines.splitlines()]
    assert {line["release"] for line in found} == {1} and any("/under-v1" in line["text"] for line in found)
    assert "web.1 (v1)" not in installation.ssh("logs", "noisy", "-p", "paas").stdout
    assert installation.ssh("logs", "noisy", "--since", "2999-01-01").stdout == ""
    assert installation.ssh("logs", "noisy", "--since", "soon", check=False).returncode == 2
