"""What every runtime and its observer promise."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from threading import Event, Timer

import pytest

from core.errors import DeployFailed, Invalid, ReleaseCommandFailed, Unhealthy
from core.names import new_id
from core.states import InstanceState
from runtime import health, liveness
from runtime.base import Check, Instance, Limits, LogLine, Session
from runtime.oneoff import run_to_end
from tests import runtimes
from tests.runtimes import Engine, House


@pytest.fixture(params=["memory", pytest.param("docker", marks=pytest.mark.real)])
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    if request.param == "memory":
        yield runtimes.memory()
        return
    engine: Engine = request.getfixturevalue("docker_engine")
    with engine.app() as lent:
        yield lent


def wait(
    house: House, instance: Instance, timeout: float = 10, path: str | None = None, check: Check | None = None
) -> health.Health:
    return health.wait(
        house.runtime, house.observer, instance, path=path, host="hello.example", timeout=timeout, check=check
    )


async def ran(session: Session) -> tuple[dict[int, bytes], int]:
    """All a one-off writes, by stream, and its exit code."""
    seen = {1: b"", 2: b""}
    async for stream, data in session.output():
        seen[stream] += data
    return seen, await session.close()


def test_apply_starts_as_many_as_asked_for_with_addresses_of_their_own(house: House) -> None:
    started = house.runtime.apply(house.spec(count=3))
    assert [one.name for one in started] == ["web.1", "web.2", "web.3"]
    assert len({one.address for one in started}) == 3
    assert all(one.address in house.subnet and one.port == 8000 for one in started)
    assert {one.state for one in started} == {InstanceState.UP}


def test_applying_again_changes_nothing(house: House) -> None:
    first = house.runtime.apply(house.spec(count=2))
    assert house.runtime.apply(house.spec(count=2)) == first == by_number(house)


def test_two_threads_that_apply_the_same_start_it_once(house: House) -> None:
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(house.runtime.apply, [house.spec(count=2)] * 2)
    assert [seen.id for seen in one] == [seen.id for seen in other]
    assert len(house.runtime.instances(house.app)) == 2


def test_scaling_keeps_the_first_and_leaves_the_last_to_who_drains_it(house: House) -> None:
    (first,) = house.runtime.apply(house.spec())
    more = house.runtime.apply(house.spec(count=2))
    assert more[0].id == first.id
    assert [one.id for one in house.runtime.apply(house.spec())] == [first.id]
    assert {one.id for one in house.runtime.instances(house.app)} == {one.id for one in more}
    house.runtime.remove(house.app, ids=frozenset({more[1].id}))
    assert [one.id for one in house.runtime.instances(house.app)] == [first.id]
    assert house.runtime.apply(house.spec(count=0)) == []
    house.runtime.remove(house.app)
    assert house.runtime.instances(house.app) == []


def test_a_new_generation_and_a_new_release_leave_the_old_ones_running(house: House) -> None:
    (old,) = house.runtime.apply(house.spec())
    (restarted,) = house.runtime.apply(house.spec(generation=1))
    (released,) = house.runtime.apply(house.spec(release=2))
    assert len({one.address for one in (old, restarted, released)}) == 3
    house.runtime.remove(house.app, ids=frozenset({old.id}))
    assert {one.id for one in house.runtime.instances(house.app)} == {restarted.id, released.id}
    house.runtime.remove(house.app, release=1)
    assert [one.id for one in house.runtime.instances(house.app)] == [released.id]


def test_removing_an_app_leaves_other_apps_alone(house: House) -> None:
    subnet = house.subnet
    (mine,) = house.runtime.apply(house.spec())
    house.runtime.remove(new_id())
    assert [one.id for one in house.runtime.instances(house.app)] == [mine.id]
    house.runtime.remove(house.app)
    house.runtime.remove(house.app)
    assert house.runtime.instances(house.app) == []
    assert house.runtime.look(mine).state is InstanceState.GONE
    assert house.runtime.apply(house.spec())[0].address in subnet


def test_a_full_network_is_said_before_anything_is_started(house: House) -> None:
    with pytest.raises(Invalid, match="addresses left"):
        house.runtime.apply(house.spec(count=50))
    assert house.runtime.instances(house.app) == []


def test_an_instance_that_answers_is_healthy(house: House) -> None:
    (web,) = house.runtime.apply(house.spec())
    found = wait(house, web)
    assert (found.status, found.path) == (200, "/")
    assert house.observer.listening(web.id) == ["0.0.0.0:8000"]


def test_the_default_check_takes_a_404_and_a_configured_path_does_not(house: House) -> None:
    (web,) = house.runtime.apply(house.spec("404"))
    assert wait(house, web).status == 404
    with pytest.raises(Unhealthy, match="GET /health answered 404"):
        wait(house, web, timeout=0.3, path="/health")


def test_an_instance_that_exits_while_starting_fails_at_once_with_its_last_lines(house: House) -> None:
    begun = time.monotonic()
    (web,) = house.runtime.apply(house.spec("crash"))
    with pytest.raises(Unhealthy, match=r"web\.1 exited with code 1 while starting") as caught:
        wait(house, web, timeout=30)
    assert time.monotonic() - begun < 10
    assert "told to crash" in caught.value.evidence


def test_an_instance_that_runs_out_of_memory_is_told_so(house: House) -> None:
    (web,) = house.runtime.apply(house.spec("oom", limits=Limits(memory=32 << 20)))
    with pytest.raises(Unhealthy, match=r"web\.1 ran out of memory while starting"):
        wait(house, web)


def test_an_instance_that_listens_elsewhere_is_told_where(house: House) -> None:
    (web,) = house.runtime.apply(house.spec("elsewhere"))
    with pytest.raises(Unhealthy, match=r"listening on 127\.0\.0\.1:5000, expected 0\.0\.0\.0:\$PORT") as caught:
        wait(house, web, timeout=1)
    assert "8000" in caught.value.hint


def test_an_instance_that_listens_nowhere_is_told_so(house: House) -> None:
    (web,) = house.runtime.apply(house.spec("deaf"))
    with pytest.raises(Unhealthy, match="listening on no port"):
        wait(house, web, timeout=0.5)


def test_an_instance_that_never_answers_is_told_so(house: House) -> None:
    (web,) = house.runtime.apply(house.spec("mute"))
    with pytest.raises(Unhealthy, match="accepts connections but does not answer"):
        wait(house, web, timeout=1)


def test_an_instance_that_answers_with_a_server_error_is_told_which(house: House) -> None:
    (web,) = house.runtime.apply(house.spec("500"))
    with pytest.raises(Unhealthy, match="GET / answered 500"):
        wait(house, web, timeout=0.5)


def test_a_cancelled_wait_ends(house: House) -> None:
    (web,) = house.runtime.apply(house.spec("deaf"))
    cancelled = Event()
    cancelled.set()
    with pytest.raises(DeployFailed, match="cancelled"):
        health.wait(house.runtime, house.observer, web, path=None, host="x", timeout=30, cancelled=cancelled)


def test_a_probe_of_an_instance_that_never_answers_is_given_up_when_cancelled(house: House) -> None:
    (web,) = house.runtime.apply(house.spec("mute"))
    cancelled, slow = Event(), Check(attempts=1, timeout=60)
    timer = Timer(0.5, cancelled.set)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(DeployFailed, match="cancelled"):
        health.wait(
            house.runtime, house.observer, web, path=None, host="x", timeout=60, cancelled=cancelled, check=slow
        )
    assert time.monotonic() - begun < 2
    timer.join()


def test_a_check_wants_its_status_and_its_content(house: House) -> None:
    quick = Check("/health", attempts=1, timeout=0.3, wait=0)
    (web,) = house.runtime.apply(house.spec())
    found = wait(house, web, check=dataclasses.replace(quick, content="ell"))
    assert (found.path, found.status) == ("/health", 200)
    with pytest.raises(Unhealthy, match="GET /health answered 200 without 'sick'"):
        wait(house, web, timeout=0.3, check=dataclasses.replace(quick, content="sick"))
    (lost,) = house.runtime.apply(house.spec("404", release=2))
    with pytest.raises(Unhealthy, match="GET /health answered 404"):
        wait(house, lost, timeout=0.3, check=quick)


def test_a_check_of_another_port_is_told_when_nothing_listens_there(house: House) -> None:
    (web,) = house.runtime.apply(house.spec())
    elsewhere = Check(attempts=1, timeout=0.3, wait=0, port=8001)
    with pytest.raises(Unhealthy, match=r"listening on 0\.0\.0\.0:8000, expected 0\.0\.0\.0:8001"):
        wait(house, web, timeout=0.3, check=elsewhere)


def test_a_check_lengthens_the_wait_and_is_not_asked_before_its_delay(house: House) -> None:
    (web,) = house.runtime.apply(house.spec())
    assert wait(house, web, timeout=0.01, check=Check(initial_delay=0.4)).seconds >= 0.4


def test_an_instance_is_alive_while_it_answers_as_its_check_wants(house: House) -> None:
    quick = Check(timeout=0.3)
    (web,) = house.runtime.apply(house.spec())
    wait(house, web)
    assert liveness.alive(house.observer, web, "hello.example", quick)
    assert not liveness.alive(house.observer, web, "hello.example", dataclasses.replace(quick, content="sick"))
    for release, misbehave in enumerate(("500", "mute", "deaf"), 2):
        (bad,) = house.runtime.apply(house.spec(misbehave, release=release))
        assert not liveness.alive(house.observer, bad, "hello.example", quick)
    house.runtime.remove(house.app, ids=frozenset({web.id}))
    assert not liveness.alive(house.observer, web, "hello.example", quick)


def test_a_worker_is_settled_when_it_has_stayed_up_and_not_when_it_exits(house: House) -> None:
    worker = house.spec(process="worker", command=("sh", "-c", "sleep 600"), port=None)
    (up,) = house.runtime.apply(worker)
    health.settled(house.runtime, house.observer, up, 0.2)
    crash = dataclasses.replace(worker, release=2, command=("sh", "-c", "exit 3"), env={"MISBEHAVE": "crash"})
    (down,) = house.runtime.apply(crash)
    with pytest.raises(Unhealthy, match=r"worker\.1 exited with code"):
        health.settled(house.runtime, house.observer, down, 5)


async def test_a_one_off_gives_its_output_and_its_exact_exit_code(house: House) -> None:
    seen, code = await ran(house.runtime.run(house.one_off("echo out; echo err >&2; exit 3")))
    assert (seen, code) == ({1: b"out\n", 2: b"err\n"}, 3)
    assert house.runtime.instances(house.app) == []


async def test_a_one_off_reads_its_input_to_the_end(house: House) -> None:
    session = house.runtime.run(house.one_off("cat"))
    running = asyncio.create_task(ran(session))
    await session.write(b"hello ")
    await session.write(b"world")
    await session.eof()
    assert await running == ({1: b"hello world", 2: b""}, 0)


async def test_closing_a_one_off_kills_it(house: House) -> None:
    session = house.runtime.run(house.one_off("echo begun; sleep 600"))
    async with aclosing(session.output()) as output:
        await anext(output)
    assert await asyncio.wait_for(session.close(), 20) == 137


async def test_a_one_off_runs_inside_a_running_instance(house: House) -> None:
    (web,) = house.runtime.apply(house.spec())
    seen, code = await ran(house.runtime.run(house.one_off("echo in; exit 4", instance=web.id)))
    assert (seen[1], code) == (b"in\n", 4)


def test_a_command_run_to_its_end_says_its_lines(house: House) -> None:
    said: list[str] = []
    assert run_to_end(house.runtime, house.one_off("echo one; echo two; exit 5"), said.append, 30) == 5
    assert said == ["one", "two"]


def test_a_command_that_does_not_end_is_killed(house: House) -> None:
    with pytest.raises(ReleaseCommandFailed, match="did not end"):
        run_to_end(house.runtime, house.one_off("sleep 600"), print, 0.5)


async def test_logs_are_followed_until_the_instance_is_gone(house: House) -> None:
    (web,) = await asyncio.to_thread(house.runtime.apply, house.spec("crash"))
    lines: list[LogLine] = []

    async def follow() -> None:
        async for line in house.observer.logs(web.id, 0):
            lines.append(line)

    following = asyncio.create_task(follow())
    await until(lambda: bool(lines))
    await asyncio.to_thread(house.runtime.remove, house.app)
    await asyncio.wait_for(following, 10)
    assert (lines[0].source, lines[0].text) == ("web.1", "told to crash")
    assert abs(lines[0].at - time.time()) < 60


async def test_what_is_written_faster_than_the_pace_is_dropped_and_said(house: House) -> None:
    (web,) = await asyncio.to_thread(house.runtime.apply, house.spec("flood", release=3))
    lines: list[LogLine] = []
    async with asyncio.timeout(20), aclosing(house.observer.logs(web.id, 0)) as logs:
        async for line in logs:
            lines.append(line)
            if line.source == "paas":
                break
    assert [line.text for line in lines[:2]] == ["line 0", "line 1"]
    assert {(line.source, line.release) for line in lines[:-1]} == {("web.1", 3)}
    assert len(lines) < 10_000
    assert (lines[-1].release, lines[-1].text[:29]) == (0, "web.1 (v3) wrote faster than ")


async def test_events_tell_which_app_changed_since_they_were_asked_for(house: House) -> None:
    async with aclosing(house.observer.events()) as events:
        await asyncio.to_thread(house.runtime.apply, house.spec())
        assert await asyncio.wait_for(anext(events), 10) == house.app


def by_number(house: House) -> list[Instance]:
    return sorted(house.runtime.instances(house.app), key=lambda one: one.number)


async def until(condition: object, timeout: float = 10) -> None:
    assert callable(condition)
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.01)
