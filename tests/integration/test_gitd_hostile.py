"""What people with bad intentions send, and that the door still works afterwards."""

from __future__ import annotations

import asyncio
import random
import socket
import subprocess
import sys
from collections.abc import Iterator

import asyncssh
import pytest

from tests.hostile import NOT_GIT, PATHS, UNREADABLE, WORDS
from tests.sshdoor import SshDoor, cancelled

pytestmark = pytest.mark.real

started: list[str] = []


def record(event: str, arguments: tuple[object, ...]) -> None:
    if event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
        started.append(str(arguments))


sys.addaudithook(record)


@pytest.fixture(scope="module")
def door() -> Iterator[SshDoor]:
    with SshDoor() as opened:
        yield opened


async def connected(door: SshDoor, name: str = "ann", **options: object) -> asyncssh.SSHClientConnection:
    keys = [str(door.folder / name)]
    where = {"host": "127.0.0.1", "port": door.port, "username": "paas", "known_hosts": None, "config": None}
    return await asyncssh.connect(**where, client_keys=keys, agent_path=None, **options)


def still_works(door: SshDoor) -> None:
    done = door.ssh("exit", "3")
    assert (done.returncode, done.stdout) == (3, b"ann: exit 3\n")


async def test_hostile_commands_are_refused_and_start_no_process(door: SshDoor) -> None:
    assert len({*NOT_GIT, *UNREADABLE, *WORDS}) >= 60 + len(PATHS) // 2
    async with await connected(door) as connection:
        del started[:]
        for command in (*NOT_GIT, *UNREADABLE):
            done = await connection.run(command, encoding=None)
            assert done.exit_status == 2 and str(done.stderr, "utf-8").startswith(" !     "), command
        for command in WORDS:  # only words to the terminal, which knows none of them
            done = await connection.run(command)
            assert str(done.stdout).startswith("ann: "), command
    assert started == []


async def test_no_shell_no_subsystem_no_forwarding(door: SshDoor) -> None:
    async with await connected(door) as connection:
        shell = await connection.run(None)
        assert shell.exit_status == 2 and "ssh paas help" in str(shell.stderr)
        for subsystem in ("sftp", "netconf", "sftp-server"):
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.create_process(subsystem=subsystem)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", door.port)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_unix_connection(str(door.home / "run" / "hooks-server.sock"))
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.start_server(lambda *_: None, "127.0.0.1", 0)
    still_works(door)


def test_the_openssh_client_is_refused_the_same(door: SshDoor) -> None:
    assert b"ssh paas help" in door.ssh().stderr
    terminal = door.ssh("git-upload-pack 'hello'", options=["-tt"])
    assert terminal.returncode == 2 and b"leave out -t" in terminal.stdout
    assert door.ssh("-s", "sftp").returncode != 0
    agent = door.ssh("exit", "0", options=["-A", "-X"])
    assert agent.returncode == 0


async def test_the_clients_environment_reaches_nobody(door: SshDoor) -> None:
    folder = door.repository("environment")
    door.git(folder, "push", "paas", "main")
    hostile = {"LD_PRELOAD": "/nonexistent.so", "GIT_PROTOCOL": "version=2; id", "GIT_TRACE": "1", "PATH": "/tmp"}
    async with await connected(door) as connection:
        done = await connection.run("git-upload-pack 'environment'", env=hostile, input="0000")
        assert "refs/heads/main" in str(done.stdout) and "trace" not in str(done.stderr)


async def test_an_unknown_key_and_other_ways_to_sign_in_are_refused(door: SshDoor) -> None:
    door.key("stranger")
    with pytest.raises(asyncssh.PermissionDenied):
        await connected(door, "stranger")
    with pytest.raises(asyncssh.PermissionDenied):
        where = {"host": "127.0.0.1", "port": door.port, "known_hosts": None, "config": None, "agent_path": None}
        await asyncssh.connect(**where, username="ann", password="secret", client_keys=None)


