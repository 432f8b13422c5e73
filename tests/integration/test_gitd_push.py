"""Pushes through the real door: real git, real ssh, real hooks, the real flow; only the build is left out."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from repos import bare
from tests.sshdoor import SshDoor

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def shared() -> Iterator[SshDoor]:
    with SshDoor() as door:
        yield door


@pytest.fixture
def door(shared: SshDoor) -> SshDoor:
    shared.verdicts.fault = ""
    shared.verdicts.output = ("-----> Building",)
    shared.verdicts.hold.set()
    return shared


def soon(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def repositories(door: SshDoor) -> list[str]:
    return sorted(path.name for path in (door.home / "repos").iterdir())


def children(door: SshDoor) -> str:
    """Processes of git's that this door has started and that still run."""
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return "\n".join(line for line in listed.splitlines() if str(door.home) in line)


def test_the_first_push_makes_the_app_and_a_clone_gives_it_back(door: SshDoor) -> None:
    folder = door.repository("first")
    done = door.git(folder, "push", "paas", "main")
    assert b"remote: -----> Building" in done.stderr and b"[new branch]      main -> main" in done.stderr
    door.git(door.folder, "clone", "-q", "paas@127.0.0.1:/first.git", "cloned")
    assert (door.folder / "cloned" / "file").read_text() == "first"
    door.git(door.folder / "cloned", "fsck", "--strict")


def test_a_failed_deploy_rejects_the_push_and_moves_nothing(door: SshDoor) -> None:
    folder = door.repository("failing")
    door.git(folder, "push", "paas", "main")
    good = bare.tip(door.bare("failing"), "refs/heads/main")
    bad = door.commit(folder, "broken")
    door.verdicts.fault = "the build failed: no such module"
    done = door.git(folder, "push", "paas", "main", check=False)
    assert done.returncode == 1
    assert b"! [remote rejected] main -> main (the build failed: no such module)" in done.stderr
    assert bare.tip(door.bare("failing"), "refs/heads/main") == good
    tracked = door.git(folder, "rev-parse", "refs/remotes/paas/main").stdout.decode().strip()
    assert tracked == good
    door.verdicts.fault = ""
    door.git(folder, "push", "--force-with-lease", "paas", "main")
    assert bare.tip(door.bare("failing"), "refs/heads/main") == bad and door.verdicts.done.count(bad) == 2


def test_output_arrives_line_by_line_while_the_deploy_goes_on(door: SshDoor) -> None:
    folder = door.repository("lines")
    door.verdicts.output = ("-----> Building \x1b[31mred\x1b[0m\x07", "       tab\there")
    door.verdicts.hold.clear()
    command = ["git", "push", "paas", "main"]
    with subprocess.Popen(command, cwd=folder, env=door.git_env(), stderr=subprocess.PIPE) as process:
        assert process.stderr
        assert process.stderr.readline().rstrip() == b"remote: -----> Building red"
        assert process.stderr.readline().rstrip() == b"remote:        tab\there"
        assert process.poll() is None
        door.verdicts.hold.set()
        assert process.wait(20) == 0


def test_tags_are_stored_and_deploy_nothing(door: SshDoor) -> None:
    folder = door.repository("tagged")
    before = len(door.verdicts.done)
    door.git(folder, "push", "paas", "HEAD:refs/tags/v1")
    assert list(bare.refs(door.bare("tagged"))) == ["refs/tags/v1"] and len(door.verdicts.done) == before


def test_another_branch_is_refused_with_a_hint_while_the_rest_goes_on(door: SshDoor) -> None:
    folder = door.repository("branches")
    done = door.git(folder, "push", "paas", "main", "main:topic", "HEAD:refs/tags/v1", check=False)
    assert done.returncode == 1
    assert b"[new branch]      main -> main" in done.stderr and b"[new tag]" in done.stderr
    assert b"main -> topic (branches deploys from main: git push paas topic:main)" in done.stderr
    assert sorted(bare.refs(door.bare("branches"))) == ["refs/heads/main", "refs/tags/v1"]


