"""The engine's BuildKit over plain HTTP: a tar in, progress out, the image's id back.

docker-py's own `build()` cannot ask for BuildKit; its HTTP client can.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
import requests
import structlog
from docker.errors import DockerException

from builder.failures import failure
from builder.progress import Progress
from builder.trace import decode
from core.errors import Unavailable

log = structlog.get_logger()

HANGS = 30
POOLS = 4


@contextmanager
def engine_errors() -> Iterator[None]:
    """docker-py's and requests' errors in our words; Unavailable in the end."""
    try:
        yield
    except (DockerException, requests.RequestException) as error:
        raise Unavailable(
            "the Docker engine does not answer", "Is Docker running? Try again in a moment.", evidence=str(error)
        ) from error


def connect(host: str) -> docker.DockerClient:
    """A client of the engine at `host`; Unavailable when it does not answer."""
    socket = urlsplit(host)
    if socket.scheme == "unix" and not Path(socket.path).is_socket():  # docker-py would leave its own one open
        raise Unavailable("the Docker engine does not answer", "Is Docker running?", evidence=f"no {socket.path}")
    with engine_errors():
        # docker-py keeps a connection open for each of the last so many addresses it has asked for.
        return docker.DockerClient(base_url=host, timeout=60, num_pools=POOLS)


def listed(client: docker.DockerClient, **filters: object) -> list[dict[str, Any]]:
    """Images as the engine lists them: in one call, since each may be gone by the time it is asked about."""
    found: list[dict[str, Any]] = client.api.images(filters=filters)
    return found


@dataclass
class Attempt:
    """One build in flight. `stopped` is why it was told to stop: timeout or cancelled."""

    id: str
    progress: Progress
    stopped: str = ""
    image: str = ""
    error: str = ""
    seen: threading.Event = field(default_factory=threading.Event)


class Stopped(Exception):
    """Told to stop while the sources were still being sent."""


class Engine:
    """Builds on one engine; a build can be cancelled from another thread, also before it has begun."""

    def __init__(self, client: docker.DockerClient) -> None:
        self.client = client
        self.running: dict[str, Attempt] = {}
        self.doomed: set[str] = set()
        """Builds that were cancelled before they began."""

    def url(self, path: str) -> str:
        return f"{self.client.api.base_url}/v{self.client.api.api_version}{path}"

    def build(
        self, id: str, context: Iterable[bytes], options: Mapping[str, Any], progress: Progress, timeout: float
    ) -> str:
        """Build, streaming to `progress`; the image's id. StepFailed (step, timeout, oom, cancelled), Unavailable."""
        attempt = self.running[id] = Attempt(id, progress)
        if id in self.doomed:
            attempt.stopped = "cancelled"
        timer = threading.Timer(timeout, self.expire, [attempt])
        timer.daemon = True
        timer.start()
        try:
            self.follow(attempt, unless_stopped(attempt, context), options, timeout)
        except Stopped:
            log.info("build.stopped", build=id, why=attempt.stopped)
        finally:
            timer.cancel()
            self.running.pop(id, None)
            self.doomed.discard(id)
        if attempt.image and not attempt.error:
            return attempt.image
        raise failure(progress, attempt.error, attempt.stopped, timeout)

    def cancel(self, id: str) -> None:
        """Kill a build and everything its step started; nothing when there is none."""
        self.doomed.add(id)  # first, since it may be beginning this moment
        attempt = self.running.get(id)
        if attempt:
            self.stop(attempt, "cancelled")
        else:
            self.kill(id)

    def expire(self, attempt: Attempt) -> None:
        try:
            self.stop(attempt, "timeout")
        except Unavailable as error:
            log.warning("build.not_stopped", build=attempt.id, reason=error.evidence)

    def stop(self, attempt: Attempt, why: str) -> None:
        attempt.stopped = attempt.stopped or why
        if attempt.seen.is_set():
            self.kill(attempt.id)

    def kill(self, id: str) -> None:
        with engine_errors():
            self.client.api.post(self.url("/build/cancel"), params={"id": id}, timeout=30).close()

    def cache(self) -> list[dict[str, Any]]:
        """Every record of the build cache, of whomever."""
        with engine_errors():
            found: list[dict[str, Any]] = self.client.df()["BuildCache"] or []
            return found

    def forget(self, record: str) -> int:
        """Remove one record of the build cache; the bytes freed, 0 when it is in use, needed by another or gone."""
        with engine_errors():
            # The engine takes the id for a regular expression.
            filters = json.dumps({"id": {f"^{record}$": True}})
            answer = self.client.api.post(self.url("/build/prune"), params={"filters": filters}, timeout=60)
            with answer:
                answer.raise_for_status()
                return int(answer.json()["SpaceReclaimed"])

    def follow(self, attempt: Attempt, context: Iterable[bytes], options: Mapping[str, Any], timeout: float) -> None:
        parameters = {"version": "2", "buildid": attempt.id, **options}
        with engine_errors():
            answer = self.client.api.post(
                self.url("/build"),
                params=parameters,
                data=context,
                headers={"Content-Type": "application/x-tar"},
                stream=True,
                # Beyond the deadline only for an engine that hangs: another one has ended the build by then.
                timeout=(30, timeout + HANGS),
            )
            with answer:
                if answer.status_code != 200:
                    attempt.error = message_of(answer)
                    return
                for line in answer.iter_lines(chunk_size=None):
                    self.take(attempt, json.loads(line))

    def take(self, attempt: Attempt, message: dict[str, Any]) -> None:
        attempt.seen.set()
        # Told to stop before the engine knew the build: it does now.
        if attempt.stopped:
            self.kill(attempt.id)
        if message.get("id") == "moby.buildkit.trace":
            for event in decode(message["aux"]):
                attempt.progress.take(event)
        elif message.get("id") == "moby.image.id":
            attempt.image = message["aux"]["ID"]
        elif "error" in message:
            attempt.error = message["error"]


def unless_stopped(attempt: Attempt, context: Iterable[bytes]) -> Iterator[bytes]:
    """The sources, as long as somebody wants the build."""
    for chunk in context:
        if attempt.stopped:
            raise Stopped
        yield chunk


def message_of(answer: requests.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError):
        return answer.text[:500] or f"HTTP {answer.status_code}"
