"""The first promise: a push that fails changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.installation import Installation
from tests.leftovers import objects
from tests.repository import Repository, python_app

pytestmark = pytest.mark.real

FAULTS = {
    "crash": ("exited with code 1", "cannot go on"),
    "port": ("127.0.0.1:5999", "$PORT"),
    "health": ("500",),
}


@contextmanager
def served_throughout(installation: Installation, app: str, body: str) -> Iterator[None]:
    """Ask again and again while the block runs; every answer must be `body`."""
    done, answers = threading.Event(), []

    def ask() -> None:
        while not done.is_set():
            answers.append(installation.curl(app))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    assert answers and set(answers) == {(200, body)}


def refused(repository: Repository, *words: str) -> None:
    """Push; it must be rejected, with a reason, and nothing must have moved."""
    before, tip = repository.tracked(), repository.remote_tip()
    done = repository.push(check=False)
    assert done.returncode == 1, done.stderr
    assert "! [remote rejected] main -> main (" in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    assert (repository.tracked(), repository.remote_tip()) == (before, tip)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_push_changes_nothing(installation: Installation, tmp_path: Path, fault: str) -> None:
    app = f"broken-{fault}"
    repository = Repository(installation, tmp_path / "work", app)
    repository.commit(python_app("one"))
    repository.push()
    assert installation.curl(app) == (200, "one\n")
    live = repository.head()
    installation.ssh("config:set", "--no-restart", app, f"FAULT={fault}")
    before = objects(installation.id)
    repository.commit(python_app("two"))
    with served_throughout(installation, app, "one\n"):
        refused(repository, *FAULTS[fault])
        refused(repository, *FAULTS[fault])
        assert objects(installation.id) == before
    assert repository.remote_tip() == live
    assert "! [remote rejected]" in repository.push("--force-with-lease", "main", check=False).stderr
    installation.ssh("config:unset", "--no-restart", app, "FAULT")
    repository.push()
    assert installation.curl(app) == (200, "two\n")
    assert repository.remote_tip() == repository.tracked() == repository.head()
    installation.ssh("apps:destroy", app, "--force")


def test_a_broken_push_of_a_syntax_error_changes_nothing(installation: Installation, tmp_path: Path) -> None:
    repository = Repository(installation, tmp_path / "work", "broken-syntax")
    repository.commit(python_app("one"))
    repository.push()
    before = objects(installation.id)
    repository.commit({"app.py": "def broken(:\n"})
    with served_throughout(installation, "broken-syntax", "one\n"):
        refused(repository, "SyntaxError")
        assert objects(installation.id) == before
    repository.commit(python_app("two"))
    repository.push()
    assert installation.curl("broken-syntax") == (200, "two\n")
    installation.ssh("apps:destroy", "broken-syntax", "--force")


def test_a_broken_push_of_a_failing_build_changes_nothing(installation: Installation, tmp_path: Path) -> None:
    app = "broken-build"
    script = 'if (process.env.FAULT) { console.error("no luck today"); process.exit(3) }'
    server = 'require("http").createServer((_, out) => out.end("VERSION\\n")).listen(process.env.PORT)'
    package = '{"name": "sample", "version": "1.0.0", "scripts": {"build": "node build.js", "start": "node server.js"}}'
    repository = Repository(installation, tmp_path / "work", app)
    repository.commit({"package.json": package, "build.js": script, "server.js": server.replace("VERSION", "one")})
    repository.push()
    assert installation.curl(app) == (200, "one\n")
    installation.ssh("config:set", "--no-restart", app, "FAULT=yes")
    before = objects(installation.id)
    repository.commit({"server.js": server.replace("VERSION", "two")})
    with served_throughout(installation, app, "one\n"):
        refused(repository, "no luck today")
        refused(repository, "no luck today")
        assert objects(installation.id) == before
    installation.ssh("config:unset", "--no-restart", app, "FAULT")
    repository.push()
    assert installation.curl(app) == (200, "two\n")
    installation.ssh("apps:destroy", app, "--force")


def test_a_first_push_that_fails_leaves_an_app_that_can_be_pushed_to(
    installation: Installation, tmp_path: Path
) -> None:
    before = objects(installation.id)
    repository = Repository(installation, tmp_path / "work", "broken-first")
    repository.commit({"app.py": "def broken(:\n", "Procfile": "web: python app.py\n"})
    refused(repository, "SyntaxError")
    assert repository.remote_tip() is None
    assert objects(installation.id) == before
    repository.commit(python_app("one"))
    repository.push()
    assert installation.curl("broken-first") == (200, "one\n")
    installation.ssh("apps:destroy", "broken-first", "--force")
    assert objects(installation.id) == before
