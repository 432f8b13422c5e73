"""What only a real engine can show: the profile, restarts, terminals, logs, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from builder.stack import LABEL
from control.logs import Selection, Store, tidy
from core.errors import Conflict, DeployFailed, Unavailable, Unhealthy
from core.states import InstanceState
from core.text import CONTROL, LINE_LIMIT
from runtime import health
from runtime.base import Limits, LogLine, OneOff
from runtime.budget import Pace
from runtime.docker import DockerRuntime
from runtime.firewall import run as firewall_command
from runtime.observe import DockerObserver
from runtime.oneoff import run_to_end
from tests.runtimes import DOCKER, Engine, House

pytestmark = pytest.mark.real
# An image inherits labels; without this one the builder would take it for a base image of its own.
NOT_A_STACK = f'LABEL {LABEL}=""'


@pytest.fixture
def house(docker_engine: Engine) -> Iterator[House]:
    with docker_engine.app() as house:
        yield house


@contextmanager
def image(engine: Engine, *changes: str) -> Iterator[str]:
    """The stack's image with a Dockerfile's instructions applied; its id."""
    call = engine.runtime.engine.call
    container = call("POST", "/containers/create", {"Image": engine.image, "Cmd": ["true"]})["Id"]
    made = call("POST", "/commit", container=container, changes="\n".join((NOT_A_STACK, *changes)))["Id"]
    call("DELETE", f"/containers/{container}")
    try:
        yield made
    finally:
        call("DELETE", f"/images/{made}", force=1)


def profile_findings(seen: dict[str, Any], limits: Limits) -> list[str]:
    """What of the hardened profile an inspected container lacks."""
    host = seen["HostConfig"]
    ulimits = {one["Name"]: one["Hard"] for one in host["Ulimits"]}
    wanted = {
        "capabilities": host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"],
        "privileges": host["SecurityOpt"] == ["no-new-privileges"],
        "user": seen["Config"]["User"].partition(":")[0] not in ("", "0", "root"),
        "memory": host["Memory"] == host["MemorySwap"] == limits.memory,
        "cpus": host["NanoCpus"] == int(limits.cpus * 1e9),
        "pids": host["PidsLimit"] == limits.pids,
        "ulimits": ulimits["core"] == 0 and ulimits["nofile"] > 0,
        "init": host["Init"] is True,
        "namespaces": (host["IpcMode"], host["PidMode"], host["UTSMode"], host["UsernsMode"])
        == ("private", "", "", ""),
        "network": host["NetworkMode"] not in ("host", "default", "bridge") and not host["PortBindings"],
        "devices and binds": not host["Devices"] and not host["Binds"],
        "tmp": "nosuid" in host["Tmpfs"]["/tmp"],
        "log": host["LogConfig"]["Type"] == "none" or host["LogConfig"]["Config"]["max-size"] == "10m",
        "image by digest": seen["Config"]["Image"].startswith("sha256:"),
    }
    return [name for name, fine in wanted.items() if not fine]


def test_instances_and_one_offs_run_in_the_hardened_profile(docker_engine: Engine, house: House) -> None:
    runtime, limits = docker_engine.runtime, Limits(memory=100 << 20, cpus=0.5, pids=77)
    (web,) = runtime.apply(house.spec(limits=limits, read_only=True))
    seen = runtime.inspect(web.id)
    assert profile_findings(seen, limits) == []
    assert seen["HostConfig"]["ReadonlyRootfs"] and seen["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    description = runtime.prepare(house.one_off("true", limits=limits))
    container = runtime.engine.call("POST", "/containers/create", description)["Id"]
    assert profile_findings(runtime.inspect(container), limits) == []


def test_a_container_that_was_created_and_not_started_is_started(docker_engine: Engine, house: House) -> None:
    runtime, spec = docker_engine.runtime, house.spec(count=2)
    runtime.network(spec.app, spec.subnet)
    half = runtime.create(spec, [], [1])
    assert [one.state for one in runtime.instances(house.app)] == [InstanceState.STARTING]
    first, second = runtime.apply(spec)
    assert first.id == half[1] and {first.state, second.state} == {InstanceState.UP}
    assert first.address != second.address


def test_a_stopped_instance_is_started_again_with_its_address(docker_engine: Engine, house: House) -> None:
    runtime = docker_engine.runtime
    before = runtime.apply(house.spec(count=2))
    for one in before:
        runtime.engine.call("POST", f"/containers/{one.id}/stop", t=2)
    assert {one.state for one in runtime.instances(house.app)} == {InstanceState.CRASHED}
    after = runtime.apply(house.spec(count=2))
    assert [one.address for one in after] == [one.address for one in before]
    for one in after:
        networks = runtime.inspect(one.id)["NetworkSettings"]["Networks"].values()
        assert [network["IPAddress"] for network in networks] == [str(one.address)]


def test_a_restart_by_the_engine_is_seen_with_how_it_ended(house: House) -> None:
    (worker,) = house.runtime.apply(house.spec(command=("sh", "-c", "sleep 0.3; exit 7"), port=None))
    with pytest.raises(Unhealthy, match="exited with code 7"):
        health.settled(house.runtime, house.observer, worker, 20)
    with pytest.raises(Unhealthy, match="exited with code 7"):
        health.settled(house.runtime, house.observer, dataclasses.replace(worker, restarts=1), 20)


def test_nobody_is_root_and_an_image_s_own_user_is_kept(docker_engine: Engine, house: House) -> None:
    with image(docker_engine, "USER root") as rooted, image(docker_engine, "USER 1234:1235") as owned:
        assert said(house, house.one_off("id -u", image=rooted)) == ["10001"]
        assert said(house, house.one_off("id -u; id -g", image=owned)) == ["1234", "1235"]


def test_a_command_is_run_as_given_whatever_the_image_s_entry_point(docker_engine: Engine, house: House) -> None:
    with image(docker_engine, 'ENTRYPOINT ["echo", "wrapped"]', 'CMD ["own"]') as wrapped:
        assert said(house, house.one_off("", image=wrapped, command=("echo", "plain"))) == ["plain"]
        assert said(house, house.one_off("", image=wrapped, command=())) == ["wrapped own"]


def test_an_image_that_cannot_be_started_fails_the_deploy_in_words(docker_engine: Engine, house: House) -> None:
    with image(docker_engine, "USER nosuchuser") as broken, pytest.raises(DeployFailed, match="cannot be") as caught:
        house.runtime.apply(house.spec(image=broken))
    assert "nosuchuser" in caught.value.evidence
    with pytest.raises(DeployFailed, match="no longer on this machine"):
        house.runtime.apply(house.spec(release=2, image="sha256:" + "0" * 64))


def test_removing_an_app_leaves_no_container_network_or_volume(docker_engine: Engine, house: House) -> None:
    call = docker_engine.runtime.engine.call
    with image(docker_engine, "VOLUME /data") as stateful:
        volumes = {one["Name"] for one in call("GET", "/volumes")["Volumes"] or []}
        (web,) = house.runtime.apply(house.spec(image=stateful))
        (mount,) = docker_engine.runtime.inspect(web.id)["Mounts"]
        said(house, house.one_off("true", image=stateful))
        house.runtime.remove(house.app)
    left = {one["Name"] for one in call("GET", "/volumes")["Volumes"] or []}
    assert mount["Name"] not in left and not left - volumes
    assert [one["Name"] for one in call("GET", "/networks") if house.app in one["Name"]] == []
    assert docker_engine.runtime.listed(app=house.app) == []


async def test_removing_an_app_ends_its_one_offs(docker_engine: Engine, house: House) -> None:
    session = house.runtime.run(house.one_off("echo begun; sleep 600"))
    async with aclosing(session.output()) as output:
        await anext(output)
        await asyncio.to_thread(house.runtime.remove, house.app)
        assert [chunk async for chunk in output] == []
    assert await session.close() == 137


async def test_one_offs_of_an_earlier_life_are_swept_away(docker_engine: Engine, house: House) -> None:
    (web,) = await asyncio.to_thread(house.runtime.apply, house.spec())
    session = house.runtime.run(house.one_off("echo begun; sleep 600"))
    async with aclosing(session.output()) as output:
        await anext(output)
        await asyncio.to_thread(docker_engine.runtime.sweep)
        assert [chunk async for chunk in output] == []
    assert await session.close() == 137
    assert house.runtime.look(web).state is InstanceState.UP


async def test_a_terminal_has_the_size_it_is_given(house: House) -> None:
    session = house.runtime.run(house.one_off("read go; stty size; exit 9", tty=True, size=(101, 41)))
    seen = b""
    async with aclosing(session.output()) as output:
        reading = asyncio.ensure_future(anext(output))
        await session.write(b"go\n")
        seen += (await reading)[1]
        seen += b"".join([data async for _, data in output])
    assert b"41 101" in seen
    assert await session.close() == 9


async def test_closing_a_command_inside_an_instance_kills_it_and_not_the_instance(
    docker_engine: Engine, house: House
) -> None:
    (web,) = await asyncio.to_thread(house.runtime.apply, house.spec())
    session = house.runtime.run(house.one_off("echo begun; sleep 54321; true", instance=web.id, tty=True))
    async with aclosing(session.output()) as output:
        await anext(output)
    assert await session.close() == 137
    processes = docker_engine.runtime.engine.call("GET", f"/containers/{web.id}/top")["Processes"]
    assert not [one for one in processes if "54321" in one[-1]]
    assert house.runtime.look(web).state is InstanceState.UP


async def test_log_lines_are_bounded_and_readable_whatever_is_script(house: House) -> None:
    script = r"printf 'first\n'; head -c 300000 /dev/zero | tr '\0' x; printf '\ncaf\351\nend\n'; exec sleep 600"
    (web,) = await asyncio.to_thread(house.runtime.apply, house.spec(command=("sh", "-c", script), port=None))
    lines = await first_lines(house, web.id, 0, 4)
    assert [line.text for line in lines] == ["first", "x" * LINE_LIMIT, "caf\N{REPLACEMENT CHARACTER}", "end"]
    assert [line.text for line in await first_lines(house, web.id, lines[1].at, 2)] == [lines[2].text, "end"]
    assert house.observer.tail(web.id, 2) == ["caf\N{REPLACEMENT CHARACTER}", "end"]


GARBAGE = """
import os, sys, time
out = sys.stdout.buffer
out.write(b"\\x1b]0;title\\x07\\x1b[31mred\\x1b[0m nul\\0 bell\\a caf\\xe9 \\xe2\\x80\\xa8line\\n")
out.write(bytes(range(256)).replace(b"\\n", b"") + b"\\n\\n\\r\\n")
out.flush()
for _ in range(4):
    os.write(1, b"\\xff\\x1b[2J" * 13000)
