"""Whether an instance does its work: `wait` for those that answer HTTP, `settled` for the others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event

from core.amounts import spoken
from core.errors import DeployFailed, PlatformError, Unhealthy
from core.states import InstanceState
from runtime.base import Answer, Check, Instance, Observer, Runtime

INTERVAL = 0.05
"""Seconds between two probes."""
EAGER = 0.01
"""Seconds between the probes of the first second, when most instances come up."""
ANYTHING = Check(below=500)
"""Taken for health where nobody says what is: it answers, and not with an error of its own."""
START_TIMEOUT = 30.0
"""Seconds the engine may take until a process is really up."""
TAIL = 20
"""Lines of the instance's output shown when it fails."""
ENDS = {
    126: "The command is there but cannot be executed.",
    127: "The command was not found in the image.",
    0: "Its command must keep running.",
}


@dataclass(frozen=True)
class Health:
    """An instance found healthy."""

    seconds: float
    """From the first look to the answer."""
    path: str
    status: int


class OutOfMemory(Unhealthy):
    """An instance ended for want of memory; `instance` says how much it was allowed."""

    def __init__(self, instance: Instance, evidence: str) -> None:
        allowed = f" ({spoken(instance.memory)} allowed)" if instance.memory else ""
        message = f"{instance.name} ran out of memory while starting{allowed}"
        super().__init__(message, "Raise its memory limit, or make it need less.", evidence=evidence)
        self.instance = instance


@dataclass
class Seen:
    """What the probes have met so far."""

    answer: Answer | None = None
    trouble: str = ""


def wait(
    runtime: Runtime,
    observer: Observer,
    instance: Instance,
    *,
    path: str | None,
    host: str,
    timeout: float,
    cancelled: Event | None = None,
    check: Check | None = None,
) -> Health:
    """Probe `instance` until it answers; `path` None asks for `/` and takes 2xx to 4xx, a given path 2xx or 3xx.

    A `check` says itself what it asks for and takes, and lengthens `timeout` to what its attempts may take. It is
    asked all the same as often as any: who is well is wanted sooner than at the next attempt.
    Unhealthy at once when it exits, or after `timeout` seconds; DeployFailed within a second of `cancelled` being set.
    """
    begun = time.monotonic()
    stop, seen = cancelled or Event(), Seen()
    asked = check or (Check(path) if path else ANYTHING)
    limit = max(timeout, asked.longest) if check else timeout
    while (waited := time.monotonic() - begun) < limit:
        if waited >= asked.initial_delay:
            attempt(observer, instance, host, asked, min(asked.timeout, limit - waited), seen, stop)
        if seen.answer is not None and asked.accepts(seen.answer):
            return Health(time.monotonic() - begun, asked.path, seen.answer.status)
        present(runtime, observer, instance)
        if stop.wait(EAGER if 0 <= waited - asked.initial_delay < 1 else INTERVAL):
            raise DeployFailed("cancelled while starting")
    raise silent(observer, instance, seen, asked, limit)


def settled(
    runtime: Runtime, observer: Observer, instance: Instance, seconds: float = 1.0, cancelled: Event | None = None
) -> None:
    """Return once `instance` has been up for `seconds`, counted from its start; Unhealthy when it exits before.

    Called after the health of the others has been awaited, that time has mostly passed already.
    """
    stop, deadline = cancelled or Event(), time.monotonic() + seconds + START_TIMEOUT
    up: float | None = None
    while time.monotonic() < deadline:
        now = present(runtime, observer, instance)
        if up is None and now.state is InstanceState.UP:
            up = time.monotonic()
        # By the engine's clock it has mostly passed already; by our own, which may be another, since the first look.
        left = min(now.started_at - time.time(), up - time.monotonic() if up is not None else 0.0) + seconds
        if now.state is InstanceState.UP and left <= 0:
            return
        if stop.wait(min(INTERVAL, max(left, EAGER))):
            raise DeployFailed("cancelled while starting")
    raise Unhealthy(f"{instance.name} did not start", "Is the engine overloaded?")


def attempt(
    observer: Observer, instance: Instance, host: str, asked: Check, timeout: float, seen: Seen, stop: Event
) -> None:
    """One probe; notes in `seen` what it met."""
    try:
        seen.answer, seen.trouble = observer.probe(instance, host, asked, timeout, stop), ""
    except TimeoutError:
        # The last probe is cut short by the end of the wait: an answer before it tells more.
        if seen.answer is None or timeout == asked.timeout:
            seen.answer, seen.trouble = None, "it accepts connections but does not answer"
    except ConnectionError as error:
        seen.answer, seen.trouble = None, str(error) or "it cuts connections off"


def present(runtime: Runtime, observer: Observer, instance: Instance) -> Instance:
    """The instance now; Unhealthy when it has ended since `instance` was seen."""
    now = runtime.look(instance)
    ended = now.state in (InstanceState.CRASHED, InstanceState.GONE)
    if ended or now.restarts > instance.restarts:
        raise exited(observer, now)
    return now


def exited(observer: Observer, now: Instance) -> Unhealthy:
    lines = last_lines(observer, now)
    if now.oom:
        return OutOfMemory(now, lines)
    if now.state is InstanceState.GONE:
        return Unhealthy(f"{now.name} was removed while starting", "Push again.")
    code = now.exit_code
    hint = ENDS.get(code if code is not None else -1, "Its last lines above say why.")
    return Unhealthy(f"{now.name} exited with code {code} while starting", hint, evidence=lines)


def silent(observer: Observer, instance: Instance, seen: Seen, asked: Check, timeout: float) -> Unhealthy:
    """Why nothing good came within `timeout` seconds, from what the instance answers and listens on."""
    lines = last_lines(observer, instance)
    if seen.answer is not None:
        return Unhealthy(f"{instance.name}: {bad(seen.answer, asked)}", wanted(asked), evidence=lines)
    if seen.trouble:
        hint = f"It must answer HTTP on port {asked.port or instance.port}."
        return Unhealthy(f"{instance.name}: {seen.trouble} (waited {timeout:.0f}s)", hint, evidence=lines)
    elsewhere = observer.listening(instance.id)
    where = f"listening on {', '.join(elsewhere)}" if elsewhere else f"listening on no port after {timeout:.0f}s"
    message = f"{instance.name} is {where}, expected 0.0.0.0:{asked.port or '$PORT'}"
    port = f"port {asked.port}, where its health check asks" if asked.port else f"the port in $PORT ({instance.port})"
    return Unhealthy(message, f"Let the app listen on all addresses (0.0.0.0) and on {port}.", evidence=lines)


def bad(answer: Answer, asked: Check) -> str:
    without = f" without {asked.content[:60]!r}" if 200 <= answer.status < asked.below else ""
    return f"GET {asked.path} answered {answer.status}{without}"


def wanted(asked: Check) -> str:
    content = " and with the content its health check names" if asked.content else ""
    return f"A healthy app answers GET {asked.path} without {'a server' if asked.below > 400 else 'an'} error{content}."


def last_lines(observer: Observer, instance: Instance) -> str:
    """The instance's last lines; empty rather than hiding the failure behind another one."""
    lines = guarded(lambda: observer.tail(instance.id, TAIL))
    return "\n".join(lines)


def guarded(look: Callable[[], list[str]]) -> list[str]:
    try:
        return look()
    except PlatformError:
        return []
