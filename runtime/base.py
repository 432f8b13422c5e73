"""The seam of the runtime: image in, running processes out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from threading import Event
from typing import Protocol

from core.states import InstanceState

KILLED = 137
"""The exit code of what was killed."""
ONCE = "release"
"""The process type of a deploy's own commands: they are one-offs, and never scaled."""


@dataclass(frozen=True)
class Limits:
    """What one instance may use at most."""

    memory: int = 512 << 20
    """Bytes; swap included."""
    cpus: float = 1.0
    pids: int = 512


@dataclass(frozen=True)
class ProcessSpec:
    """One release's process type, as it should run. `apply` is declarative over (app, process, release)."""

    app: str
    """The app's id."""
    process: str
    """`web`, `worker`, ..."""
    release: int
    """Release number n of `vN`."""
    image: str
    """`sha256:...`"""
    subnet: IPv4Network
    """The app's own network."""
    command: tuple[str, ...] = ()
    """argv; empty: the image's own command."""
    env: Mapping[str, str] = field(default_factory=dict)
    count: int = 1
    port: int | None = None
    """What `PORT` says and the probe expects; None for processes that are not routed."""
    limits: Limits = Limits()
    read_only: bool = False
    generation: int = 0
    """Changes whenever instances of the same release must be replaced (restart)."""
    stop_grace: int = 30


@dataclass(frozen=True)
class Instance:
    """A running copy, as the runtime sees it now."""

    id: str
    app: str
    process: str
    release: int
    number: int
    """1, 2, ...: `web.1`."""
    generation: int
    address: IPv4Address | None
    """Fixed when created; None for one without a network."""
    port: int | None
    state: InstanceState
    exit_code: int | None = None
    """Set once it has exited."""
    restarts: int = 0
    oom: bool = False
    started_at: float = 0.0
    """Seconds since the epoch; 0 when it never started."""
    memory: int = 0
    """Bytes it may use; 0 for no limit."""

    @property
    def name(self) -> str:
        return f"{self.process}.{self.number}"


PLATFORM = "paas"
"""The source of log lines the platform itself adds."""


@dataclass(frozen=True)
class LogLine:
    """One line an instance wrote. `at` is seconds since the epoch."""

    at: float
    source: str
    """`web.1`; `paas` for the platform's own."""
    text: str
    release: int = 0
    """Number n of the `vN` that wrote it; 0 for the platform's own."""


@dataclass(frozen=True)
class OneOff:
    """A command to run once in a release's image (`run`, `release:`)."""

    app: str
    release: int
    image: str
    subnet: IPv4Network
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = Limits()
    process: str = ""
    """`release` for the commands of a deploy, by which `remove` finds them; empty for what people run."""
    tty: bool = False
    size: tuple[int, int] = (80, 24)
    """Columns, rows."""
    instance: str = ""
    """Set: run inside this running instance (`enter`) instead of a new one."""


@dataclass(frozen=True)
class Answer:
    """What an instance answered to a GET."""

    status: int
    body: bytes = b""
    """Its beginning, as far as a check wants to see it."""


@dataclass(frozen=True)
class Check:
    """A GET that tells whether an instance is well; times in seconds."""

    path: str = "/"
    attempts: int = 3
    timeout: float = 5.0
    """Of one attempt: an application's first answer is often its slowest."""
    wait: float = 5.0
    """Between two attempts."""
    initial_delay: float = 0.0
    content: str = ""
    """What the body must contain."""
    port: int | None = None
    """None: the instance's own."""
    headers: tuple[tuple[str, str], ...] = ()
    below: int = 400
    """Statuses from 200 up to this one are good."""

    @property
    def longest(self) -> float:
        """Seconds all its attempts may take."""
        return self.initial_delay + self.attempts * (self.wait + self.timeout)

    def accepts(self, answer: Answer) -> bool:
        return 200 <= answer.status < self.below and self.content.encode() in answer.body


class Session(Protocol):
    """A one-off command in progress, bridged without a thread."""

    def output(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """Chunks as (stream, data); stream 1 is stdout (and everything with a TTY), 2 stderr. Ends at exit."""
        ...

    async def write(self, data: bytes) -> None: ...

    async def eof(self) -> None:
        """No more input."""
        ...

    async def resize(self, columns: int, rows: int) -> None: ...

    async def close(self) -> int:
        """Wait for the end when output is exhausted, kill it otherwise; remove it; return the exit code."""
        ...


class Runtime(Protocol):
    """Runs processes. Every call is idempotent; Unavailable when the engine does not answer."""

    def apply(self, spec: ProcessSpec) -> list[Instance]:
        """Make instances 1..count of this (app, process, release, generation) exist and be started; return them.

        Removes nothing: other generations and numbers above `count` may still have requests to finish, so the
        caller drains them first. Does not wait for health.
        """
        ...

    def instances(self, app: str | None = None) -> list[Instance]:
        """Every instance of this installation (of one app), exited ones included, one-offs excluded."""
        ...

    def look(self, instance: Instance) -> Instance:
        """The same instance as it is this moment; state GONE once it no longer exists.

        When it restarted since `instance` was seen, `exit_code` and `oom` tell how it ended the last time.
        """
        ...

    def remove(
        self,
        app: str,
        process: str | None = None,
        release: int | None = None,
        ids: frozenset[str] | None = None,
        grace: int | None = None,
        keep: bool = False,
    ) -> None:
        """Stop (SIGTERM, grace, SIGKILL) and remove what matches; with only `app`: its network and one-offs too.

        `grace`: seconds, instead of what each instance was made with; 0 kills at once. `keep`: stop only, so that
        `apply` starts the same instances again.
        """
        ...

    def run(self, one_off: OneOff) -> Session:
        """Prepare a one-off command; it starts when the session's `output` is first read, in an event loop."""
        ...


class Observer(Protocol):
    """What can be seen of instances. `logs` and `events` hold no thread; the others block shortly."""

    def logs(self, instance: str, since: float) -> AsyncGenerator[LogLine, None]:
        """Lines written after `since` (seconds since the epoch), then new ones until the instance is gone.

        Faster ones than the observer's pace are dropped: a line from `paas` stands where some are missing.
        """
        ...

    def events(self) -> AsyncGenerator[str, None]:
        """The app id of every change of an instance of ours since this call; Unavailable when the engine goes away."""
        ...

    def tail(self, instance: str, lines: int) -> list[str]:
        """The last lines it wrote, control characters stripped."""
        ...

    def listening(self, instance: str) -> list[str]:
        """`address:port` of every TCP socket it listens on; empty once it has exited."""
        ...

    def probe(
        self, instance: Instance, host: str, check: Check, timeout: float, cancelled: Event | None = None
    ) -> Answer | None:
        """The answer to one GET from the proxy's side; None when nothing accepts the connection.

        TimeoutError without a whole answer after `timeout` seconds, or soon after `cancelled` is set;
        ConnectionError when it is cut off or is not HTTP.
        """
        ...
