"""Images on a Docker engine."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from docker.errors import APIError, ImageNotFound

from builder import cache, cgroup, stack
from builder.base import BuildRequest, Image, Say
from builder.cgroup import BuildLimits
from builder.context import dockerignore, nothing_ignored, tar
from builder.dockerfile import APP, MARK
from builder.engine import Engine, connect, engine_errors, listed
from builder.environment import files
from builder.progress import Progress
from core.errors import Conflict, Unavailable

INSTALLATION, APP_LABEL, BUILD_LABEL = "paas.installation", "paas.app", "paas.build"
DEFAULT_LIMITS = BuildLimits()
REMEMBERED = 10_000
"""Builds whose sources are known again in the engine's cache; a new start of the server knows none."""


class DockerImages:
    """Builds with BuildKit; its images carry this installation's labels and a tag each, so that no prune takes them."""

    def __init__(
        self,
        host: str,
        installation: str,
        suite: str = "bookworm",
        *,
        limits: BuildLimits = DEFAULT_LIMITS,
        timeout: float = 900,
        proxy: Mapping[str, str] | None = None,
    ) -> None:
        """`timeout` in seconds a build; `proxy`: the company proxy's variables, seen by steps, kept out of images."""
        self.host = host
        self.client = connect(host)
        self.engine = Engine(self.client)
        self.installation = installation
        self.suite = suite
        self.limits = limits
        self.timeout = timeout
        self.proxy = dict(proxy or {})
        self.sent: deque[cache.Sources] = deque(maxlen=REMEMBERED)

    def build(self, request: BuildRequest, say: Say) -> Image:
        """The image of this tree; StepFailed (step, timeout, oom, cancelled), Unavailable without an engine."""
        cgroup.limit(self.limits)
        self.ensure_stack(say)
        progress = Progress(say, name_steps=request.plan.pack == "dockerfile")
        sent = cache.Sources(time.time())
        tarred = sent.counted(context(request, cache.mark(self.installation), sent.weigh))
        try:
            digest = self.engine.build(request.build, tarred, self.options(request), progress, self.timeout)
        finally:
            sent.ended = time.time()
            self.sent.append(sent)
        return self.inspect(digest)

    def ensure_stack(self, say: Say) -> None:
        """Make the base images again when a clean-up of the engine took them."""
        try:
            with engine_errors():
                for reference in stack.references(self.installation, self.suite).values():
                    self.client.images.get(reference)
        except Unavailable as error:
            if not isinstance(error.__cause__, ImageNotFound):
                raise
            stack.ensure(self.host, self.installation, self.suite, say)

    def options(self, request: BuildRequest) -> dict[str, str]:
        labels = {
            **request.labels,
            INSTALLATION: self.installation,
            APP_LABEL: request.app,
            BUILD_LABEL: request.build,
            # Inherited from the base image, which is found by it.
            stack.LABEL: "",
        }
        return {
            "t": f"paas-{self.installation}/{request.app}:{request.build}",
            "dockerfile": "Dockerfile",
            "labels": json.dumps(labels),
            "buildargs": json.dumps({**stack.references(self.installation, self.suite), **self.proxy}),
            "nocache": "0" if request.use_cache else "1",
        }

    def cancel(self, build: str) -> None:
        """Kill a running build and everything it started; nothing when there is none."""
        self.engine.cancel(build)

    def inspect(self, digest: str) -> Image:
        with engine_errors():
            found = self.client.images.get(digest).attrs
        config = found["Config"]
        ports = [int(port.split("/")[0]) for port in config.get("ExposedPorts") or {}]
        command = (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ()))
        return Image(digest, int(found["Size"]), command, ports[0] if len(ports) == 1 else None)

    def remove(self, digest: str) -> None:
        """Take our tags off, and with the last one the image; Conflict while an instance uses it."""
        with engine_errors():
            for tag in self.tags(digest):
                self.untag(tag)

    def tags(self, digest: str) -> list[str]:
        try:
            found = self.client.images.get(digest)
        except ImageNotFound:
            return []
        return list(found.tags) if found.labels.get(INSTALLATION) == self.installation else []

    def untag(self, tag: str) -> None:
        try:
            self.client.images.remove(tag)
        except ImageNotFound:
            return
        except APIError as error:
            if error.status_code != 409:
                raise
            raise Conflict("an instance still uses this image", evidence=str(error.explanation)) from error

    def images(self) -> list[str]:
        """Digests of every image of this installation."""
        with engine_errors():
            found = listed(self.client, label=f"{INSTALLATION}={self.installation}")
        return sorted(str(image["Id"]) for image in found)

    def prune(self, most: int) -> int:
        """Forget of our own build steps what was used longest ago until they take `most` bytes; the bytes freed."""
        found = cache.records(self.engine.cache())
        ours = cache.ours(found, self.installation) | cache.sources(found, list(self.sent))
        doomed = cache.doomed(found, ours, most)
        return sum(self.engine.forget(record.id) for record in doomed)


def context(request: BuildRequest, mark: str, weigh: Callable[[int], None] = lambda _: None) -> Iterator[bytes]:
    """The tar BuildKit reads: the tree below `src/`, or as it is for a repository's own Dockerfile."""
    own = request.plan.pack == "dockerfile"
    text = request.plan.dockerfile
    dockerfile = text if own else text.replace(APP, request.app).replace(MARK, mark)
    extra = {**request.plan.files, **files(request.plan, request.config), "Dockerfile": dockerfile.encode()}
    return tar(request.folder, "" if own else "src/", extra, ignored(request) if own else nothing_ignored, weigh)


def ignored(request: BuildRequest) -> Callable[[str], bool]:
    file = request.folder / ".dockerignore"
    return dockerignore(file.read_text(errors="replace")) if file.is_file() else nothing_ignored
