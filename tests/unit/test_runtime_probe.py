"""One GET, against servers that answer in every way; and what a series of answers means."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from runtime.base import Answer, Check
from runtime.liveness import dead
from runtime.probe import BODY_LIMIT, get

HEAD = b"HTTP/1.1 200 Fine\r\n"


@dataclass
class Server:
    """Answers one connection with `pieces`, a moment apart, and then holds it until the test is over."""

    pieces: tuple[bytes, ...]
    hold: bool = False
    port: int = 0
    asked: bytes = b""
    over: threading.Event = field(default_factory=threading.Event)

    def serve(self, listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            self.asked = connection.recv(65536)
            for piece in self.pieces:
                try:
                    connection.sendall(piece)
                except OSError:
                    return
                if self.over.wait(0.05):
                    return
            if self.hold:
                self.over.wait(10)


@contextmanager
def serving(*pieces: bytes, hold: bool = False) -> Iterator[Server]:
    server = Server(pieces, hold)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server.port = listening.getsockname()[1]
        thread = threading.Thread(target=server.serve, args=(listening,))
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            thread.join(10)


def probe(server: Server, check: Check, timeout: float = 5, cancelled: threading.Event | None = None) -> Answer | None:
    return get("127.0.0.1", server.port, "hello.example", check, timeout, cancelled)


def test_a_status_is_enough_where_no_content_is_wanted() -> None:
    with serving(HEAD + b"Content-Length: 9\r\n\r\n", hold=True) as server:
        assert probe(server, Check("/health?deep=1")) == Answer(200)
    assert server.asked.startswith(b"GET /health?deep=1 HTTP/1.1\r\n")
    assert b"Host: hello.example\r\n" in server.asked and b"X-Forwarded-Proto: https\r\n" in server.asked


def test_headers_of_a_check_go_before_ours() -> None:
    check = Check(headers=(("host", "other.example"), ("X-Probe", "yes"), ("user-agent", "me")))
    with serving(HEAD + b"\r\n") as server:
        probe(server, check)
    assert server.asked.lower().count(b"host:") == 1 and b"host: other.example\r\n" in server.asked
    assert b"X-Probe: yes\r\n" in server.asked and b"paas-health" not in server.asked


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD + b"Content-Length: 8\r\n\r\nall ", b"wel", b"l"),
        (HEAD + b"\r\n", b"it is w", b"ell"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nw", b"el\r\n1\r\nl\r\n", b"0\r\n\r\n"),
    ],
)
def test_content_is_found_however_the_body_comes(pieces: tuple[bytes, ...]) -> None:
    check = Check(content="well")
    with serving(*pieces) as server:
        answer = probe(server, check)
    assert answer is not None and check.accepts(answer)


def test_a_body_is_read_no_further_than_to_the_content_or_the_limit() -> None:
    with serving(HEAD + b"\r\nwell", hold=True) as server:
        assert probe(server, Check(content="well")) == Answer(200, b"well")
    with serving(HEAD + b"\r\n" + b"x" * 4 * BODY_LIMIT, hold=True) as server:
        answer = probe(server, Check(content="well"))
        assert answer is not None and BODY_LIMIT <= len(answer.body) < 2 * BODY_LIMIT


@pytest.mark.parametrize("pieces", [(), (b"HTTP/1.1 2",), tuple(b"%c" % one for one in HEAD * 40), (HEAD + b"\r\n",)])
def test_an_answer_that_does_not_end_in_time_is_none(pieces: tuple[bytes, ...]) -> None:
    with serving(*pieces, hold=True) as server:
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            probe(server, Check(content="well"), timeout=0.4)
        assert time.monotonic() - begun < 2


def test_a_probe_ends_soon_after_it_is_cancelled() -> None:
    cancelled = threading.Event()
    with serving(hold=True) as server:
        timer = threading.Timer(0.2, cancelled.set)
        timer.start()
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            probe(server, Check(), timeout=60, cancelled=cancelled)
        assert time.monotonic() - begun < 2
        timer.join()


@pytest.mark.parametrize("pieces", [(b"SSH-2.0-x\r\n",), (b"\0" * 100 + b"\r\n",), (b"",)])
def test_what_is_no_http_is_told_from_silence(pieces: tuple[bytes, ...]) -> None:
    with serving(*pieces) as server, pytest.raises(ConnectionError):
        probe(server, Check())


def test_nothing_that_listens_is_no_answer() -> None:
    with serving(HEAD + b"\r\n") as server:
        probe(server, Check())
    assert probe(server, Check(), timeout=1) is None


@pytest.mark.parametrize(
    ("check", "answer", "good"),
    [
        (Check(), Answer(200), True),
        (Check(), Answer(302), True),
        (Check(), Answer(404), False),
        (Check(), Answer(199), False),
        (Check(below=500), Answer(404), True),
        (Check(below=500), Answer(500), False),
        (Check(content="é"), Answer(200, "né".encode()), True),
        (Check(content="é"), Answer(200, b"ne"), False),
    ],
)
def test_a_check_takes_what_it_asked_for(check: Check, answer: Answer, good: bool) -> None:
    assert check.accepts(answer) is good


@pytest.mark.parametrize(
    ("results", "attempts", "is_dead"),
    [
        ([], 1, False),
        ([False], 1, True),
        ([True], 1, False),
        ([False, False], 3, False),
        ([False, False, False], 3, True),
        ([True, False, False, False], 3, True),
        ([False, False, True], 3, False),
        ([False, True, False, False], 3, False),
        ([], 0, False),
        ([True], 0, False),
    ],
)
def test_only_failures_in_a_row_make_an_instance_dead(results: list[bool], attempts: int, is_dead: bool) -> None:
    assert dead(results, attempts) is is_dead
