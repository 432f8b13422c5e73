"""What people do to an app, prepared to be interrupted at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.steady import Steady
from server.supervise import wait
from tests.installation import Installation

ABSENT = "status "
"""How the answer of an app that serves nothing begins."""
BACK_SECONDS = 30.0
RUN_SECONDS = 2.0
"""After this long the person closes the terminal of a one-off."""

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Deed:
    """One command about to be given."""

    app: Steady
    act: Callable[[], Done]
    new: Callable[[str], bool]
    """Whether an answer of the app is that of the state the deed leads to."""
    promises: bool = True
    """Exit 0 means that the new state is there."""
    commit: str = ""
    """Where the branch stands in the new state, for pushes."""
    clear: Callable[[], object] = field(default=lambda: None)
    """Takes away what the deed was about, once all is said."""


class Trial:
    """An installation with an app that serves throughout, and which answer each of its releases gives."""

    def __init__(self, installation: Installation, app: str = "steady") -> None:
        self.installation = installation
        self.app = Steady(installation, app)
        self.answers: dict[int, str] = {}
        self._words = 0
        self.app.change(self.word())
        self.app.push()
        self.note()

    def word(self) -> str:
        """A new version, mark or app."""
        self._words += 1
        return f"w{self._words}"

    def note(self) -> None:
        """Remember what the current release answers."""
        self.answers |= {one["number"]: self.app.answer() for one in self.app.releases() if one["current"]}

    def older(self) -> int:
        """The newest release before the current one whose answer is known."""
        known = [one["number"] for one in self.app.releases() if not one["current"] and one["number"] in self.answers]
        if known:
            return int(max(known))
        self.app.change(self.word())
        self.app.push()
        self.note()
        return self.older()

    def ready(self) -> bool:
        """Whether the server takes commands."""
        return self.installation.ssh("version", check=False).returncode == 0


def push(trial: Trial, *options: str, once: str = "") -> Deed:
    version = trial.word()
    commit = trial.app.change(version, once=once)
    return Deed(
        trial.app,
        lambda: trial.app.push(*options, "main", check=False),
        lambda answer: answer.startswith(f"{version} "),
        promises=not options,
        commit=commit,
    )


def broken(trial: Trial) -> Deed:
    """A push whose instances end at once: it changes nothing."""
    trial.app.change(trial.word(), fault="crash")
    return Deed(trial.app, lambda: trial.app.push(check=False), lambda answer: False, promises=False)


def detach(trial: Trial) -> Deed:
    """Pushed and left alone; then somebody looks how it went."""
    deed = push(trial, "-o", "detach")

    def act() -> Done:
        done = deed.act()
        return done if done.returncode else trial.app.paas("builds:attach", check=False)

    return Deed(trial.app, act, deed.new, promises=False)


def cancel(trial: Trial) -> Deed:
    """Pushed and thought better of."""
    deed = push(trial, "-o", "detach")

    def act() -> Done:
        done = deed.act()
        return done if done.returncode else trial.app.paas("builds:cancel", check=False)

    return Deed(trial.app, act, deed.new, promises=False)


def plan(trial: Trial) -> Deed:
    deed = push(trial, "-o", "plan")
    return Deed(trial.app, deed.act, lambda answer: False, promises=False)


def rollback(trial: Trial) -> Deed:
    number = trial.older()
    answer = trial.answers[number]
    return Deed(trial.app, lambda: trial.app.paas("rollback", f"v{number}", check=False), lambda found: found == answer)


def config(trial: Trial) -> Deed:
    mark = trial.word()
    return Deed(
        trial.app,
        lambda: trial.app.paas("config:set", f"MARK={mark}", check=False),
        lambda answer: answer.endswith(f" {mark}"),
    )


def same(trial: Trial, *words: str) -> Deed:
    """A command that leaves the app's answer as it is."""
    answer = trial.app.answer()
    return Deed(trial.app, lambda: trial.app.paas(*words, check=False), lambda found: found == answer)


def redeploy(trial: Trial) -> Deed:
    """The commit the branch stands on is built again, also when an older release runs after a rollback."""
    repository = trial.app.repository
    version = repository.git("show", f"{repository.remote_tip()}:version").stdout.strip()
    return Deed(
        trial.app,
        lambda: trial.app.paas("redeploy", check=False),
        lambda answer: answer.startswith(f"{version} "),
    )


def first(trial: Trial) -> Deed:
    """The push that makes an app."""
    app = Steady(trial.installation, f"first-{trial.word()}")
    version = trial.word()
    app.change(version)
    return Deed(
        app,
        lambda: app.push(check=False),
        lambda answer: answer.startswith(f"{version} "),
        clear=lambda: app.paas("apps:destroy", "--force", check=False),
    )


def destroy(trial: Trial) -> Deed:
    app = Steady(trial.installation, f"doomed-{trial.word()}")
    app.push()
    return Deed(
        app,
        lambda: app.paas("apps:destroy", "--force", check=False),
        lambda answer: answer.startswith(ABSENT),
        clear=lambda: app.paas("apps:destroy", "--force", check=False),
    )


def run(trial: Trial) -> Deed:
    """A one-off whose terminal is closed."""
    installation = trial.installation
    command = [*installation.ssh_command, "paas", "run", trial.app.app, "sleep", "60"]

    def act() -> Done:
        try:
            return installation.call(command, check=False, timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, -signal.SIGKILL, "", "")

    return Deed(trial.app, act, lambda answer: False, promises=False)


def crash(trial: Trial) -> Deed:
    """Not a person's deed: the server dies, and what is hit is hit while it starts."""

    def act() -> Done:
        old = trial.installation.program("server")
        os.kill(old, signal.SIGKILL)
        back = wait(lambda: trial.installation.program("server") not in (0, old) and trial.ready(), BACK_SECONDS)
        return subprocess.CompletedProcess(["kill", str(old)], 0 if back else 1, "", "")

    return Deed(trial.app, act, lambda answer: False, promises=False)


DEEDS: dict[str, Callable[[Trial], Deed]] = {
    "push": push,
    "once": lambda trial: push(trial, once="true"),
    "broken": broken,
    "first": first,
    "rollback": rollback,
    "config": config,
    "redeploy": redeploy,
    "restart": lambda trial: same(trial, "ps:restart"),
    "scale": lambda trial: same(trial, "ps:scale", "web=2"),
    "shrink": lambda trial: same(trial, "ps:scale", "web=1"),
    "destroy": destroy,
    "run": run,
    "detach": detach,
    "cancel": cancel,
    "plan": plan,
    "crash": crash,
}
"""In the order in which they are tried for a point nobody knows yet."""
