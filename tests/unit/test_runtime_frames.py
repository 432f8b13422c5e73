"""Bytes from the engine become frames, lines and plain text."""

from __future__ import annotations

import pytest

from core.errors import Unavailable
from core.text import LINE_LIMIT, clean
from runtime.budget import Budget, Pace
from runtime.frames import Frames, Lines, Log


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def test_frames_are_found_however_the_bytes_are_cut() -> None:
    raw = frame(1, b"out") + frame(2, b"") + frame(2, b"error")
    for step in (1, 3, 8, len(raw)):
        cutter = Frames()
        found = [one for at in range(0, len(raw), step) for one in cutter.feed(raw[at : at + step])]
        assert found == [(1, b"out"), (2, b""), (2, b"error")]


def test_lines_are_joined_over_pieces_and_lose_their_ends() -> None:
    lines = Lines()
    assert lines.feed(b"one\r\ntw") == ["one"]
    assert lines.feed(b"o\n\nrest") == ["two", ""]
    assert lines.rest() == "rest"
    assert lines.rest() == ""


def test_a_line_without_end_takes_no_more_memory_than_the_limit() -> None:
    lines = Lines()
    for _ in range(40):
        assert lines.feed(b"x" * (LINE_LIMIT // 10)) == []
        assert len(lines.pending) <= LINE_LIMIT
    assert lines.feed(b"\nnext\n") == ["x" * LINE_LIMIT, "next"]


def test_bytes_that_are_not_utf_8_are_replaced() -> None:
    assert Lines().feed(b"caf\xe9\n") == ["caf\N{REPLACEMENT CHARACTER}"]


def test_plain_text_has_no_escape_sequences_and_control_characters() -> None:
    assert clean("\x1b[1;31mred\x1b[0m\x1b]0;title\x07 \x1b]8;;x\x1b\\link\ttab\x00\x9b\r") == "red link\ttab"


def stamped(second: int, data: bytes, stream: int = 1) -> bytes:
    return frame(stream, b"1970-01-01T00:00:%02d.5Z " % second + data)


def test_a_log_is_cut_into_lines_with_their_times() -> None:
    raw = stamped(1, b"one\n") + stamped(2, b"half ") + stamped(3, b"error\n", 2) + stamped(4, b"whole\nrest")
    log = Log()
    pieces = [piece for at in range(0, len(raw), 7) for piece in log.feed(raw[at : at + 7])]
    assert [(piece.at, piece.lines) for piece in pieces] == [
        (1.5, ["one"]),
        (2.5, []),
        (3.5, ["error"]),
        (4.5, ["half whole"]),
    ]
    assert log.rest() == ["rest"] and log.rest() == []


def test_a_hundred_megabytes_without_an_end_of_line_are_one_line() -> None:
    log, block = Log(), stamped(1, b"\xff\x1b\0x" * 4096)
    for _ in range(100 << 20 >> 14):
        assert [piece.lines for piece in log.feed(block)] == [[]]
    assert sum(len(lines.pending) for lines in log.lines.values()) == LINE_LIMIT
    (last,) = list(log.feed(stamped(2, b"\n")))
    assert len(last.lines[0]) == LINE_LIMIT


def test_what_the_engine_says_of_a_broken_log_is_no_line_of_the_app() -> None:
    with pytest.raises(Unavailable, match="cannot read a log") as caught:
        list(Log().feed(frame(3, b"Error grabbing logs: \x1bunexpected EOF\n")))
    assert "unexpected EOF" in caught.value.evidence


def test_a_budget_is_refilled_by_the_times_of_the_lines() -> None:
    budget = Budget(Pace(rate=1000, least=10, burst=2))
    assert all(budget.take(100.0, 1) for _ in range(200))
    assert not budget.take(100.0, 1)
    budget = Budget(Pace(rate=1000, least=10, burst=2))
    assert all(budget.take(100.0 + second, 900) for second in range(50)), "written slowly, however fast it is read"
    assert not budget.take(149.5, 3000)


def test_a_refusal_says_who_wrote_how_fast() -> None:
    line = Budget(Pace()).refusal("web.1", 12)
    assert (line.source, line.release) == ("paas", 0)
    assert line.text == "web.1 (v12) wrote faster than 1 MB or 1024 lines a second: its lines are dropped for 5 s"
