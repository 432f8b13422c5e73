"""Exporting a commit: what is written, and what is refused before anything is."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest
from dulwich.objects import Blob, Commit, ObjectID, Tree
from dulwich.repo import Repo

from builder.source import Limits, Source, export, tree_of
from core.errors import BuildFailed, NotFound

FILE, EXECUTABLE, LINK, SUBMODULE, FOLDER = 0o100644, 0o100755, 0o120000, 0o160000, 0o040000
LIMITS = Limits(blob=1_000, tree=5_000, files=50)


class Bare:
    """A bare repository whose trees are written object by object, as no git would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.repo = Repo.init_bare(str(path), mkdir=True)

    def blob(self, data: bytes) -> bytes:
        blob = Blob.from_string(data)
        self.repo.object_store.add_object(blob)
        return bytes(blob.id)

    def tree(self, *entries: tuple[bytes, int, bytes]) -> bytes:
        tree = Tree()
        for name, mode, id in entries:
            tree.add(name, mode, ObjectID(id))
        self.repo.object_store.add_object(tree)
        return bytes(tree.id)

    def commit(self, tree: bytes) -> str:
        commit = Commit()
        commit.tree = tree
        commit.author = commit.committer = b"A <a@example.com>"
        commit.author_time = commit.commit_time = commit.author_timezone = commit.commit_timezone = 0
        commit.message = b"m"
        self.repo.object_store.add_object(commit)
        return commit.id.decode()

    def export(self, *entries: tuple[bytes, int, bytes], limits: Limits = LIMITS) -> Source:
        return export(self.path, self.commit(self.tree(*entries)), self.path.parent / "out", limits)


@pytest.fixture
def bare(tmp_path: Path) -> Bare:
    return Bare(tmp_path / "repo.git")


def test_files_folders_links_and_exec_bits_are_written(bare: Bare) -> None:
    text = bare.blob(b"hello\n")
    inner = bare.tree((b"run.sh", EXECUTABLE, text), (b"up", LINK, bare.blob(b"../plain")))
    found = bare.export((b"plain", FILE, text), (b"sub", FOLDER, inner))
    assert (found.folder / "plain").read_text() == "hello\n"
    assert (found.folder / "sub/up").readlink() == Path("../plain")
    assert stat.S_IMODE((found.folder / "sub/run.sh").stat().st_mode) & 0o111 == 0o111
    assert not (found.folder / "plain").stat().st_mode & 0o111
    times = {os.lstat(path).st_mtime for path in found.folder.rglob("*")}
    assert len(times) == 1


def test_the_tree_is_named_so_that_equal_trees_are_known(bare: Bare) -> None:
    tree = bare.tree((b"a", FILE, bare.blob(b"x")))
    commit = bare.commit(tree)
    assert tree_of(bare.path, commit) == tree.decode()
    assert export(bare.path, commit, bare.path.parent / "out", LIMITS).tree == tree.decode()


def test_submodules_are_named_and_left_empty(bare: Bare) -> None:
    found = bare.export((b"lib", SUBMODULE, b"1" * 40), (b"a", FILE, bare.blob(b"x")))
    assert found.submodules == ("lib",)
    assert list((found.folder / "lib").iterdir()) == []


def test_an_unknown_commit_is_not_found(bare: Bare) -> None:
    for commit in ("0" * 40, "not a commit", bare.tree().decode()):
        with pytest.raises(NotFound):
            tree_of(bare.path, commit)


@pytest.mark.parametrize("name", [b".git", b".GIT", b".Git ", b"git~1", b"..", b".", b"a\\b", b"a\nb", b"\x1b[31m"])
def test_names_that_reach_elsewhere_are_refused_and_nothing_is_written(bare: Bare, name: bytes) -> None:
    with pytest.raises(BuildFailed, match="the path") as told:
        bare.export((b"fine", FILE, bare.blob(b"x")), (name, FILE, bare.blob(b"x")))
    assert "\x1b" not in told.value.message
    assert not (bare.path.parent / "out").exists()


@pytest.mark.parametrize("name", [b".gitignore", b".github", b".gitattributes", b"git", b"a b", "é".encode(), b"\xff"])
def test_names_that_only_look_like_those_are_kept(bare: Bare, name: bytes) -> None:
    found = bare.export((name, FILE, bare.blob(b"x")))
    assert [os.fsencode(path.name) for path in found.folder.iterdir()] == [name]


@pytest.mark.parametrize(
    "target", [b"/etc/passwd", b"..", b"../x", b"a/../../x", b"a/../b", b"", b"x\0y", b"y" * 5_000]
)
def test_links_that_may_leave_the_tree_are_refused(bare: Bare, target: bytes) -> None:
    with pytest.raises(BuildFailed):
        bare.export((b"link", LINK, bare.blob(target)), limits=Limits())
    assert not (bare.path.parent / "out").exists()


def test_of_two_entries_of_one_name_one_is_written_and_none_through_the_other(bare: Bare) -> None:
    link, text = bare.blob(b"b"), bare.blob(b"x")
    raw = b"120000 a\0" + bytes.fromhex(link.decode()) + b"100644 a\0" + bytes.fromhex(text.decode())
    twice = Tree.from_string(raw)
    bare.repo.object_store.add_object(twice)
    found = export(bare.path, bare.commit(bytes(twice.id)), bare.path.parent / "out", LIMITS)
    assert [path.name for path in found.folder.iterdir()] == ["a"]


def test_a_file_that_is_too_large_is_refused_with_both_sizes(bare: Bare) -> None:
    with pytest.raises(BuildFailed, match=r"big has 2\.0 MB, more than the 1\.0 MB"):
        bare.export((b"big", FILE, bare.blob(bytes(2 << 20))), limits=Limits(blob=1 << 20))
    assert not (bare.path.parent / "out").exists()


def test_the_same_file_many_times_counts_each_time(bare: Bare) -> None:
    once = bare.blob(b"x" * 900)
    with pytest.raises(BuildFailed, match="when unpacked"):
        bare.export(*[(b"f%d" % number, FILE, once) for number in range(6)])


def test_a_bomb_of_nested_trees_is_refused_fast(bare: Bare) -> None:
    tree = bare.tree((b"f", FILE, bare.blob(b"x")))
    for _ in range(9):
        tree = bare.tree(*[(b"d%d" % number, FOLDER, tree) for number in range(10)])
    begun = time.monotonic()
    with pytest.raises(BuildFailed, match="more than 20000 files"):
        export(bare.path, bare.commit(tree), bare.path.parent / "out", Limits(files=20_000))
    assert time.monotonic() - begun < 5
    assert not (bare.path.parent / "out").exists()


def test_a_tree_too_deep_for_paths_is_refused(bare: Bare) -> None:
    tree = bare.tree((b"f", FILE, bare.blob(b"x")))
    for _ in range(150):
        tree = bare.tree((b"d", FOLDER, tree))
    with pytest.raises(BuildFailed, match="too deep"):
        export(bare.path, bare.commit(tree), bare.path.parent / "out", Limits())
