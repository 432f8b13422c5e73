"""What a tenant's container cannot reach or do."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network

import pytest

from runtime import health
from runtime.base import Limits
from runtime.oneoff import run_to_end
from tests.runtimes import Engine, House

pytestmark = pytest.mark.real

KNOCK = """
import json, socket, sys
def knock(address, port):
    try:
        socket.create_connection((address, port), 3).close()
    except Exception as error:
        return type(error).__name__
    return "open"
print(json.dumps([knock(address, port) for address, port in json.loads(sys.argv[1])]))
"""
TRESPASS = """
import ctypes, json, os, socket
libc = ctypes.CDLL(None, use_errno=True)
NEWUSER, NEWNS = 0x10000000, 0x20000
def packet():
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    except OSError:
        return -1
print(json.dumps({
    "unshare user": libc.unshare(NEWUSER),
    "unshare mount": libc.unshare(NEWNS),
    "mount": libc.mount(b"none", b"/tmp", b"tmpfs", 0, None),
    "raw packets": packet(),
    "setuid": libc.setuid(0),
}))
"""


@pytest.fixture
def house(docker_engine: Engine) -> Iterator[House]:
    with docker_engine.app() as house:
        yield house


def inside(house: House, *command: str) -> str:
    """What a command in a container of the app prints."""
    said: list[str] = []
    code = run_to_end(house.runtime, house.one_off("", command=command), said.append, 60)
    assert code == 0, said
    return "\n".join(said)


def knock(house: House, *doors: tuple[object, int]) -> list[str]:
    """What connecting to each door from a container of the app comes to."""
    text = json.dumps([(str(address), port) for address, port in doors])
    answers: list[str] = json.loads(inside(house, "python3", "-c", KNOCK, text))
    return answers


@contextmanager
def listening(address: object) -> Iterator[int]:
    """A service of the host on one of its addresses; its port."""
    with socket.create_server((str(address), 0)) as server:
        yield server.getsockname()[1]


def gateway(subnet: IPv4Network) -> object:
    return next(subnet.hosts())


def test_a_container_reaches_no_service_of_the_host(docker_engine: Engine, house: House) -> None:
    inside(house, "true")
    with docker_engine.app() as other, listening(gateway(house.subnet)) as near:
        inside(other, "true")
        with listening(gateway(other.subnet)) as far:
            doors = [(gateway(house.subnet), near), (gateway(other.subnet), far)]
            docker_engine.runtime.firewall.remove_rules()
            assert "open" in knock(house, *doors), "nothing but the rules closes the doors"
            docker_engine.runtime.firewall.assert_rules()
            assert "open" not in knock(house, *doors)


def test_a_container_does_not_reach_the_metadata_address(house: House) -> None:
    assert knock(house, ("169.254.169.254", 80)) == ["ConnectionRefusedError"]


def test_a_container_reaches_neither_other_apps_nor_other_instances(docker_engine: Engine, house: House) -> None:
    with docker_engine.app() as other:
        (theirs,) = other.runtime.apply(other.spec())
        (own,) = house.runtime.apply(house.spec())
        for instance in (theirs, own):
            health.wait(house.runtime, house.observer, instance, path=None, host="x", timeout=10)
        assert "open" not in knock(house, (theirs.address, 8000), (own.address, 8000))


def test_a_process_has_no_privileges_and_cannot_gain_any(house: House) -> None:
    lines = inside(house, "cat", "/proc/self/status").splitlines()
    status = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
    assert {status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "0" not in status["Uid"].split() + status["Gid"].split()
    assert set(json.loads(inside(house, "python3", "-c", TRESPASS)).values()) == {-1}


def test_a_process_sees_neither_the_engine_nor_the_machine(house: House) -> None:
    seen = inside(house, "sh", "-c", "ls /var/run/docker.sock /run/docker.sock /dev/mem /dev/sda 2>/dev/null; true")
    assert seen == ""
    assert inside(house, "sh", "-c", "head -c 1 /proc/kcore 2>/dev/null | wc -c") == "0"


def test_a_fork_bomb_stops_at_the_limit(house: House) -> None:
    bomb = "import os, signal\nn = 0\ntry:\n while os.fork(): n += 1\n signal.pause()\nexcept OSError: print(n)"
    said: list[str] = []
    small = house.one_off("", command=("python3", "-c", bomb), limits=Limits(pids=50))
    run_to_end(house.runtime, small, said.append, 60)
    assert 30 < int(said[0]) < 50


def test_a_memory_hog_is_killed_alone(house: House) -> None:
    hog = house.one_off("", command=("python3", "-c", "x = b'x' * (1 << 30)"), limits=Limits(memory=64 << 20))
    assert run_to_end(house.runtime, hog, print, 60) == 137
