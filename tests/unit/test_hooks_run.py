"""The hooks as git runs them: installed, in a process of their own, talking to a socket."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hooks import wire
from hooks.install import account, install

REFS = "0" * 40 + " " + "1" * 40 + " refs/heads/main\n"


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="paas-hooks-") as folder:
        yield Path(folder)


class Daemon(threading.Thread):
    """Answers one hook with `reply`."""

    def __init__(self, path: Path, reply: bytes) -> None:
        super().__init__()
        self.reply = reply
        self.asked: dict[str, object] = {}
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.listener.settimeout(10)

    def run(self) -> None:
        connection, _ = self.listener.accept()
        with self.listener, connection, connection.makefile("rb") as lines:
            self.asked = json.loads(lines.readline())
            connection.sendall(self.reply)


def hook(place: Path, name: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    folder = install(place / "hooks", "")
    variables = {"PAAS_SOCKET": str(place / "socket"), "PAAS_PUSH": "p1", "LC_ALL": "C", **env}
    # As git does: the repository, with a folder `hooks` of its own, is the working directory.
    (place / "repository" / "hooks").mkdir(parents=True)
    return subprocess.run(
        [str(folder / name)],
        input=REFS.encode(),
        capture_output=True,
        cwd=place / "repository",
        env=variables,
        timeout=20,
    )


def test_a_hook_tells_all_git_said_and_prints_what_comes_back(place: Path) -> None:
    daemon = Daemon(place / "socket", wire.say("-----> Building") + wire.say("ä") + wire.verdict(0))
    daemon.start()
    objects = {"GIT_OBJECT_DIRECTORY": "/o", "GIT_QUARANTINE_PATH": "/q"}
    options = {"GIT_PUSH_OPTION_COUNT": "2", "GIT_PUSH_OPTION_0": 'a "b"', "GIT_PUSH_OPTION_1": "detach"}
    done = hook(place, "pre-receive", **objects, **options)
    daemon.join()
    assert (done.returncode, done.stderr.decode()) == (0, "-----> Building\nä\n")
    assert daemon.asked == {
        "push": "p1",
        "phase": "pre-receive",
        "refs": [["0" * 40, "1" * 40, "refs/heads/main"]],
        "options": ['a "b"', "detach"],
        "objects": objects,
    }


def test_the_verdict_is_the_exit_code(place: Path) -> None:
    daemon = Daemon(place / "socket", wire.say("no") + wire.verdict(7))
    daemon.start()
    assert hook(place, "post-receive").returncode == 7
    daemon.join()
    assert daemon.asked["phase"] == "post-receive"


@pytest.mark.parametrize("reply", [b"", wire.say("half a bui")])
def test_a_daemon_that_goes_away_is_told_in_words_and_refuses(place: Path, reply: bytes) -> None:
    daemon = Daemon(place / "socket", reply)
    daemon.start()
    done = hook(place, "pre-receive")
    daemon.join()
    assert done.returncode == 1 and b"the server does not answer" in done.stderr


def test_without_a_daemon_a_push_is_refused_in_words(place: Path) -> None:
    done = hook(place, "pre-receive")
    assert done.returncode == 1 and b"the server does not answer" in done.stderr


def test_hooks_need_the_standard_library_only_and_little_of_it(place: Path) -> None:
    folder = install(place / "hooks", "")
    names = "import sys; from hooks import pre_receive; print(*sys.modules)"
    python = (folder / "pre-receive").read_text().splitlines()[0].removeprefix("#!").split()
    program = f"import sys; sys.path.insert(0, {str(folder / 'lib')!r}); {names}"
    loaded = subprocess.run([*python, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "hooks.wire" in loaded
    assert not {"json", "socket", "re", "typing", "collections", "site", "structlog"} & set(loaded)


def test_installing_again_changes_nothing_and_leaves_nothing_to_others(place: Path) -> None:
    install(place / "hooks", "")
    folder = install(place / "hooks", "")
    assert sorted(path.name for path in folder.iterdir()) == ["lib", "pack-objects", "post-receive", "pre-receive"]
    for path in folder.rglob("*"):
        assert path.stat().st_mode & 0o022 == 0 and path.stat().st_uid == os.geteuid()


@pytest.mark.parametrize(
    "value", ["plain", 'a "b" \\', "\x1b[31m\n", "ünïcode 🚀", "\udcff", ["a", ["b"]], {"k": ["v"]}]
)
def test_what_a_hook_sends_is_json(value: object) -> None:
    assert json.loads(wire.encode(value)) == value


def test_a_line_said_is_one_line() -> None:
    assert wire.say("a\nb") == b".a b\n"


def test_without_root_or_without_that_user_git_runs_as_ourselves() -> None:
    assert account("no-such-user") == (os.geteuid(), os.getegid())
