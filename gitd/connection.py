"""asyncssh's server connection, with what moving hundreds of megabytes through it needs."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import asyncssh

MSG_IGNORE = 2
PIECE = 64 * 1024


class Connection(asyncssh.SSHServerConnection):
    """One connection from a client."""

    def data_received(self, data: bytes, datatype: asyncssh.DataType = None) -> None:
        """Take what came piece by piece: each packet is cut off the front of everything not yet parsed."""
        if len(data) <= PIECE:
            super().data_received(data)
            return
        view = memoryview(data)
        for start in range(0, len(view), PIECE):
            super().data_received(bytes(view[start : start + PIECE]))

    def send_packet(self, pkttype: int, *args: bytes, handler: Any = None) -> None:
        """Leave out the empty packet asyncssh puts before each: it guards CBC ciphers, and we offer none."""
        if pkttype != MSG_IGNORE:
            super().send_packet(pkttype, *args, handler=handler)


async def prove(accepted: socket.socket, options: asyncssh.SSHServerConnectionOptions) -> Connection:
    """The connection on `accepted` once a key has signed; asyncssh.Error when none does."""
    loop = asyncio.get_running_loop()
    options = await asyncssh.SSHServerConnectionOptions.construct(options)
    options.waiter = loop.create_future()
    _, connection = await loop.create_connection(lambda: Connection(loop, options, wait="auth"), sock=accepted)
    try:
        await options.waiter
    except BaseException:
        connection.abort()
        await connection.wait_closed()
        raise
    return connection
