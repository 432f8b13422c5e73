"""The real HAProxy: pages, swaps under load, draining, crashes, the pool."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from bench.load import Load
from core.errors import Unavailable
from router import haproxy_files
from router.base import Route, Target
from router.haproxy_socket import Master
from tests.haproxy import App, RunningProxy, Start
from tests.ports import free_port
from tests.waiting import until

pytestmark = pytest.mark.real

HELLO = ("hello.localhost",)


def route(*targets: Target, draining: tuple[Target, ...] = ()) -> Route:
    return Route("a1", HELLO, targets, draining)


def test_an_unknown_host_gets_a_404_page(running: RunningProxy) -> None:
    for host in ("nobody.localhost", "evil.example", "[::1]", "hello.localhost.evil.example", "slot0001"):
        answer = running.get(host)
        assert answer.status_code == 404
        assert "There is no app at this address" in answer.text


def test_an_app_without_targets_gets_a_503_page(running: RunningProxy) -> None:
    running.proxy.put(route())
    answer = running.get("hello.localhost")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "The app is not running" in answer.text


def test_the_host_is_matched_in_any_case_and_with_any_port(running: RunningProxy, start: Start) -> None:
    running.proxy.put(route(start("v1").target))
    for host in ("hello.localhost", "HELLO.localhost", f"hello.localhost:{running.port}", "Hello.Localhost:80"):
        assert running.word(host) == "v1"


def test_the_platforms_own_hosts_reach_its_server(running: RunningProxy, start: Start) -> None:
    start("server", running.api_port)
    assert (
        running.word("localhost") == running.word("127.0.0.1") == running.word(f"localhost:{running.port}") == "server"
    )


def test_apps_go_on_while_the_server_is_dead(running: RunningProxy, start: Start) -> None:
    running.proxy.put(route(start("v1").target))
    answer = running.get("localhost", "/healthz")
    assert answer.status_code == 503
    assert "The platform's server is not running" in answer.text
    assert running.word() == "v1"


def test_a_change_is_served_as_soon_as_put_returns(running: RunningProxy, start: Start) -> None:
    old, new = start("v1"), start("v2")
    for _ in range(10):
        running.proxy.put(route(old.target))
        assert [running.word() for _ in range(4)] == ["v1"] * 4
        running.proxy.put(route(new.target, draining=(old.target,)))
        assert [running.word() for _ in range(4)] == ["v2"] * 4


def test_swaps_under_load_fail_no_request(running: RunningProxy, start: Start) -> None:
    apps = [start(f"v{number}") for number in range(31)]
    running.proxy.put(route(apps[0].target))
    load = Load(f"http://127.0.0.1:{running.port}/", "hello.localhost", rate=200)
    load.start()
    for old, new in pairwise(apps):
        swap(running, load, old, new)
    report = load.stop()
    assert report.failures == {}
    assert report.sent > 100
    assert all(app.seen for app in apps)


def swap(running: RunningProxy, load: Load, old: App, new: App) -> None:
    """As a deployment does it: the old instance ends when it has nothing to do."""
    running.proxy.put(route(new.target, draining=(old.target,)))
    sent = load.sent
    until(lambda: load.sent > sent + 5 and sessions(running)[old.word] == 0)
    old.close()
    running.proxy.put(route(new.target))


def test_the_load_notices_every_failure(running: RunningProxy, start: Start) -> None:
    """Or the figure 0 would mean nothing."""
    running.proxy.put(route(start("v1").target))
    load = Load(f"http://127.0.0.1:{running.port}/", "hello.localhost", rate=200)
    load.start()
    until(lambda: load.sent > 20)
    running.proxy.put(route())
    sent = load.sent
    until(lambda: load.sent > sent + 20)
    running.stop()
    sent = load.sent
    until(lambda: load.sent > sent + 20)
    report = load.stop()
    assert report.failures["status 503"] >= 15
    assert report.failures["ConnectionRefusedError"] >= 15
    assert report.failed < report.sent


def test_a_slow_request_finishes_on_the_draining_target(running: RunningProxy, start: Start) -> None:
    old, new = start("v1"), start("v2")
    running.proxy.put(route(old.target))
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(running.get, "hello.localhost", "/slow/0.7")
        assert old.busy.wait(5)
        running.proxy.put(route(new.target, draining=(old.target,)))
        assert running.word() == "v2"
        assert sessions(running)["v1"] == 1
        assert slow.result().text.startswith("v1")
    until(lambda: sessions(running)["v1"] == 0)


def test_a_target_let_go_while_busy_is_cut_off(running: RunningProxy, start: Start) -> None:
    """What may be sent twice goes to the new target, what may not is told so."""
    old, new = start("v1"), start("v2")
    for method, expected in (("GET", 200), ("POST", 502)):
        running.proxy.put(route(old.target))
        old.busy.clear()
        with ThreadPoolExecutor() as pool:
            slow = pool.submit(running.send, method, "/slow/1")
            assert old.busy.wait(5)
            running.proxy.put(route(new.target))
            assert slow.result().status_code == expected
        assert running.proxy.routes() == [route(new.target)]
        assert old.seen == new.seen[:1] if method == "GET" else "POST /slow/1" not in new.seen


def sessions(running: RunningProxy) -> dict[str, int]:
    return {one.target: one.sessions for one in running.proxy.stats()}


@pytest.fixture
def echo() -> Iterator[Target]:
    """A websocket server that says back what it hears."""

    def talk(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(talk, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Target("127.0.0.1", server.socket.getsockname()[1], "ws")
        server.shutdown()
        thread.join()


def test_a_websocket_stays_open_through_changes_and_a_reload(running: RunningProxy, start: Start, echo: Target) -> None:
    running.proxy.put(route(echo))
    with connect(f"ws://hello.localhost:{running.port}/", sock=tcp(running)) as websocket:
        for number in range(5):
            running.proxy.put(Route(f"other{number}", (f"other{number}.localhost",), (start(f"o{number}").target,)))
            running.proxy.delete(f"other{number}")
        running.proxy.put(route(start("v2").target, draining=(echo,)))
        fill(running)
        websocket.send("still here")
        assert websocket.recv(timeout=5) == "still here"
        assert sessions(running)["ws"] == 1
        assert running.word() == "v2"
    until(lambda: "ws" not in sessions(running))


def tcp(running: RunningProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.port), timeout=10)


def fill(running: RunningProxy) -> None:
    """More apps than there are slots."""
    for number in range(running.slots):
        running.proxy.put(Route(f"fill{number}", (f"fill{number}.localhost",)))


def test_the_pool_doubles_by_a_reload_that_drops_nothing(running: RunningProxy, start: Start) -> None:
    running.proxy.put(route(start("v1").target))
    load = Load(f"http://127.0.0.1:{running.port}/", "hello.localhost", rate=200)
    load.start()
    until(lambda: load.sent > 50)
    before = running.workers()
    fill(running)
    assert running.workers() != before
    for number in range(running.slots, 4 * running.slots):
        running.proxy.put(Route(f"fill{number}", (f"fill{number}.localhost",)))
    sent = load.sent
    until(lambda: load.sent > sent + 50)
    assert load.stop().failures == {}
    assert len(running.proxy.routes()) == 4 * running.slots + 1
    assert running.get(f"fill{3 * running.slots}.localhost").status_code == 503


def test_while_an_old_worker_lives_no_target_of_it_counts_as_idle(running: RunningProxy, start: Start) -> None:
    old, new = start("v1"), start("v2")
    running.proxy.put(route(old.target))
    with httpx.Client(trust_env=False, headers={"Host": "hello.localhost"}) as client:
        address = f"http://127.0.0.1:{running.port}/"
        assert client.get(address).text.startswith("v1")
        fill(running)
        running.proxy.put(route(new.target))
        assert running.word() == "v2"
        assert sessions(running)["v1"] == 1
        assert client.get(address).headers["connection"] == "close"
        assert client.get(address).text.startswith("v2")
    until(lambda: "v1" not in sessions(running))


def test_a_killed_proxy_comes_back_from_its_files(running: RunningProxy, start: Start) -> None:
    one, two, new = start("v1"), start("v1b"), start("v2")
    both = tuple(sorted((one.target, two.target)))
    running.proxy.put(route(one.target, two.target))
    running.stop()
    running.start()
    assert running.proxy.routes() == [route(*both)]
    assert {running.word() for _ in range(4)} == {"v1", "v1b"}
    running.proxy.put(route(new.target, draining=(one.target, two.target)))
    assert {running.word() for _ in range(4)} == {"v2"}
    running.proxy.put(route(new.target, one.target))
    assert {running.word() for _ in range(4)} == {"v2", "v1"}


def test_a_proxy_whose_worker_is_killed_ends_so_that_it_is_started_again(running: RunningProxy) -> None:
    assert running.process
    [worker] = running.workers()
    subprocess.run(["kill", "-9", str(worker)], check=True)
    assert running.process.wait(timeout=10) != 0
    running.process = None
    running.start()


def test_a_new_server_mends_what_the_one_before_left_half_done(running: RunningProxy, start: Start) -> None:
    one, two = start("v1"), start("v2")
    running.proxy.put(route(one.target))
    ask = Master(running.folder / "master.sock").ask
    ask("@1 del map hosts.map hello.localhost")
    ask("@1 add map hosts.map stray.localhost slot0001")
    ask(f"@1 add server slot0001/v2 127.0.0.1:{two.target.port} check")
    ask("@1 set server slot0001/v1 state maint")
    ask(f"@1 add server slot0002/ghost 127.0.0.1:{two.target.port} check")
    running.adapter().attach()
    assert running.proxy.routes() == [route(one.target)]
    assert running.word() == "v1"
    assert running.get("stray.localhost").status_code == 404
    assert set(Master(running.folder / "master.sock").servers()) == {"api", "slot0001"}


def test_a_new_server_lets_requests_in_progress_finish(running: RunningProxy, start: Start) -> None:
    old, new = start("v1"), start("v2")
    running.proxy.put(route(old.target))
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(running.get, "hello.localhost", "/slow/0.5")
        assert old.busy.wait(5)
        running.proxy.put(route(new.target, draining=(old.target,)))
        running.adapter().attach()
        assert running.proxy.routes() == [route(new.target, draining=(old.target,))]
        assert slow.result().text.startswith("v1")


def test_a_configuration_that_haproxy_refuses_changes_nothing(
    running: RunningProxy, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.proxy.put(route(start("v1").target))
    before = {
        file.name: file.read_bytes() for file in running.folder.iterdir() if file.suffix in {".cfg", ".map", ".json"}
    }
    monkeypatch.setattr(haproxy_files, "config", lambda *_: "global\n  nonsense\n")
    with pytest.raises(Unavailable, match="refuses its new configuration") as refused:
        running.proxy.put(route(start("v2").target))
    assert "nonsense" in refused.value.evidence
    after = {
        file.name: file.read_bytes() for file in running.folder.iterdir() if file.suffix in {".cfg", ".map", ".json"}
    }
    assert before == after
    assert running.word() == "v1"


def test_files_are_written_once_and_a_changed_setting_is_taken_over_by_a_reload(
    running: RunningProxy, start: Start
) -> None:
    running.proxy.put(route(start("v1").target))
    before = {file: file.stat().st_mtime_ns for file in running.folder.iterdir() if file.name != "log"}
    running.adapter().prepare()
    assert before == {file: file.stat().st_mtime_ns for file in running.folder.iterdir() if file.name != "log"}
    running.port = free_port()
    running.adapter().attach()
    assert running.word() == "v1"


def test_an_instance_that_went_away_is_passed_over(running: RunningProxy, start: Start) -> None:
    gone = App("gone")
    running.proxy.put(route(start("v1").target, gone.target))
    gone.close()
    assert {running.word() for _ in range(10)} == {"v1"}


def test_the_proxy_drops_root_and_its_socket_is_private(running: RunningProxy) -> None:
    [worker] = running.workers()
    uid = Path(f"/proc/{worker}").stat().st_uid
    assert uid != 0 or Path("/proc/self").stat().st_uid != 0
    assert (running.folder / "master.sock").stat().st_mode & 0o777 == 0o600
