"""asyncssh's connection and channel, with what moving hundreds of megabytes through them needs.

Both reach below asyncssh's documented surface, so its version is locked and a test moves enough data to see a change.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

import asyncssh

MSG_IGNORE = 2
PIECE = 64 * 1024
WORTHWHILE = 256 * 1024
"""Bytes of window that make another turn of sending pay."""


MOST_UNSENT = 1 << 20
"""Bytes in front of a socket that is slow, whatever window its client has opened."""


class Connection(asyncssh.SSHServerConnection):
    """One connection from a client."""

    crowded = False
    """Whether the socket takes no more."""

    def connection_made(self, transport: Any) -> None:
        transport.set_write_buffer_limits(MOST_UNSENT)
        super().connection_made(transport)

    def pause_writing(self) -> None:
        self.crowded = True

    def resume_writing(self) -> None:
        self.crowded = False
        for channel in list(self._channels.values()):
            channel._flush_send_buf()

    def data_received(self, data: bytes, datatype: asyncssh.DataType = None) -> None:
        """Take what came piece by piece: each packet is cut off the front of everything not yet parsed."""
        if not self._auth_complete:
            self._acknowledge()
        if len(data) <= PIECE:
            super().data_received(data)
        else:
            view = memoryview(data)
            for start in range(0, len(view), PIECE):
                super().data_received(bytes(view[start : start + PIECE]))

    def _acknowledge(self) -> None:
        """Tell the client's kernel at once what has arrived: OpenSSH's next small packet waits for it, else 40 ms."""
        accepted = self.get_extra_info("socket")
        if accepted:
            with suppress(OSError):
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def send_packet(self, pkttype: int, *args: bytes, handler: Any = None) -> None:
        """Leave out the empty packet asyncssh puts before each: it guards CBC ciphers, and we offer none."""
        if pkttype != MSG_IGNORE:
            super().send_packet(pkttype, *args, handler=handler)

    def log_received_packet(self, *packet: object, **note: object) -> None:
        """Nothing: asking whether to log takes a tenth of the time."""

    log_sent_packet = log_received_packet

    def create_server_channel(
        self, encoding: str | None = None, errors: str = "strict", window: int = 1 << 21, max_pktsize: int = 1 << 15
    ) -> asyncssh.SSHServerChannel[bytes]:
        return Channel(self, self._loop, True, False, False, 0, 0, None, errors, window, max_pktsize)


class Channel(asyncssh.SSHServerChannel[bytes]):
    """A session's channel that waits for a window worth filling instead of sending crumbs."""

    _conn: Connection
    _widest = 0

    def log_received_packet(self, *packet: object, **note: object) -> None:
        """As above."""

    log_sent_packet = log_received_packet

    def _flush_send_buf(self) -> None:
        self._widest = max(self._widest, self._send_window)
        crumbs = self._send_window < min(self._send_buf_len, WORTHWHILE, self._widest // 2)
        if crumbs or (self._send_buf and self._conn.crowded):
            self._pause_resume_writing()
        else:
            super()._flush_send_buf()


async def prove(accepted: socket.socket, options: asyncssh.SSHServerConnectionOptions) -> Connection:
    """The connection on `accepted` once a key has signed; asyncssh.Error when none does."""
    loop = asyncio.get_running_loop()
    options.waiter = loop.create_future()
    _, connection = await loop.create_connection(lambda: Connection(loop, options, wait="auth"), sock=accepted)
    try:
        await options.waiter
    except BaseException:
        connection.abort()
        await connection.wait_closed()
        raise
    return connection