os.write(1, b"\\nafter\\n")
time.sleep(600)
"""


async def test_garbage_is_stored_as_plain_bounded_lines(house: House, tmp_path: Path) -> None:
    spec = house.spec(command=("python3", "-c", GARBAGE), port=None, process="worker", release=4)
    (worker,) = await asyncio.to_thread(house.runtime.apply, spec)
    store = Store(tmp_path, 10 << 20)
    store.append([tidy(line) for line in await first_lines(house, worker.id, 0, 6)])
    red, every, empty, end, long, after = store.recent(Selection())
    assert red.text == "red nul bell caf\N{REPLACEMENT CHARACTER} \N{LINE SEPARATOR}line"
    assert (empty.text, end.text, after.text, after.source, after.release) == ("", "", "after", "worker.1", 4)
    assert len(every.text) > 128 and 10_000 < len(long.text.encode()) <= LINE_LIMIT
    assert not CONTROL.search("".join(line.text for line in store.recent(Selection())))


async def test_lines_without_end_count_against_the_pace_too(docker_engine: Engine, house: House) -> None:
    observer = DockerObserver(DOCKER, docker_engine.installation, Pace(rate=100_000, burst=1))
    script = "echo begun; while true; do head -c 1000000 /dev/zero | tr '\\0' x; done"
    spec = house.spec(command=("sh", "-c", script), port=None, process="worker")
    (worker,) = await asyncio.to_thread(house.runtime.apply, spec)
    lines: list[LogLine] = []
    async with asyncio.timeout(20), aclosing(observer.logs(worker.id, 0)) as logs:
        async for line in logs:
            lines.append(line)
            if len(lines) == 4:
                break
    assert [line.source for line in lines] == ["worker.1", "paas", "paas", "paas"]
    assert lines[3].at - lines[2].at > 0.9


async def test_running_out_of_memory_is_remembered_over_a_restart(house: House) -> None:
    script = "sleep 1; exec python3 -c 'hoard = b\"x\" * (1 << 30)'"
    spec = house.spec(command=("sh", "-c", script), port=None, limits=Limits(memory=32 << 20))
    (worker,) = await asyncio.to_thread(house.runtime.apply, spec)
    now = worker
    async with asyncio.timeout(30):
        while not (now.restarts and now.state is InstanceState.UP):
            await asyncio.sleep(0.1)
            now = await asyncio.to_thread(house.runtime.look, worker)
    assert (now.exit_code, now.oom, now.memory) == (137, True, 32 << 20)


async def test_logs_go_on_when_the_engine_restarts_an_instance(house: House) -> None:
    command = ("sh", "-c", "echo begun; sleep 0.2; exit 1")
    (worker,) = await asyncio.to_thread(house.runtime.apply, house.spec(command=command, port=None))
    lines = await first_lines(house, worker.id, 0, 3)
    assert [line.text for line in lines] == ["begun"] * 3
    assert len({line.at for line in lines}) == 3


def test_another_installation_sees_nothing_of_ours(docker_engine: Engine, house: House) -> None:
    (web,) = house.runtime.apply(house.spec())
    stranger = DockerRuntime(DOCKER, docker_engine.installation + "-other", docker_engine.subnets)
    assert stranger.instances() == []
    stranger.remove(house.app)
    stranger.sweep()
    assert house.runtime.look(web).state is InstanceState.UP


def test_addresses_somebody_else_uses_are_refused_in_words(house: House) -> None:
    house.runtime.apply(house.spec())
    elsewhere = dataclasses.replace(house.spec(), app=f"{house.app}x")
    with pytest.raises(Conflict, match="already uses addresses"):
        house.runtime.apply(elsewhere)


def test_the_firewall_rules_come_back_and_go_for_good(docker_engine: Engine) -> None:
    firewall = docker_engine.runtime.firewall

    def present() -> list[str]:
        lines = firewall_command(["iptables", "-w", "-S"]).splitlines()
        return [line for line in lines if firewall.marks.chain in line]

    firewall.assert_rules()
    right = present()
    firewall.assert_rules()
    assert present() == right
    firewall_command(["iptables", "-w", "-F", firewall.chain("IN")])
    firewall.assert_rules()
    assert present() == right
    firewall.remove_rules()
    assert present() == []
    firewall.assert_rules()
    assert sorted(present()) == sorted(right)


async def test_an_engine_that_is_away_is_said_in_words(house: House) -> None:
    away = "unix:///nonexistent/docker.sock"
    runtime, observer = DockerRuntime(away, "away", house.subnet), DockerObserver(away, "away")
    one_off = OneOff(house.app, 1, house.image, house.subnet, ("true",))
    for call in (runtime.instances, runtime.sweep, lambda: observer.tail("x", 1), lambda: runtime.apply(house.spec())):
        with pytest.raises(Unavailable, match="does not answer"):
            call()
    for stream in (observer.events(), observer.logs("x", 0), runtime.run(one_off).output()):
        with pytest.raises(Unavailable, match="does not answer"):
            await anext(stream)


def said(house: House, one_off: OneOff) -> list[str]:
    lines: list[str] = []
    assert run_to_end(house.runtime, one_off, lines.append, 30) == 0, lines
    return lines


async def first_lines(house: House, instance: str, since: float, count: int) -> list[LogLine]:
    lines: list[LogLine] = []
    async with asyncio.timeout(10), aclosing(house.observer.logs(instance, since)) as logs:
        async for line in logs:
            lines.append(line)
            if len(lines) == count:
                break
    return lines
