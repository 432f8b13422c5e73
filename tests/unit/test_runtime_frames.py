"""Bytes from the engine become frames, lines and plain text."""

from __future__ import annotations

from runtime.frames import LINE_LIMIT, Frames, Lines, plain


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
    assert plain("\x1b[1;31mred\x1b[0m\x1b]0;title\x07 \x1b]8;;x\x1b\\link\ttab\x00\x9b\r") == "red link\ttab"
