"""The held report, as bytes."""

from __future__ import annotations

import pytest

from gitd.report import FLUSH, Malformed, Report, pkt, sideband

ADVERTISEMENT = pkt(b"0" * 40 + b" capabilities^{}\0report-status-v2 side-band-64k\n") + FLUSH
OK_REPORT = pkt(b"unpack ok\n") + pkt(b"ok refs/heads/main\n") + FLUSH


def banded(report: bytes) -> bytes:
    return b"".join(sideband(report))


def test_the_advertisement_passes_at_once() -> None:
    assert Report().feed(ADVERTISEMENT) == ADVERTISEMENT


def test_progress_passes_at_once_and_the_report_is_held_to_the_end() -> None:
    report = Report()
    report.feed(ADVERTISEMENT)
    progress = pkt(b"\x02Building\n")
    assert report.feed(banded(OK_REPORT) + progress + FLUSH) == progress
    assert "ok refs/heads/main" in report.held
    assert report.finish({}) == (banded(OK_REPORT) + FLUSH, False)


def test_ok_becomes_ng_with_the_reason() -> None:
    report = Report()
    report.feed(ADVERTISEMENT + banded(OK_REPORT) + FLUSH)
    expected = pkt(b"unpack ok\n") + pkt(b"ng refs/heads/main build failed: no Procfile\n") + FLUSH
    assert report.finish({"refs/heads/main": "build failed:\nno Procfile"}) == (banded(expected) + FLUSH, True)


def test_only_the_refs_named_are_refused() -> None:
    lines = pkt(b"unpack ok\n") + pkt(b"ok refs/heads/main\n") + pkt(b"ok refs/tags/v1\n") + FLUSH
    report = Report()
    report.feed(ADVERTISEMENT + banded(lines) + FLUSH)
    rest, refused = report.finish({"refs/heads/main": "no"})
    assert b"ng refs/heads/main no" in rest and b"ok refs/tags/v1" in rest and refused


def test_the_options_of_a_refused_ref_go_with_its_ok() -> None:
    lines = pkt(b"unpack ok\n") + pkt(b"ok refs/heads/a\n") + pkt(b"option old-oid 00\n") + pkt(b"ok refs/heads/b\n")
    report = Report()
    report.feed(ADVERTISEMENT + banded(lines + pkt(b"option old-oid 11\n") + FLUSH) + FLUSH)
    rest, _ = report.finish({"refs/heads/a": "no"})
    assert b"old-oid 00" not in rest and b"old-oid 11" in rest


def test_the_stream_may_come_in_pieces_of_any_size() -> None:
    whole = ADVERTISEMENT + pkt(b"\x02one\n") + banded(OK_REPORT) + pkt(b"\x02two\n") + FLUSH
    for size in (1, 2, 3, 5, 7, 64):
        report = Report()
        passed = b"".join(report.feed(whole[start : start + size]) for start in range(0, len(whole), size))
        assert passed == ADVERTISEMENT + pkt(b"\x02one\n") + pkt(b"\x02two\n")
        assert report.finish({}) == (banded(OK_REPORT) + FLUSH, False)


def test_an_empty_report_packet_passes_because_it_keeps_the_connection_alive() -> None:
    report = Report()
    assert report.feed(ADVERTISEMENT + pkt(b"\x01")) == ADVERTISEMENT + pkt(b"\x01")


def test_a_client_without_side_band_gets_a_raw_report_and_no_second_end() -> None:
    report = Report()
    passed = b"".join(report.feed(bytes([value])) for value in ADVERTISEMENT + OK_REPORT)
    assert passed == ADVERTISEMENT
    assert report.finish({"refs/heads/main": "no"}) == (
        pkt(b"unpack ok\n") + pkt(b"ng refs/heads/main no\n") + FLUSH,
        True,
    )


def test_a_report_larger_than_a_packet_is_split() -> None:
    lines = b"".join(pkt(b"ok refs/tags/%06d\n" % number) for number in range(5000))
    report = Report()
    report.feed(ADVERTISEMENT + banded(pkt(b"unpack ok\n") + lines + FLUSH) + FLUSH)
    rest, refused = report.finish({})
    again = Report()
    again.feed(ADVERTISEMENT + rest)
    assert again.held.count("ok refs/tags/") == 5000 and not refused


def test_what_git_says_of_a_whole_push_is_said_better() -> None:
    for words in (b"pre-receive hook declined", b"unpacker error"):
        report = Report()
        report.feed(ADVERTISEMENT + banded(pkt(b"unpack ok\n") + pkt(b"ng refs/heads/main " + words + b"\n") + FLUSH))
        rest, refused = report.finish({}, "the disk is too full")
        assert b"ng refs/heads/main the disk is too full" in rest and refused


def test_a_pack_over_the_limit_is_noticed_across_packets() -> None:
    report = Report()
    report.feed(ADVERTISEMENT + pkt(b"\x02fatal: pack exceeds maxi") + pkt(b"\x02mum allowed size\n"))
    assert report.too_large


def test_nothing_is_added_when_the_client_only_looked() -> None:
    report = Report()
    report.feed(ADVERTISEMENT)
    assert report.finish({}) == (b"", False)


def test_a_push_without_a_report_still_gets_its_end() -> None:
    report = Report()
    report.feed(ADVERTISEMENT + pkt(b"\x02hello\n") + FLUSH)
    assert report.finish({}) == (FLUSH, False)


@pytest.mark.parametrize("garbage", [b"zzzz", b"0001", b"0003", b"-001"])
def test_what_is_no_pkt_line_is_an_error(garbage: bytes) -> None:
    with pytest.raises(Malformed):
        Report().feed(garbage)


def test_a_reason_is_one_line_and_never_empty() -> None:
    report = Report()
    report.feed(ADVERTISEMENT + banded(OK_REPORT))
    rest, _ = report.finish({"refs/heads/main": "\n"})
    assert b"ng refs/heads/main refused\n" in rest
