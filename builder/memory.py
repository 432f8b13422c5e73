"""Images in memory, for tests of what builds them."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field

from builder.base import BuildRequest, Image, Say
from core.errors import Conflict, StepFailed

FAILS = "FAIL_BUILD"
HANGS = "HANG_BUILD"
LIMIT = 30.0


@dataclass
class MemoryImages:
    """Equal requests make equal digests. A tree with `FAIL_BUILD` fails with that file's text as the step's output;
    one with `HANG_BUILD` builds until it is cancelled."""

    built: dict[str, Image] = field(default_factory=dict)
    requests: list[BuildRequest] = field(default_factory=list)
    in_use: set[str] = field(default_factory=set)
    running: dict[str, threading.Event] = field(default_factory=dict)
    doomed: set[str] = field(default_factory=set)
    """Builds that were cancelled before they began."""
    cache: dict[str, int] = field(default_factory=dict)
    """Bytes of each build's steps, the one used longest ago first."""

    def build(self, request: BuildRequest, say: Say) -> Image:
        self.requests.append(request)
        self.running[request.build] = threading.Event()
        try:
            return self.make(request, say)
        finally:
            self.running.pop(request.build)

    def make(self, request: BuildRequest, say: Say) -> Image:
        if request.build in self.doomed:
            raise StepFailed("the build was cancelled", reason="cancelled")
        say("-----> Building in memory")
        if (request.folder / HANGS).exists():
            self.hang(request.build)
        if (request.folder / FAILS).exists():
            evidence = (request.folder / FAILS).read_text().strip()
            say(f"       {evidence}")
            raise StepFailed("Building in memory failed (exit code 1)", "Remove FAIL_BUILD.", evidence=evidence)
        image = Image(digest(request), 1 << 20, port=request.plan.port)
        self.built[image.digest] = image
        self.cache[request.build] = image.size
        return image

    def hang(self, build: str) -> None:
        cancelled = self.running[build].wait(LIMIT)
        raise StepFailed("the build was cancelled", reason="cancelled" if cancelled else "timeout")

    def cancel(self, build: str) -> None:
        event = self.running.get(build)
        if event:
            event.set()
        else:
            self.doomed.add(build)

    def remove(self, digest: str) -> None:
        if digest in self.in_use:
            raise Conflict("an instance still uses this image")
        self.built.pop(digest, None)

    def images(self) -> list[str]:
        return sorted(self.built)

    def prune(self, most: int) -> int:
        freed = 0
        while self.cache and sum(self.cache.values()) > most:
            freed += self.cache.pop(next(iter(self.cache)))
        return freed


def digest(request: BuildRequest) -> str:
    made = hashlib.sha256(f"{request.app}\0{request.build}\0{request.plan.dockerfile}".encode())
    for path in sorted(request.folder.rglob("*")):
        made.update(str(path.relative_to(request.folder)).encode() + b"\0")
        made.update(path.read_bytes() if path.is_file() else b"")
    return f"sha256:{made.hexdigest()}"
