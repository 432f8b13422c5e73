"""Debian's runit, for real; systemd's unit files are in tests/unit/test_setup.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.supervise import Program, Runit, call, detach, running, started, terminate, wait

pytestmark = pytest.mark.real


@pytest.fixture
def runit(tmp_path: Path) -> Iterator[Runit]:
    (tmp_path / "env").write_text("GREETING='hello world'\n")
    made = Runit(tmp_path / "service", tmp_path / "log", tmp_path, tmp_path / "env")
    yield made
    made.stop()


def sleeper(name: str, version: str = "1") -> Program:
    return Program(name, ("sleep", "600"), version)


def pid(runit: Runit, name: str) -> int:
    file = runit.folder / name / "supervise" / "pid"
    assert wait(lambda: file.exists() and file.read_text().strip() and started(int(file.read_text())), 5)
    return int(file.read_text())


def test_a_killed_program_is_back_within_a_second(runit: Runit) -> None:
    runit.start([sleeper("one")], fresh=False)
    first = pid(runit, "one")
    # runit starts a program at most once a second, so one that has just begun would have to wait.
    assert wait(lambda: age(first) > 1.1, 5)
    os.kill(first, signal.SIGKILL)
    killed = time.monotonic()
    assert wait(lambda: pid(runit, "one") != first, 2)
    assert time.monotonic() - killed < 1


def age(number: int) -> float:
    ticks = int((started(number) or "0 0").split()[1])
    return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


def test_starting_again_touches_only_what_changed(runit: Runit) -> None:
    runit.start([sleeper("one"), sleeper("two")], fresh=False)
    before = pid(runit, "one"), pid(runit, "two"), running(runit.record)
    runit.start([sleeper("one"), sleeper("two")], fresh=False)
    assert (pid(runit, "one"), pid(runit, "two"), running(runit.record)) == before
    runit.start([sleeper("one"), sleeper("two", "2")], fresh=False)
    assert pid(runit, "one") == before[0]
    assert wait(lambda: pid(runit, "two") != before[1], 5)


def test_programs_get_the_remembered_environment_and_their_output_is_kept(runit: Runit) -> None:
    runit.start([Program("talker", ("sh", "-c", "echo $GREETING; exec sleep 600"))], fresh=False)
    assert wait(lambda: "hello world" in runit.log("talker"), 5)


def test_stopping_leaves_no_process(runit: Runit) -> None:
    runit.start([sleeper("one"), Program("stubborn", ("sh", "-c", "trap '' TERM HUP; sleep 1"))], fresh=False)
    pids = pid(runit, "one"), pid(runit, "stubborn"), running(runit.record)
    runit.stop()
    assert [started(number or 0) for number in pids] == [None, None, None]
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert not [
        line for line in listed.splitlines() if line.startswith(("runsv", "svlogd")) and str(runit.folder) in line
    ]


def test_a_pid_that_was_used_again_is_not_ours(tmp_path: Path) -> None:
    record = tmp_path / "record"
    detach([sys.executable, "-c", "import time; time.sleep(600)"], record)
    number = running(record)
    assert number
    known = record.read_text()
    record.write_text(json.dumps({"pid": number, "started": "another boot 1"}))
    terminate(record)
    assert started(number), "a process that we did not record was stopped"
    record.write_text(known)
    terminate(record)
    assert started(number) is None


def test_a_failing_tool_is_told_with_what_it_printed() -> None:
    with pytest.raises(Exception, match="failed") as told:
        call("sh", "-c", "echo because >&2; exit 3")
    assert "because" in told.value.lines()[1]  # type: ignore[attr-defined]
