"""The local program as a process of its own: pipes, files and a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.settings import Login, save
from tests.doors import listening, world
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Path]:
    """The home of somebody who is signed in to a running server."""
    house, port = world(tmp_path), free_port()
    save(tmp_path / ".config" / "paas" / "config.json", Login(f"http://127.0.0.1:{port}", house.tokens["ann"], "paas:"))
    async with listening(house, host="127.0.0.1", port=port):
        yield tmp_path


async def started(home: Path, *argv: str, stdin: int, stdout: int = subprocess.PIPE) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "cli.main",
        *argv,
        cwd=ROOT,
        env={"HOME": str(home)},
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
    )


async def test_a_pipe_goes_through_a_command_byte_by_byte(home: Path) -> None:
    data = os.urandom(3 << 20)
    process = await started(home, "run", "hello", "sh", "-c", "cat; exit 9", stdin=subprocess.PIPE)
    out, err = await asyncio.wait_for(process.communicate(data), 30)
    assert (process.returncode, err) == (9, b"")
    assert out == data


async def test_a_file_can_be_standard_input(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"from a file\n")
    with file.open() as opened:
        process = await started(home, "run", "hello", "cat", stdin=opened.fileno())
        out, err = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, out, err) == (0, b"from a file\n", b"")


async def test_a_terminal_is_raw_while_the_command_runs_and_as_before_afterwards(home: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        before = termios.tcgetattr(theirs)
        process = await started(
            home, "run", "hello", "sh", "-c", "echo ready; cat; exit 4", stdin=theirs, stdout=theirs
        )
        assert await asyncio.to_thread(read, ours, 6) == b"ready\n"
        os.write(ours, b"\x03")
        assert await asyncio.to_thread(read, ours, 1) == b"\x03", "Ctrl-C reaches the command, and nothing else echoes"
        os.kill(process.pid, signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 130
        assert termios.tcgetattr(theirs) == before
    finally:
        os.close(ours)
        os.close(theirs)


def read(descriptor: int, count: int) -> bytes:
    """`count` bytes, or what came of them within some seconds."""
    seen = b""
    while len(seen) < count and select.select([descriptor], [], [], 10)[0]:
        seen += os.read(descriptor, count - len(seen))
    return seen


async def test_ctrl_c_without_a_terminal_ends_the_program(home: Path) -> None:
    process = await started(home, "run", "hello", "sh", "-c", "echo up; sleep 30", stdin=subprocess.PIPE)
    assert process.stdout
    assert await process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 10) == 130


async def test_a_reader_who_has_left_is_no_error(home: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    process = await started(home, "apps", stdin=subprocess.DEVNULL, stdout=write)
    os.close(write)
    _, err = await asyncio.wait_for(process.communicate(), 10)
    assert err == b""
