"""What receive-pack says, on its way to the client: everything passes at once but the report, which waits for the
verdict.

git reports before post-receive has run. Held back, an `ok REF` can still become `ng REF reason`: the client then sees a
rejected push, leaves its tracking ref alone and may push the same commit again. Pure: bytes in, bytes out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

FLUSH = b"0000"
REPORT_BAND = b"\x01"
PROGRESS_BAND = b"\x02"
LARGEST_PACKET = 65520
"""What git allows for one pkt-line of side-band-64k, its length included."""
LONGEST_REASON = 1000


class Malformed(Exception):
    """The stream is not what receive-pack writes."""


class Report:
    """Fed with receive-pack's stdout; gives back what may pass, and at the end the report as it shall be."""

    def __init__(self) -> None:
        self._pending = b""
        self._advertised = False
        self._raw: bool | None = None
        """Whether the client speaks no side-band; None while nothing has told."""
        self._held = bytearray()
        self._ended = False
        self._seen = b""
        self.too_large = False
        """Whether git said that the pack exceeds the limit."""

    def feed(self, data: bytes) -> bytes:
        """What of `data` (and what was kept of earlier data) the client may have now."""
        self._pending += data
        passed = bytearray()
        offset = 0
        while (end := packet_end(self._pending, offset)) is not None:
            passed += self._judge(self._pending[offset:end])
            offset = end
        self._pending = self._pending[offset:]
        return bytes(passed)

    def _judge(self, packet: bytes) -> bytes:
        if not self._advertised:
            self._advertised = packet == FLUSH
            return packet
        if self._raw is None:
            self._raw = packet[4:].startswith(b"unpack ")
        if self._raw:
            self._held += packet
            return b""
        return self._sideband(packet)

    def _sideband(self, packet: bytes) -> bytes:
        band, payload = packet[4:5], packet[5:]
        if band == REPORT_BAND and payload:
            self._held += payload
            return b""
        if packet == FLUSH:  # git's end; the report comes before it
            self._ended = True
            return b""
        if band == PROGRESS_BAND:
            self._watch(payload)
        return packet  # an empty report packet keeps the connection alive

    def _watch(self, progress: bytes) -> None:
        window = self._seen + progress
        self.too_large = self.too_large or b"pack exceeds maximum allowed size" in window
        self._seen = window[-64:]

    @property
    def held(self) -> str:
        """The report so far, as text."""
        return self._held.decode("utf-8", "replace")

    def finish(self, reasons: Mapping[str, str], declined: str = "") -> tuple[bytes, bool]:
        """The rest of the stream, and whether any ref was refused.

        `reasons`: ref to reason for each `ok` that becomes `ng`. `declined`: says better what git's own words for a
        whole push (`pre-receive hook declined`, `unpacker error`) mean.
        """
        if not self._held:
            return (FLUSH if self._ended else b"") + self._pending, False
        lines = list(rewrite(bytes(self._held), reasons, declined))
        refused = any(line.startswith(b"ng ") for line in lines)
        report = b"".join(pkt(line) for line in lines) + FLUSH
        if self._raw:
            return report, refused
        return b"".join(sideband(report)) + FLUSH, refused


def packet_end(data: bytes, offset: int) -> int | None:
    """Where the pkt-line at `offset` ends; None when it is not all there. Malformed when its length is none."""
    head = data[offset : offset + 4]
    if len(head) < 4:
        return None
    try:
        length = int(head, 16)
    except ValueError as error:
        raise Malformed(f"not a pkt-line: {head!r}") from error
    if length == 0:
        return offset + 4
    if length < 4:
        raise Malformed(f"not a pkt-line of receive-pack: {head!r}")
    return offset + length if len(data) >= offset + length else None


def rewrite(report: bytes, reasons: Mapping[str, str], declined: str) -> Iterator[bytes]:
    """The lines of a report, with the verdicts as they shall be."""
    by_ref = {ref.encode("utf-8", "surrogateescape"): reason for ref, reason in reasons.items()}
    refused = False
    for line in packets(report):
        kind, _, rest = line.rstrip(b"\n").partition(b" ")
        if kind == b"ok":
            refused = rest in by_ref
            yield ng(rest, by_ref[rest]) if refused else line
        elif kind == b"ng":
            refused = True
            ref, _, words = rest.partition(b" ")
            reason = by_ref.get(ref) or (declined if words in WHOLE_PUSH else "")
            yield ng(ref, reason) if reason else line
        elif not (kind == b"option" and refused):  # options say more about an `ok`
            yield line


WHOLE_PUSH = (b"pre-receive hook declined", b"unpacker error")


def packets(report: bytes) -> Iterator[bytes]:
    offset = 0
    while (end := packet_end(report, offset)) is not None:
        if end - offset > 4:
            yield report[offset + 4 : end]
        offset = end


def ng(ref: bytes, reason: str) -> bytes:
    words = " ".join(reason.split())[:LONGEST_REASON]
    return b"ng " + ref + b" " + (words or "refused").encode() + b"\n"


def pkt(payload: bytes) -> bytes:
    return b"%04x" % (len(payload) + 4) + payload


def sideband(data: bytes) -> Iterator[bytes]:
    room = LARGEST_PACKET - 5
    for offset in range(0, len(data), room):
        yield pkt(REPORT_BAND + data[offset : offset + room])