async def test_a_key_that_is_only_offered_proves_nothing(door: SshDoor) -> None:
    """Somebody who shows Ann's public key and signs with another one stays outside."""
    stranger = asyncssh.read_private_key(door.key("liar"))
    public = asyncssh.read_public_key(door.folder / "ann.pub")

    class Liar(asyncssh.SSHKeyPair):
        def sign(self, data: bytes) -> bytes:
            return stranger.sign(data, b"ssh-ed25519")

    liar = Liar(b"ssh-ed25519", b"ssh-ed25519", (b"ssh-ed25519",), (b"ssh-ed25519",), public.public_data, b"")
    where = {"host": "127.0.0.1", "port": door.port, "known_hosts": None, "config": None, "agent_path": None}
    with pytest.raises((asyncssh.PermissionDenied, asyncssh.ConnectionLost)):
        await asyncssh.connect(**where, username="ann", client_keys=[liar])


async def test_more_than_ten_keys_are_too_many(door: SshDoor) -> None:
    keys = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(12)]
    where = {"host": "127.0.0.1", "port": door.port, "known_hosts": None, "config": None, "agent_path": None}
    with pytest.raises(asyncssh.DisconnectError, match="too many keys"):
        await asyncssh.connect(**where, username="ann", client_keys=keys)


def test_openssh_clients_get_a_fast_cipher_and_others_may_use_ctr(door: SshDoor) -> None:
    chosen = subprocess.run([*door.ssh_command(), "-vvv", "paas@127.0.0.1", "exit", "0"], capture_output=True).stderr
    assert b"kex: server->client cipher: aes" in chosen and b"-gcm@openssh.com" in chosen
    assert b"kex-strict-s-v00@openssh.com" in chosen or b"strict KEX" in chosen or b"will use strict" in chosen

    async def old() -> int | None:
        async with await connected(door, encryption_algs=["aes256-ctr"]) as connection:
            return (await connection.run("exit 4")).exit_status

    assert asyncio.run(old()) == 4


def opening() -> bytes:
    """What an honest client might begin with."""
    return b"SSH-2.0-OpenSSH_9.2\r\n" + bytes([0, 0, 1, 0x2C, 8, 20]) + random.Random(1).randbytes(298)


def test_a_hundred_mutated_streams_and_fifty_half_open_connections_do_no_harm(door: SshDoor) -> None:
    dice = random.Random(20)
    half_open = [socket.create_connection(("127.0.0.1", door.port)) for _ in range(50)]
    try:
        for number in range(100):
            stream = bytearray(opening())
            for _ in range(dice.randrange(1, 40)):
                stream[dice.randrange(len(stream))] = dice.randrange(256)
            if number % 3 == 0:
                stream = bytearray(dice.randbytes(dice.randrange(1, 4000)))
            with socket.create_connection(("127.0.0.1", door.port)) as connection:
                connection.settimeout(5)
                connection.sendall(stream)
                if number % 2:
                    connection.shutdown(socket.SHUT_WR)
            if number % 20 == 0:
                still_works(door)
        folder = door.repository("after-the-storm")
        door.git(folder, "push", "paas", "main")
    finally:
        for connection in half_open:
            connection.close()
    still_works(door)


async def test_the_terminal_of_a_person_has_a_size_and_ends_its_lines(door: SshDoor) -> None:
    async with await connected(door) as connection:
        process = await connection.create_process("size", term_type="xterm", term_size=(132, 43))
        assert (await process.wait()).stdout == "ann: size\r\nTrue (132, 43)\r\non stderr\r\n"
        plain = await connection.run("size")
        assert plain.stdout == "ann: size\nFalse (80, 24)\n" and plain.stderr == "on stderr\n"


async def test_ctrl_c_and_a_lost_line_both_cancel(door: SshDoor) -> None:
    async with await connected(door) as connection:
        process = await connection.create_process("wait", term_type="xterm")
        await process.stdout.readline()
        process.stdin.write("\x03")
        assert (await process.wait()).exit_status == 130
    before = len(cancelled)
    lost = await connected(door)
    process = await lost.create_process("wait")
    await process.stdout.readline()
    lost.abort()
    async with asyncio.timeout(10):
        while len(cancelled) == before:
            await asyncio.sleep(0.01)


def test_standard_input_arrives_whole(door: SshDoor) -> None:
    data = random.Random(3).randbytes(5 << 20)
    assert door.ssh("copy", given=data).stdout == b"ann: copy\n" + data
