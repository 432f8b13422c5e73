"""A push goes live, as a developer sees it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.installation import Installation
from tests.repository import Repository, python_app

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def hello(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """An app that is live."""
    repository = Repository(installation, tmp_path_factory.mktemp("hello") / "work", "hello")
    repository.commit(python_app("one"))
    done = repository.push()
    assert "Live at" in done.stderr
    return repository


@pytest.mark.parametrize(
    ("sample", "path", "word"),
    [
        ("flask", "/", ""),
        ("express", "/", ""),
        ("vite", "/any/route", "<"),
        ("static", "/", "<"),
        ("dockerfile", "/", ""),
    ],
)
def test_a_sample_goes_live(installation: Installation, tmp_path: Path, sample: str, path: str, word: str) -> None:
    repository = Repository(installation, tmp_path / "work", f"sample-{sample}")
    repository.sample(sample)
    done = repository.push()
    url = re.search(r"=====> Live at (http://\S+) \(v1, ", done.stderr)
    assert url, done.stderr
    assert url.group(1) == installation.url(repository.app).rstrip("/")
    status, body = installation.curl(repository.app, path)
    assert status == 200 and word in body
    installation.ssh("apps:destroy", repository.app, "--force")


def test_the_push_says_what_it_does(installation: Installation, hello: Repository) -> None:
    output = installation.ssh("builds:output", "hello", "1").stdout
    for words in ("-----> Building hello from", "-----> Releasing v1", "-----> Starting web (1)", "-----> Routing"):
        assert words in output


def test_a_commit_with_the_same_tree_makes_no_release(installation: Installation, hello: Repository) -> None:
    before = installation.ssh("releases", "hello", "--json").stdout
    hello.commit({}, "only words")
    done = hello.push()
    assert "Nothing has changed" in done.stderr
    assert installation.ssh("releases", "hello", "--json").stdout == before
    assert hello.remote_tip() == hello.head()


def test_another_branch_is_refused_with_the_way_to_deploy_it(hello: Repository) -> None:
    hello.git("branch", "-f", "feature")
    hello.git("tag", "-f", "v0.1")
    done = hello.push("feature", "v0.1", check=False)
    assert done.returncode == 1
    assert "git push paas feature:main" in done.stderr
    assert "[new tag]" in done.stderr
    assert hello.remote_tip("refs/heads/feature") is None
    assert hello.remote_tip("refs/tags/v0.1") == hello.head()


def test_the_deploy_branch_cannot_be_deleted(hello: Repository) -> None:
    tip = hello.remote_tip()
    done = hello.push("--delete", "main", check=False)
    assert done.returncode == 1
    assert "apps:destroy" in done.stderr
    assert hello.remote_tip() == tip


def test_a_shallow_clone_can_push(installation: Installation, hello: Repository, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    installation.git(tmp_path, "clone", "-q", "--depth", "1", f"file://{hello.folder}", str(shallow))
    done = installation.git(shallow, "push", "paas:shallow", "main")
    assert "Live at" in done.stderr
    installation.ssh("apps:destroy", "shallow", "--force")


def test_a_clone_brings_back_what_was_pushed(installation: Installation, hello: Repository, tmp_path: Path) -> None:
    installation.git(tmp_path, "clone", "-q", "paas:hello", "back")
    assert (tmp_path / "back" / "app.py").read_text() == (hello.folder / "app.py").read_text()


def test_a_fetch_never_creates_an_app(installation: Installation, tmp_path: Path) -> None:
    done = installation.git(tmp_path, "clone", "paas:nowhere", check=False)
    assert done.returncode != 0
    assert "there is no app 'nowhere'" in done.stderr
    assert "nowhere" not in installation.ssh("apps:list").stdout


@pytest.mark.parametrize("name", ["Upper", "a", "with_underscore", "-dash", "www", "a" * 41])
def test_a_name_that_cannot_be_is_refused_in_words(installation: Installation, hello: Repository, name: str) -> None:
    done = hello.git("push", f"paas:{name}", "main", check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "name" in done.stderr or "command" in done.stderr
