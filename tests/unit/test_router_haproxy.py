"""HAProxy's files and its answers, without HAProxy."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import Invalid, Unavailable
from router.base import Route, Target, TargetStats
from router.haproxy import HAProxy
from router.haproxy_book import Book, dump, load
from router.haproxy_config import Frame, config, hosts_map, mark, without_servers
from router.haproxy_pages import pages
from router.haproxy_socket import Master, Workers
from router.haproxy_stats import RESPONSES, count
from router.plan import Mode, Server

GOLDEN = Path(__file__).parent / "golden"
FRAME = Frame("0.0.0.0", 8080, "127.0.0.1:18080", frozenset({"localhost", "127.0.0.1"}), "haproxy")
V1, V2 = Target("10.213.0.2", 5000, "v1-web-1-g0"), Target("10.213.0.3", 5000, "v1-web-2-g0")
HELLO = Route("a1", ("hello.localhost", "www.example.com"), (V1, V2))
ASSIGNED = {"slot0001": HELLO, "slot0003": Route("a2", ("down.localhost",))}


def test_the_configuration_is_the_golden_one() -> None:
    text = config(FRAME, 4, ASSIGNED)
    golden = GOLDEN / "haproxy.cfg"
    assert text.replace(mark(FRAME, 4), "MARK") == golden.read_text()


def test_hosts_lead_to_the_slots_of_their_apps() -> None:
    assert hosts_map(FRAME, ASSIGNED).splitlines() == [
        "127.0.0.1 api",
        "localhost api",
        "hello.localhost slot0001",
        "www.example.com slot0001",
        "down.localhost slot0003",
    ]


def test_the_mark_changes_with_what_needs_a_reload_and_with_nothing_else() -> None:
    before = mark(FRAME, 4)
    assert before in config(FRAME, 4, ASSIGNED)
    assert before in config(FRAME, 4, {})
    assert mark(FRAME, 8) != before
    assert mark(replace(FRAME, http_port=80), 4) != before
    assert mark(replace(FRAME, own_hosts=frozenset()), 4) == before


def test_routes_change_nothing_but_server_lines() -> None:
    assert without_servers(config(FRAME, 4, ASSIGNED)) == without_servers(config(FRAME, 4, {}))
    assert without_servers(config(FRAME, 4, {})) != without_servers(config(FRAME, 5, {}))


def test_a_book_comes_back_from_disk_without_what_drains(tmp_path: Path) -> None:
    book = Book(2).with_route(HELLO).with_route(Route("a2", (), (V1,), draining=(V2,)))
    (tmp_path / "book").write_text(dump(book))
    found = load(tmp_path / "book", 64)
    assert found == Book(2, {"slot0001": HELLO, "slot0002": Route("a2", (), (V1,))})


def test_a_missing_book_is_an_empty_one(tmp_path: Path) -> None:
    assert load(tmp_path / "book", 64) == Book(64)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"slots": 1, "routes": {"slot0001": {}}}', "\x00"])
def test_a_damaged_book_is_told_in_words(tmp_path: Path, text: str) -> None:
    (tmp_path / "book").write_text(text)
    with pytest.raises(Unavailable, match="damaged"):
        load(tmp_path / "book", 64)


def test_an_app_keeps_its_slot_and_a_freed_one_is_used_again() -> None:
    book = Book(4)
    for app in ("a", "b", "c"):
        book = book.with_route(Route(app, ()))
    assert book.with_route(HELLO).slot("a1") == "slot0004"
    book = book.without("b").with_route(HELLO)
    assert [book.slot(app) for app in ("a", "b", "c", "a1")] == ["slot0001", None, "slot0003", "slot0002"]
    assert book.with_route(replace(HELLO, hosts=())).slot("a1") == "slot0002"


def test_a_pool_that_is_used_up_doubles() -> None:
    book = Book(2)
    for app in ("a", "b", "c"):
        book = book.with_route(Route(app, ()))
    assert (book.slots, book.slot("c")) == (4, "slot0003")


def test_every_page_is_a_whole_response_that_fits_a_buffer() -> None:
    for name, page in pages().items():
        head, _, body = page.partition("\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {name[:3]} ")
        assert f"Content-Length: {len(body.encode())}" in head
        assert len(page.encode()) < 8192


def row(**columns: str) -> dict[str, str]:
    return dict.fromkeys(("pxname", "svname", "scur", "qcur", *RESPONSES), "") | columns


def test_requests_and_sessions_are_counted_by_target() -> None:
    rows = [
        row(pxname="slot0001", svname="v1", scur="2", qcur="1", hrsp_2xx="10", hrsp_4xx="3", hrsp_5xx="2"),
        row(pxname="slot0002", svname="v7"),
        row(pxname="api", svname="api", scur="9"),
    ]
    assert count({"slot0001": "a", "slot0002": "b"}, rows, []) == [
        TargetStats("a", "v1", sessions=3, requests=15, errors=2),
        TargetStats("b", "v7", sessions=0, requests=0, errors=0),
    ]


def test_an_old_workers_targets_have_a_session_at_least() -> None:
    new = [row(pxname="slot0001", svname="v1", scur="1", hrsp_2xx="1")]
    old = [row(pxname="slot0001", svname="v1", hrsp_2xx="5"), row(pxname="slot0001", svname="v0", scur="2")]
    assert count({"slot0001": "a"}, new, old) == [
        TargetStats("a", "v0", sessions=2, requests=0, errors=0),
        TargetStats("a", "v1", sessions=2, requests=6, errors=0),
    ]


@contextmanager
def answering(folder: Path, answer: Callable[[str], str]) -> Iterator[Master]:
    """A master socket that says what `answer` makes of a question."""
    path = folder / "m.sock"

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as question:
                connection.sendall(answer(question.read().decode().strip()).encode())

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Master(path)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


STATE = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_port
4 slot0001 1 v1 10.0.0.2 2 0 5000
4 slot0001 2 v0 10.0.0.1 2 8 5000
4 slot0001 3 vx 10.0.0.9 0 1 5000
5 slot0002 1 v9 10.0.0.3 0 0 80

"""


