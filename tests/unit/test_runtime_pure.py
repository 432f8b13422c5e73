"""The parts of the Docker runtime that need no engine: names, addresses, profile, rules, and reading it all back."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from core.errors import Invalid, Unavailable
from core.names import new_id
from runtime import containers, firewall, networks, observe
from runtime.base import Instance, OneOff, ProcessSpec
from runtime.engine import Engine, Refused, checked
from runtime.firewall import Firewall
from runtime.marks import Marks

SUBNET = IPv4Network("10.213.4.64/26")
SPEC = ProcessSpec("a" * 20, "web", 3, "sha256:1", SUBNET, ("serve", "--fast"), {"KEY": "value"}, port=8000)


def test_bridge_names_fit_an_interface_and_differ_by_installation_and_app() -> None:
    mark, other = Marks(new_id()), Marks(new_id())
    app = new_id()
    assert len(mark.bridge(app)) == 15
    assert mark.bridge(app).startswith(mark.bridges)
    assert len({mark.bridge(app), mark.bridge(new_id()), other.bridge(app)}) == 3
    assert mark.bridges != other.bridges and mark.chain != other.chain
    assert len(mark.chain + "-OUT") < 29


def test_new_instances_get_the_lowest_addresses_that_nobody_has() -> None:
    taken = {IPv4Address("10.213.4.66"), IPv4Address("10.213.4.68")}
    assert [str(one) for one in networks.free(SUBNET, taken, 2)] == ["10.213.4.67", "10.213.4.69"]


def test_one_offs_get_addresses_that_no_instance_is_given() -> None:
    everyone = networks.free(SUBNET, set(), 46)
    assert not [one for one in everyone if one in networks.floating(SUBNET)]
    assert networks.floating(SUBNET).num_addresses == 16
    with pytest.raises(Invalid, match="46 addresses left, 47 are needed"):
        networks.free(SUBNET, set(), 47)


@pytest.mark.parametrize("named", ["", "0", "root", "0:0", "root:staff"])
def test_root_becomes_our_user(named: str) -> None:
    assert containers.user(named) == "10001:10001"


@pytest.mark.parametrize("named", ["node", "1000", "1000:0", "nginx:nginx"])
def test_another_user_of_the_image_stays(named: str) -> None:
    assert containers.user(named) == named


def test_a_given_command_replaces_the_entry_point_and_no_command_leaves_it() -> None:
    mark = Marks("here")
    given = containers.process(SPEC, mark, 1, IPv4Address("10.213.4.66"), "")
    assert given["Entrypoint"] == ["serve", "--fast"]
    own = containers.one_off(OneOff(SPEC.app, 1, "sha256:1", SUBNET, ()), mark, "", "server")
    assert "Entrypoint" not in own and "Cmd" not in own


def test_the_port_is_told_to_the_process_and_written_on_the_container() -> None:
    body = containers.process(SPEC, Marks("here"), 2, IPv4Address("10.213.4.66"), "")
    assert set(body["Env"]) == {"KEY=value", "PORT=8000"}
    assert body["Labels"]["paas.port"] == "8000" and body["Labels"]["paas.number"] == "2"


def test_times_of_the_engine_are_read_to_the_microsecond() -> None:
    assert containers.epoch("0001-01-01T00:00:00Z") == 0
    assert containers.epoch("1970-01-01T00:01:00.5Z") == 60.5
    assert containers.epoch("2001-09-09T01:46:40.123456789Z") == pytest.approx(1_000_000_000.123456789, abs=1e-6)


def test_how_an_instance_ended_is_read_from_events() -> None:
    known = Instance("1", "a", "web", 1, 1, 0, None, None, containers.STATES["running"], restarts=1)
    die = {"Action": "die", "Actor": {"Attributes": {"exitCode": "9"}}}
    text = "\n".join(json.dumps(one) for one in ({"Action": "oom", "Actor": {}}, die)).encode()
    ended = containers.ended(known, text)
    assert (ended.exit_code, ended.oom) == (9, True)
    later = text + b"\n" + json.dumps(die).encode()
    assert not containers.ended(known, later).oom, "the life before had no memory"
    assert containers.ended(known, b"") == known


def test_listening_sockets_are_read_from_the_kernel_s_table(tmp_path: Path) -> None:
    line = "   0: {} 00000000:0000 {} 00000000:00000000 00:00000000 00000000 0 0 1 1 0 100 0 0 10 0"
    listening = ["0100007F:1388", "00000000:1F40", "0B00007F:8AE1"]
    rows = [line.format(one, "0A") for one in listening] + [line.format("0200D50A:1F40", "01")]
    (tmp_path / "tcp").write_text("\n".join(["  sl  local_address", *rows]))
    six = line.format("00000000000000000000000000000000:0BB8", "0A")
    (tmp_path / "tcp6").write_text("\n".join(["  sl  local_address", six]))
    assert observe.listeners(tmp_path) == ["0.0.0.0:8000", "127.0.0.1:5000", "[::]:3000"]
    assert observe.listeners(tmp_path / "gone") == []


def test_rules_close_the_host_and_leave_name_servers_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    resolver = tmp_path / "resolv.conf"
    resolver.write_text("search example\nnameserver 192.0.2.53\nnameserver 127.0.0.53\nnameserver ::1\nnameserver\n")
    monkeypatch.setattr(firewall, "RESOLVERS", (resolver, tmp_path / "none"))
    wall = Firewall("here", IPv4Network("10.213.0.0/16"))
    inward = [rule for rule in wall.rules("iptables") if rule.startswith(f"-A {wall.chain('IN')} ")]
    assert inward[0].endswith("RELATED,ESTABLISHED -j ACCEPT")
    assert [rule.split()[3] for rule in inward[1:-1]] == ["192.0.2.53/32"] * 2
    assert inward[-1] == f"-A {wall.chain('IN')} -j REJECT --reject-with icmp-port-unreachable"
    outward = [rule for rule in wall.rules("iptables") if rule.startswith(f"-A {wall.chain('OUT')} ")]
    assert [rule.split()[3] for rule in outward[-2:]] == ["169.254.0.0/16", "10.213.0.0/16"]


def test_an_engine_s_error_is_told_in_its_own_words() -> None:
    assert checked(200, b"fine") == b"fine"
    for content in (b'{"message": "no such thing"}', b"no such thing\n"):
        with pytest.raises(Refused, match="Docker refused: no such thing") as caught:
            checked(404, content)
        assert caught.value.answered == 404


def test_only_engines_behind_a_socket_file_are_taken() -> None:
    with pytest.raises(Unavailable, match="tcp://elsewhere"):
        Engine("tcp://elsewhere:2375")
