"""A TCP relay that cuts the line after so many bytes from the client."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

NOW = struct.pack("ii", 1, 0)
"""SO_LINGER: closing resets the connection, as a line that breaks."""


class Cutter:
    """One connection through to `port`; the line breaks after `limit` bytes from the client. None: never."""

    def __init__(self, port: int, limit: int | None = None) -> None:
        self._target, self._limit = port, limit
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._door.getsockname()[1])
        self.passed = 0
        """Bytes from the client that went through."""
        self._thread = threading.Thread(target=self._relay, daemon=True)

    def __enter__(self) -> Cutter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Without a connection it would wait for ever.
        with socket.socket() as bell:
            bell.connect_ex(("127.0.0.1", self.port))
        self._door.close()
        self._thread.join()

    def _relay(self) -> None:
        client, _ = self._door.accept()
        with client, socket.create_connection(("127.0.0.1", self._target)) as server:
            back = threading.Thread(target=pump, args=(server, client), daemon=True)
            back.start()
            try:
                while data := client.recv(self._room()):
                    server.sendall(data)
                    self.passed += len(data)
            except OSError:
                pass
            for end in (client, server):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
                shut(end)
            back.join()

    def _room(self) -> int:
        return 65536 if self._limit is None else min(65536, self._limit - self.passed)


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    shut(sink)


def shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
