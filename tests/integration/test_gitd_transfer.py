"""Large and odd transfers are byte-exact, both ways."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from repos import git
from tests.sshdoor import SshDoor

pytestmark = pytest.mark.real

FILES, FILE_BYTES = 40, 10 << 20


@pytest.fixture(scope="module")
def door() -> Iterator[SshDoor]:
    with SshDoor() as opened:
        yield opened


def objects(door: SshDoor, folder: Path) -> bytes:
    """Every object of a repository, as (id, type, size), sorted."""
    check = "--batch-check=%(objectname) %(objecttype) %(objectsize)"
    done = door.git(folder, "cat-file", "--batch-all-objects", check)
    return done.stdout


def packs(door: SshDoor, app: str) -> int:
    return len(list((door.bare(app) / "objects" / "pack").glob("*.pack")))


def clone(door: SshDoor, app: str, name: str, *options: str) -> Path:
    door.git(door.folder, "clone", "-q", *options, f"paas@127.0.0.1:{app}", name)
    return door.folder / name


def test_four_hundred_megabytes_are_byte_exact_both_ways(door: SshDoor) -> None:
    folder = door.repository("big")
    for setting in (("core.compression", "0"), ("core.bigFileThreshold", "1m")):
        door.git(folder, "config", *setting)
    for number in range(FILES):
        (folder / f"{number}.bin").write_bytes(os.urandom(FILE_BYTES))
    door.commit(folder, "large")
    door.git(folder, "push", "-q", "paas", "main", "HEAD:refs/tags/v1")
    copy = clone(door, "big", "big-copy", "--bare")
    assert objects(door, folder) == objects(door, copy)
    door.git(copy, "fsck", "--full", "--strict")
    again = clone(door, "big", "big-again", "--bare", "--single-branch", "--no-tags", "--depth=1")  # not as it lies
    assert objects(door, again).count(b"blob") == FILES + 1


def test_a_repository_of_one_pack_and_of_several_clone_the_same(door: SshDoor) -> None:
    folder = door.repository("packs")
    door.git(folder, "tag", "-a", "annotated", "-m", "a tag of its own")
    door.git(folder, "push", "-q", "paas", "main", "annotated")
    assert packs(door, "packs") == 1
    assert objects(door, clone(door, "packs", "one-pack")) == objects(door, folder)
    door.commit(folder, "second")
    door.git(folder, "push", "-q", "paas", "main")
    assert packs(door, "packs") == 2
    assert objects(door, clone(door, "packs", "two-packs")) == objects(door, folder)
    git.run(door.bare("packs"), "gc", "--quiet")
    assert packs(door, "packs") == 1
    assert objects(door, clone(door, "packs", "gathered")) == objects(door, folder)


def test_a_fetch_brings_only_what_is_new(door: SshDoor) -> None:
    folder = door.repository("fetched")
    door.git(folder, "push", "-q", "paas", "main")
    copy = clone(door, "fetched", "fetched-copy")
    new = door.commit(folder, "new")
    door.git(folder, "push", "-q", "paas", "main")
    git.run(door.bare("fetched"), "gc", "--quiet")
    door.git(copy, "fetch", "-q", "origin")
    assert door.git(copy, "rev-parse", "origin/main").stdout.decode().strip() == new


@pytest.mark.parametrize("options", [["--depth=1"], ["--shallow-exclude=old"], ["--single-branch"]])
def test_partial_clones_get_their_part(door: SshDoor, options: list[str]) -> None:
    app = f"partial-{options[0].strip('-').partition('=')[0]}"
    folder = door.repository(app)
    for number in range(3):
        door.commit(folder, f"number {number}")
    door.git(folder, "push", "-q", "paas", "main", "HEAD~2:refs/tags/old")
    copy = clone(door, app, f"{app}-copy", "--no-tags", *options)
    assert door.git(copy, "rev-parse", "HEAD").stdout == door.git(folder, "rev-parse", "HEAD").stdout
    if "depth" in options[0]:
        assert objects(door, copy).count(b"commit") == 1
    if "exclude" in options[0]:
        assert objects(door, copy).count(b"commit") == 2


def test_an_old_protocol_client_is_served_too(door: SshDoor) -> None:
    folder = door.repository("old")
    for version in ("0", "1", "2"):
        door.commit(folder, f"version {version}")
        door.git(folder, "-c", f"protocol.version={version}", "push", "-q", "paas", "main")
        copy = door.folder / f"old-{version}"
        door.git(door.folder, "-c", f"protocol.version={version}", "clone", "-q", "paas@127.0.0.1:old", str(copy))
        assert objects(door, copy) == objects(door, folder)


def test_a_client_that_stops_reading_costs_no_memory(door: SshDoor) -> None:
    """A window of a gigabyte does not make us hold a gigabyte."""
    folder = door.repository("stalled")
    (folder / "large").write_bytes(os.urandom(96 << 20))
    door.commit(folder, "large")
    door.git(folder, "push", "-q", "paas", "main")
    before = resident()
    program = (
        "import asyncio, asyncssh, sys\n"
        "async def main():\n"
        "    c = await asyncssh.connect('127.0.0.1', int(sys.argv[1]), username='x', known_hosts=None, config=None,\n"
        "        client_keys=[sys.argv[2]], agent_path=None)\n"
        "    p = await c.create_process(\"git-upload-pack 'stalled'\", encoding=None, window=1 << 30)\n"
        "    head = await p.stdout.readuntil(b'0000')\n"
        "    p.stdin.write(b'0032want ' + head[4:44] + b'\\n00000009done\\n')\n"
        "    await p.stdin.drain()\n"
        "    await p.stdout.readexactly(1 << 20)\n"
        "    c._transport.pause_reading()\n"
        "    print('stalled', flush=True)\n"
        "    sys.stdin.read()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, str(door.port), str(door.folder / "ann")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"stalled\n"
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            assert resident() - before < 32 << 20
            time.sleep(0.1)
        process.kill()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