def test_servers_are_read_with_their_modes(tmp_path: Path) -> None:
    with answering(tmp_path, lambda _: STATE) as master:
        assert master.servers() == {
            "slot0001": [
                Server("v1", "10.0.0.2", 5000, Mode.READY),
                Server("v0", "10.0.0.1", 5000, Mode.DRAIN),
                Server("vx", "10.0.0.9", 5000, Mode.MAINT),
            ],
            "slot0002": [Server("v9", "10.0.0.3", 80, Mode.READY)],
        }


def test_the_current_worker_is_told_from_old_ones(tmp_path: Path) -> None:
    said = (
        "#<PID> <type> <reloads>\n10 master 2 [failed: 0]\n# workers\n13 worker 0 0d\n# old workers\n12 worker 1 0d\n"
    )
    with answering(tmp_path, lambda _: said + "11 worker 2 0d\n# programs\n\n") as master:
        assert master.workers() == Workers(13, (12, 11))


@pytest.mark.parametrize(
    "said", ["", "No such server.\n", "Unknown command\nhelp", "Proxy is disabled.\n", "Require maint"]
)
def test_an_answer_that_is_not_the_expected_one_is_an_error_with_the_answer(tmp_path: Path, said: str) -> None:
    with answering(tmp_path, lambda _: said) as master:
        questions: list[Callable[[], object]] = [
            lambda: master.order("add server slot0001/v1 10.0.0.2:80 check"),
            master.workers,
            master.mark,
            master.servers,
            lambda: master.statistics(1),
        ]
        questions += [lambda: master.order("enable server slot0001/v1"), master.hosts] if said else []
        for ask in questions:
            with pytest.raises(Unavailable) as error:
                ask()
            assert error.value.evidence == said.strip()


def test_a_server_with_sessions_is_removed_when_they_have_ended(tmp_path: Path) -> None:
    answers = iter(["Server still has connections attached to it, cannot remove it.\n"] * 3 + ["Server deleted.\n"])
    with answering(tmp_path, lambda _: next(answers)) as master:
        master.order("del server slot0001/v1")
    assert list(answers) == []


def test_a_proxy_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        Master(tmp_path / "m.sock").workers()


@pytest.mark.parametrize(
    "bind, domain",
    [("0.0.0.0", "a b"), ("0.0.0.0", "x\ny"), ("0.0.0.0", ""), ("::", "localhost"), ("0.0.0.0:1\n", "localhost")],
)
def test_settings_that_no_proxy_file_may_contain_are_refused(tmp_path: Path, bind: str, domain: str) -> None:
    with pytest.raises(Invalid):
        HAProxy(tmp_path, bind=bind, http_port=8080, api="127.0.0.1:1", domain=domain)


def test_a_path_too_long_for_a_socket_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="too long"):
        Master(tmp_path / ("x" * os.pathconf(tmp_path, "PC_NAME_MAX"))).workers()
