"""What campaigns push: says its version, keeps WebSockets open, and is slow or broken when the file `fault` says so."""

import asyncio
import base64
import hashlib
import os
import signal
import struct
import sys
import time
from pathlib import Path

VERSION = Path("version").read_text().strip()
FAULT = Path("fault").read_text().strip()
MARK = os.environ.get("MARK", "-")
RELEASE = os.environ.get("PAAS_RELEASE", "-")
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SLOW, BROKEN, WARMING = 10, 8, 10
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Traffic:
    """What came through the proxy; the platform's own probes do not count."""

    began = 0.0
    requests = 0

    def fault(self):
        """Status and seconds of delay of the next request."""
        now = time.monotonic()
        self.began = self.began or now
        self.requests += 1
        if FAULT == "half" and self.requests % 2:
            return 500, 0
        if FAULT == "early" and now - self.began < BROKEN:
            return 500, 0
        if FAULT == "warm" and now - self.began < WARMING:
            return 200, 2
        return 200, 0


async def serve(reader, writer, traffic):
    try:
        while await request(reader, writer, traffic):
            pass
    except (OSError, EOFError):
        pass
    finally:
        writer.close()


async def request(reader, writer, traffic):
    """Answer one request; whether the connection takes another."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    path = head[0].split(" ")[1]
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    if fields.get("upgrade", "").lower() == "websocket":
        return await socket(reader, writer, fields["sec-websocket-key"])
    status, delay = traffic.fault() if "x-forwarded-for" in fields else (200, 0)
    await asyncio.sleep(SLOW if path == "/slow" else delay)
    keep = fields.get("connection", "").lower() != "close"
    body = f"{VERSION} {MARK}\n".encode()
    more = "" if keep else "Connection: close\r\n"
    writer.write(f"HTTP/1.1 {status} So\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body)
    await writer.drain()
    return keep


async def socket(reader, writer, key):
    """A WebSocket that says which release it is on, and echoes."""
    accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
    head = "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    writer.write(f"{head}{accept}\r\n\r\n".encode() + frame(TEXT, RELEASE.encode()))
    while True:
        kind, data = await receive(reader)
        writer.write(frame(PONG if kind == PING else kind, data))
        await writer.drain()
        if kind == CLOSE:
            return False


def frame(kind, data):
    """One short, unfragmented frame."""
    return bytes([0x80 | kind, len(data)]) + data


async def receive(reader):
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack(">H", await reader.readexactly(2))
    mask = await reader.readexactly(4)
    data = await reader.readexactly(length)
    return first & 0x0F, bytes(byte ^ mask[place % 4] for place, byte in enumerate(data))


async def main():
    traffic = Traffic()
    server = await asyncio.start_server(lambda *ends: serve(*ends, traffic), "0.0.0.0", int(os.environ["PORT"]))
    print("serving", VERSION, flush=True)
    await server.serve_forever()


if FAULT == "crash":
    sys.exit("told to crash")
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
asyncio.run(main())
