"""What a hook and the daemon say to each other over the socket; standard library only, and little of that.

A hook sends one JSON object on one line. The daemon answers with lines: `.TEXT` is printed as it comes, `=CODE` is the
verdict and ends the conversation.
"""

from __future__ import annotations

# The C modules by their own names: `json` and `socket` take 7 ms each to import, twice on the path of every push.
from _json import encode_basestring_ascii as quoted
from _socket import AF_UNIX, SOCK_STREAM, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SAY = b"."
VERDICT = b"="
READ_BYTES = 65536


def encode(value: object) -> str:
    """JSON of strings, lists and objects of them."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{quoted(key)}:{encode(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(encode(item) for item in value) + "]"
    raise TypeError(type(value).__name__)


def say(text: str) -> bytes:
    """A line to print; never more than one."""
    return SAY + text.replace("\n", " ").encode("utf-8", "replace") + b"\n"


def verdict(code: int) -> bytes:
    """The end of the conversation: the hook's exit code."""
    return VERDICT + str(code).encode() + b"\n"


def ask(path: str, request: Mapping[str, object]) -> Iterator[bytes]:
    """Send `request` to the socket at `path`; the lines that come back, without their ends. OSError when it breaks."""
    connection = socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.connect(path)
        connection.sendall(encode(request).encode("ascii") + b"\n")
        rest = b""
        while data := connection.recv(READ_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            yield from lines
    finally:
        connection.close()
