"""A place of its own on the engine for tests that build images."""

from __future__ import annotations

import contextlib
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from docker.models.containers import Container

from builder import stack
from builder.base import BuildRequest, Image
from builder.build import Prepared, plan
from builder.docker import DockerImages
from core.names import new_id

DOCKER = "unix:///var/run/docker.sock"
SAMPLES = Path(__file__).parent / "samples"


class Yard:
    """An installation that only builds: makes images, starts them, leaves nothing behind."""

    def __init__(self) -> None:
        self.installation = f"test-{new_id()}"
        stack.ensure(DOCKER, self.installation, "bookworm", print)
        self.stores: list[DockerImages] = []
        self.images = self.store()
        self.client = self.images.client

    def store(self, installation: str = "", **options: Any) -> DockerImages:
        """Another view of the engine, for this installation if no other is named."""
        made = DockerImages(DOCKER, installation or self.installation, **options)
        self.stores.append(made)
        return made

    def close(self) -> None:
        for digest in self.images.images():
            self.images.remove(digest)
        stack.remove(DOCKER, self.installation)
        for store in self.stores:
            store.client.close()

    def build(
        self, folder: Path, app: str = "", config: Mapping[str, str] | None = None
    ) -> tuple[Prepared, Image, list[str]]:
        """Plan and build a tree; the lines it said too."""
        prepared = plan(folder)
        said: list[str] = []
        request = BuildRequest(new_id(), app or new_id(), folder, prepared.plan, config or {})
        return prepared, self.images.build(request, said.append), said

    @contextlib.contextmanager
    def serving(self, prepared: Prepared, image: Image) -> Iterator[str]:
        """The web process of an image, started as the platform does; yields its URL."""
        port = prepared.plan.port or 5000
        container = self.client.containers.create(
            image.digest,
            list(prepared.processes["web"]),
            environment={"PORT": str(port)},
            init=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            tmpfs={"/tmp": ""},
            mem_limit="512m",
        )
        try:
            container.start()
            yield f"http://{address(container)}:{port}"
            container.stop(timeout=10)
            assert container.wait()["StatusCode"] in (0, 143), "it had to be killed"
        finally:
            container.remove(force=True)


def address(container: Container) -> str:
    container.reload()
    return str(container.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"])


def fetch(url: str, deadline: float = 20) -> str:
    """The body, as soon as somebody answers."""
    end = time.monotonic() + deadline
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return str(answer.read().decode())
        except ConnectionError:
            pass
        except urllib.error.URLError as error:
            if isinstance(error, urllib.error.HTTPError) or time.monotonic() > end:
                raise
        time.sleep(0.02)
