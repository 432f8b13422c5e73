"""What a build's steps say, turned into lines for the log and into the words of a failure."""

from __future__ import annotations

import re
from collections import defaultdict, deque

from builder.base import Say
from builder.trace import Output, Step

ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
LINE_LIMIT = 2_000
UNFINISHED_LIMIT = 16 << 10
EVIDENCE_LINES = 12
STEP = re.compile(r"\[[^\]]*\d+/\d+\]")
OURS = "-----> "
ANNOUNCED = re.compile(rf'echo "{OURS}([^"]+)"')


def clean(line: bytes) -> str:
    """One printable line: the last state of a `\\r` progress bar, no escapes, no control characters."""
    text = line.decode("utf-8", "replace").rstrip("\r\n").rsplit("\r", 1)[-1]
    return CONTROLS.sub("", ESCAPES.sub("", text)).rstrip()[:LINE_LIMIT]


class Progress:
    """Follows the steps of one build and says what they print, as it happens."""

    def __init__(self, say: Say, *, name_steps: bool = False) -> None:
        self.say = say
        self.name_steps = name_steps
        self.names: dict[str, str] = {}
        self.unfinished: dict[str, bytes] = defaultdict(bytes)
        self.tails: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=EVIDENCE_LINES))
        self.failed: Step | None = None

    def take(self, event: Step | Output) -> None:
        """Follow one event."""
        if isinstance(event, Output):
            self.write(event.step, event.data)
        else:
            self.step(event)

    def step(self, step: Step) -> None:
        if step.id not in self.names and self.name_steps and STEP.match(step.name):
            self.say(f"       {self.short(step.name)}{' (cached)' if step.cached else ''}")
        self.names[step.id] = step.name
        if step.ended:
            self.flush(step.id)
        # What fails after the first failure was only cancelled by it.
        if step.error and (self.failed is None or "context canceled" in self.failed.error):
            self.failed = step

    def write(self, step: str, data: bytes) -> None:
        *lines, rest = (self.unfinished[step] + data).split(b"\n")
        if len(rest) > UNFINISHED_LIMIT:
            lines, rest = [*lines, rest], b""
        self.unfinished[step] = rest
        for line in lines:
            self.line(step, line)

    def flush(self, step: str) -> None:
        rest = self.unfinished.pop(step, b"")
        if rest:
            self.line(step, rest)

    def line(self, step: str, raw: bytes) -> None:
        text = clean(raw)
        if not text:
            return
        if text.startswith(OURS) and not self.name_steps:
            self.say(text)
            return
        self.tails[step].append(text)
        self.say(f"       {text}")

    def title(self) -> str:
        """Words for the step that failed."""
        if self.failed is None:
            return "The build"
        announced = ANNOUNCED.search(self.failed.name)
        return announced[1] if announced else self.short(self.failed.name)

    def evidence(self) -> str:
        """The last lines of the step that failed, else the engine's own message."""
        if self.failed is None:
            return ""
        self.flush(self.failed.id)
        return "\n".join(self.tails[self.failed.id]) or self.failed.error

    @staticmethod
    def short(name: str) -> str:
        """A step's name without the mounts nobody asked for."""
        return clean(re.sub(r"--mount=\S+ ", "", name).encode())[:200]
