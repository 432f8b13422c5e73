"""A real HAProxy for tests, with apps and clients around it."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from router.base import Target
from router.haproxy import HAProxy
from tests.ports import free_port
from tests.waiting import until


class Answering(BaseHTTPRequestHandler):
    """Says which app it is and what it was sent; `/slow/SECONDS` takes its time."""

    protocol_version = "HTTP/1.1"
    server: App

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append(f"{self.command} {self.path}")
        if self.path.startswith("/slow/"):
            self.server.busy.set()
            time.sleep(float(self.path.removeprefix("/slow/")))
        said = f"{self.server.word}\n{self.command} {self.path}\n{self.headers}".encode() + body
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


class App(ThreadingHTTPServer):
    """An instance: answers `word` on a loopback port of its own until it is closed."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, word: str, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Answering)
        self.word = word
        self.seen: list[str] = []
        self.busy = threading.Event()
        self.target = Target("127.0.0.1", self.server_address[1], word)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""

    def close(self) -> None:
        self.shutdown()
        self.server_close()


Start = Callable[..., App]
"""Takes an app's word (and a port, if it matters which) and starts it for the length of a test."""


class RunningProxy:
    """HAProxy on free ports, its files in `folder`; started and killed by its process."""

    def __init__(self, folder: Path, slots: int = 8) -> None:
        self.folder = folder
        self.port, self.api_port = free_port(), free_port()
        self.slots = slots
        self.proxy = self.adapter()
        self.process: subprocess.Popen[bytes] | None = None
        # A connection for each request, so that none outlives a change by being kept.
        kept = httpx.Limits(max_keepalive_connections=0)
        self.client = httpx.Client(trust_env=False, timeout=10, limits=kept)

    def adapter(self) -> HAProxy:
        """A fresh one, as after a restart of the server."""
        api = f"127.0.0.1:{self.api_port}"
        where = {"bind": "127.0.0.1", "api": api, "domain": "localhost"}
        return HAProxy(self.folder, http_port=self.port, slots=self.slots, **where)

    def start(self) -> None:
        self.proxy.prepare()
        with (self.folder / "log").open("ab") as output:
            self.process = subprocess.Popen(self.proxy.command(), stdout=output, stderr=output)
        until(self.answers)

    def answers(self) -> bool:
        assert self.process
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            return self.get("nobody.localhost").status_code == 404 and self.proxy.routes() is not None
        except Exception:
            return False

    def stop(self) -> None:
        """SIGKILL to master and workers, as in a crash."""
        if self.process:
            for worker in self.workers():
                subprocess.run(["kill", "-9", str(worker)], check=False)
            self.process.kill()
            self.process.wait()
            self.process = None

    def workers(self) -> list[int]:
        assert self.process
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()] if children.exists() else []

    def get(self, host: str, path: str = "/", headers: Mapping[str, str] | None = None) -> httpx.Response:
        return self.send("GET", path, host, headers)

    def send(
        self, method: str, path: str, host: str = "hello.localhost", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        address = f"http://127.0.0.1:{self.port}{path}"
        return self.client.request(method, address, headers={**(headers or {}), "Host": host})

    def word(self, host: str = "hello.localhost") -> str:
        """Which app answered."""
        return self.get(host).text.split("\n", 1)[0]

    def raw(self, request: bytes) -> bytes:
        """All that comes back on a connection of its own, which the proxy ends."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as answer:
                return answer.read()
