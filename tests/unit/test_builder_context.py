"""The build context as the engine reads it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from builder.cgroup import BuildLimits, limit
from builder.context import dockerignore, nothing_ignored, tar


def unpacked(folder: Path, prefix: str = "src/", files: dict[str, bytes] | None = None) -> dict[str, tarfile.TarInfo]:
    data = b"".join(tar(folder, prefix, files or {}, nothing_ignored))
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        return {member.name: member for member in opened}


def test_the_tree_lies_below_its_prefix_with_its_kinds_and_exec_bits(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "a" / "run.sh").chmod(0o755)
    (tmp_path / "plain").write_bytes(b"x" * 1_000)
    (tmp_path / "link").symlink_to("a")
    members = unpacked(tmp_path)
    assert list(members) == ["src/a", "src/link", "src/plain", "src/a/run.sh"]
    assert members["src/a"].isdir()
    assert members["src/a/run.sh"].mode == 0o755
    assert (members["src/plain"].mode, members["src/plain"].size) == (0o644, 1_000)
    assert members["src/link"].linkname == "a"


def test_no_header_is_pax_even_for_long_and_foreign_names(tmp_path: Path) -> None:
    name = "é" * 120
    (tmp_path / name).write_text("x")
    data = b"".join(tar(tmp_path, "src/", {"Dockerfile": b"FROM x\n"}, nothing_ignored))
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        assert opened.next().name == "Dockerfile"  # type: ignore[union-attr]
        assert f"src/{name}" in opened.getnames()
        assert not opened.pax_headers


def test_a_given_file_takes_the_place_of_the_trees(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("# syntax=x\nFROM y\n")
    members = unpacked(tmp_path, "", {"Dockerfile": b"FROM y\n"})
    assert members["Dockerfile"].size == len("FROM y\n")


@pytest.mark.parametrize(
    ("text", "path", "out"),
    [
        ("node_modules\n", "node_modules", True),
        ("node_modules\n", "node_modules/a/b.js", True),
        ("node_modules\n", "web/node_modules", False),
        ("**/node_modules\n", "web/node_modules/x", True),
        ("*.md\n!README.md\n", "CHANGES.md", True),
        ("*.md\n!README.md\n", "README.md", False),
        ("*.md\n", "docs/a.md", False),
        ("# comment\n\n/build/\n", "build/x", True),
        ("./secret\n", "secret", True),
        ("*\n!src\n", "src/a.py", False),
    ],
)
def test_dockerignore_patterns_are_anchored_at_the_root(text: str, path: str, out: bool) -> None:
    assert dockerignore(text)(path) is out


def test_limits_are_written_where_cgroups_of_the_first_kind_have_them(tmp_path: Path) -> None:
    assert limit(BuildLimits(memory=1 << 30, pids=100, cpus=1.5), tmp_path)
    found = {str(file.relative_to(tmp_path)): file.read_text() for file in tmp_path.rglob("*") if file.is_file()}
    assert found == {
        "pids/docker/buildkit/pids.max": "100",
        "memory/docker/buildkit/memory.limit_in_bytes": str(1 << 30),
        "cpu/docker/buildkit/cpu.cfs_quota_us": "150000",
    }


def test_limits_are_written_where_cgroups_of_the_second_kind_have_them(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    assert limit(BuildLimits(memory=1 << 30, pids=100, cpus=1.5), tmp_path)
    assert (tmp_path / "docker/buildkit/cpu.max").read_text() == "150000 100000"
    assert (tmp_path / "docker/buildkit/memory.max").read_text() == str(1 << 30)


def test_a_machine_that_does_not_let_us_limit_still_builds(tmp_path: Path) -> None:
    (tmp_path / "pids").write_text("a file in the way")
    assert not limit(BuildLimits(), tmp_path)
