"""Bare repositories, with real git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from core.errors import Conflict, Invalid, NotFound
from repos import bare, git

ENVIRONMENT = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
}
GENEROUS = (100 << 20, 1 << 30)
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    bare.create(tmp_path / "app.git", "")
    return tmp_path / "app.git"


def commit(folder: Path, tree: str = EMPTY_TREE, message: str = "m") -> str:
    git.run(folder, "hash-object", "-t", "tree", "-w", "--stdin")
    return git.run(folder, "commit-tree", tree, "-m", message, env=ENVIRONMENT).decode().strip()


def tree_of(folder: Path, *lines: str) -> str:
    return git.run(folder, "mktree", given="".join(f"{line}\n" for line in lines).encode()).decode().strip()


def blob(folder: Path, size: int) -> str:
    return git.run(folder, "hash-object", "-w", "--stdin", given=bytes(size)).decode().strip()


def test_a_new_repository_is_one_git_accepts_and_nobody_else_may_read(folder: Path) -> None:
    assert git.run(folder, "rev-parse", "--is-bare-repository") == b"true\n"
    assert git.run(folder, "config", "receive.shallowUpdate") == b"true\n"
    assert git.run(folder, "config", "transfer.hideRefs") == b"refs/paas\n"
    assert folder.stat().st_mode & 0o077 == 0
    assert bare.refs(folder) == {} and bare.tip(folder, "refs/heads/main") is None


def test_a_repository_is_not_made_twice(folder: Path) -> None:
    with pytest.raises(Conflict):
        bare.create(folder, "")


def test_what_a_dead_server_left_half_made_does_not_stand_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "incoming-app.git" / "objects").mkdir(parents=True)
    bare.create(tmp_path / "app.git", "")
    assert [path.name for path in tmp_path.iterdir()] == ["app.git"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_gives_the_repository_to_the_git_user(tmp_path: Path) -> None:
    bare.create(tmp_path / "app.git", "nobody")
    owners = {path.stat().st_uid for path in (tmp_path / "app.git").rglob("*")}
    assert owners == {(tmp_path / "app.git").stat().st_uid} != {0}


def test_removing_is_complete_and_may_be_repeated(folder: Path) -> None:
    bare.remove(folder)
    bare.remove(folder)
    assert list(folder.parent.iterdir()) == []


def test_a_repository_that_is_gone_is_not_found(folder: Path) -> None:
    bare.remove(folder)
    with pytest.raises(NotFound):
        bare.refs(folder)


def test_refs_move_only_from_where_they_are(folder: Path) -> None:
    one, two = commit(folder, message="one"), commit(folder, message="two")
    bare.move(folder, [("refs/heads/main", bare.ABSENT, one)])
    bare.move(folder, [("refs/heads/main", one, two)])
    with pytest.raises(Conflict):
        bare.move(folder, [("refs/heads/main", one, two)])
    with pytest.raises(Conflict):
        bare.move(folder, [("refs/heads/main", bare.ABSENT, one)])
    assert bare.tip(folder, "refs/heads/main") == two


def test_several_refs_move_together_or_not_at_all(folder: Path) -> None:
    one, two = commit(folder, message="one"), commit(folder, message="two")
    bare.move(folder, [("refs/heads/main", bare.ABSENT, one), ("refs/tags/v1", bare.ABSENT, one)])
    with pytest.raises(Conflict):
        bare.move(folder, [("refs/heads/main", one, two), ("refs/tags/v1", two, None)])
    assert bare.refs(folder) == {"refs/heads/main": one, "refs/tags/v1": one}
    bare.move(folder, [("refs/heads/main", one, None), ("refs/tags/v1", one, None)])
    assert bare.refs(folder) == {}


def test_a_pin_keeps_its_commit_and_is_no_ref_of_the_person(folder: Path) -> None:
    sha = commit(folder)
    bare.pin(folder, "v1", sha)
    bare.pin(folder, "v1", sha)
    git.run(folder, "gc", "--prune=now", "--quiet")
    assert git.run(folder, "cat-file", "-t", sha) == b"commit\n"
    assert bare.refs(folder) == {}
    bare.unpin(folder, "v1")
    bare.unpin(folder, "v1")
    assert bare.tip(folder, "refs/paas/v1") is None


def test_head_follows_the_deploy_branch(folder: Path) -> None:
    bare.set_head(folder, "master")
    bare.set_head(folder, "master")
    assert git.run(folder, "symbolic-ref", "HEAD") == b"refs/heads/master\n"


def test_a_small_tree_passes(folder: Path) -> None:
    tree = tree_of(folder, f"100644 blob {blob(folder, 10)}\ta file", f"160000 commit {'1' * 40}\tsubmodule")
    bare.sizes(folder, [commit(folder, tree)], {}, *GENEROUS)


def test_a_large_file_is_named(folder: Path) -> None:
    tree = tree_of(folder, f"100644 blob {blob(folder, 3 << 20)}\tvideo.mp4")
    with pytest.raises(Invalid, match=r"video\.mp4 has 3 MB; a file may have 2 MB"):
        bare.sizes(folder, [commit(folder, tree)], {}, 2 << 20, 1 << 30)


def test_a_tree_that_unpacks_to_too_much_is_refused(folder: Path) -> None:
    file = blob(folder, 1 << 20)
    tree = tree_of(folder, *(f"100644 blob {file}\t{number}" for number in range(5)))
    with pytest.raises(Invalid, match="larger than 4 MB"):
        bare.sizes(folder, [commit(folder, tree)], {}, 2 << 20, 4 << 20)


def test_a_git_bomb_is_refused_without_unfolding_it(folder: Path) -> None:
    tree = tree_of(folder, f"100644 blob {blob(folder, 0)}\tf")
    for _ in range(10):  # ten levels of ten: 10 000 000 000 files
        tree = tree_of(folder, *(f"040000 tree {tree}\t{number}" for number in range(10)))
    with pytest.raises(Invalid, match="more than 10000 files"):
        bare.sizes(folder, [commit(folder, tree)], {}, *GENEROUS, 10_000)


def test_git_runs_with_nobodys_configuration(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = Mallory\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    with pytest.raises(git.Refused):
        git.run(folder, "config", "user.name")


def test_a_clone_sees_no_pins(folder: Path, tmp_path: Path) -> None:
    sha = commit(folder)
    bare.move(folder, [("refs/heads/main", bare.ABSENT, sha)])
    bare.pin(folder, "v1", sha)
    seen = subprocess.run(["git", "ls-remote", str(folder)], capture_output=True, check=True).stdout.decode()
    assert "refs/heads/main" in seen and "refs/paas" not in seen


def packs(folder: Path) -> list[Path]:
    return sorted((folder / "objects" / "pack").glob("*.pack"))


def test_many_packs_are_put_together_and_no_object_is_lost(folder: Path) -> None:
    made = []
    for number in range(6):
        made.append(commit(folder, message=f"unreachable {number}"))
        pack = folder / "objects" / "pack" / "pack"
        git.run(folder, "pack-objects", "--quiet", str(pack), given=f"{made[-1]}\n".encode())
        git.run(folder, "prune-packed")
    bare.gather(folder, 6)
    assert len(packs(folder)) == 6
    bare.gather(folder, 5)
    assert len(packs(folder)) == 1
    assert all(git.run(folder, "cat-file", "-t", sha) == b"commit\n" for sha in made)


def test_gathering_the_packs_of_a_repository_that_is_gone_is_nothing(tmp_path: Path) -> None:
    bare.gather(tmp_path / "gone.git", 0)