def test_deleting_the_deploy_branch_is_refused_in_words(door: SshDoor) -> None:
    folder = door.repository("kept")
    door.git(folder, "push", "paas", "main")
    done = door.git(folder, "push", "paas", ":main", check=False)
    assert done.returncode == 1 and b"it cannot be deleted" in done.stderr
    assert bare.tip(door.bare("kept"), "refs/heads/main")


def test_a_shallow_clone_can_be_pushed(door: SshDoor) -> None:
    folder = door.repository("deep")
    for number in range(3):
        door.commit(folder, f"more {number}")
    door.git(door.folder, "clone", "-q", "--depth=1", f"file://{folder}", "shallow")
    door.git(door.folder / "shallow", "push", "paas@127.0.0.1:shallow", "main")
    assert bare.tip(door.bare("shallow"), "refs/heads/main")


def test_a_refused_first_push_leaves_no_repository(door: SshDoor) -> None:
    before = repositories(door)
    folder = door.repository("unborn")
    done = door.git(folder, "push", "paas", "HEAD:refs/notes/x", check=False)
    assert b"only branches and tags are taken" in done.stderr
    soon(lambda: repositories(door) == before, "the repository of a push that came to nothing is still there")


def test_a_client_that_only_looks_leaves_no_repository(door: SshDoor) -> None:
    before = repositories(door)
    folder = door.repository("looked-at")
    door.git(folder, "push", "--dry-run", "paas", "main")
    soon(lambda: repositories(door) == before, "the repository of a dry run is still there")


def test_a_fetch_never_makes_an_app(door: SshDoor) -> None:
    before = repositories(door)
    done = door.git(door.folder, "clone", "paas@127.0.0.1:nowhere", check=False)
    assert b"there is no app 'nowhere'" in done.stderr and repositories(door) == before


def test_somebody_elses_app_is_not_there(door: SshDoor) -> None:
    door.person("bob")
    folder = door.repository("private")
    door.git(folder, "push", "paas", "main")
    theirs = door.repository("private", name="bob")
    pushed = door.git(theirs, "push", "paas", "main", name="bob", check=False)
    assert pushed.returncode != 0 and b"not available" in pushed.stderr
    cloned = door.git(door.folder, "clone", "paas@127.0.0.1:private", name="bob", check=False)
    assert b"there is no app 'private'" in cloned.stderr


def test_a_push_cut_off_in_mid_build_leaves_no_process_and_the_deploy_goes_on(door: SshDoor) -> None:
    folder = door.repository("cut")
    door.verdicts.output = [f"line {number} {'x' * 500}" for number in range(2000)]
    door.verdicts.hold.clear()
    command = ["git", "push", "paas", "main"]
    with subprocess.Popen(
        command, cwd=folder, env=door.git_env(), stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        soon(lambda: "post-receive" in children(door), "the hook never ran")
        os.killpg(process.pid, signal.SIGKILL)
    door.verdicts.hold.set()
    soon(lambda: children(door) == "", f"left over: {children(door)}")
    soon(lambda: door.git(folder, "rev-parse", "HEAD").stdout.decode().strip() in door.verdicts.done, "not deployed")


def test_a_pack_over_the_limit_is_refused_with_both_numbers(tmp_path: Path) -> None:
    with SshDoor(pack_limit=1 << 20) as small:
        folder = small.repository("large")
        (folder / "large").write_bytes(os.urandom(3 << 20))
        small.commit(folder, "large")
        done = small.git(folder, "push", "paas", "main", check=False)
        assert done.returncode == 1
        assert b"! [remote rejected] main -> main (the pack is larger than the 1 MB allowed" in done.stderr


def test_twenty_pushes_at_once_all_arrive(door: SshDoor) -> None:
    folders = [door.repository(f"many-{number}") for number in range(20)]
    running = [
        subprocess.Popen(["git", "push", "-q", "paas", "main"], cwd=folder, env=door.git_env(), stderr=subprocess.PIPE)
        for folder in folders
    ]
    for process in running:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
