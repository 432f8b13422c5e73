"""The fault matrix, one fault after the other: what was promised, and what happened.

Full disks are small file systems of their own; the engine that is killed or full is one beside the machine's.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from tabulate import tabulate

from bench.clock import moving, replace
from bench.cutter import Cutter
from bench.deeds import Done
from bench.disks import disk, empty, fill, gorge
from bench.downtime import await_more
from bench.engines import answers, own_engine
from bench.load import Load
from bench.place import apart
from bench.steady import Steady
from server.supervise import wait
from tests.installation import Installation
from tests.invariants import converged, sound
from tests.postgres import Cluster

RATE = 50
VERDICT_SECONDS = 90.0
RESERVE = 64 << 20
MEGABYTES = 6 << 10
"""Of a small disk: script/up wants some; nothing is written to most of it."""
CLOCKS = {"+1 h": 3600, "-1 h": -3600, "+10 y": 10 * 365 * 86400}
PAYLOAD = 4 << 20


class Stage:
    """An installation with an app that serves throughout, and notes of what happens there."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.app = Steady(installation, "steady")
        self.notes: list[str] = []
        self.wrong: list[str] = []
        self._versions = 0
        self.version = self.change()
        self.app.push()

    def change(self) -> str:
        self._versions += 1
        version = f"v{self._versions}"
        self.app.change(version)
        return version

    def note(self, held: object, words: str) -> None:
        """Something that was promised, and whether it held."""
        print(f"  {'   ' if held else ' ! '}{words}", flush=True)
        (self.notes if held else self.wrong).append(words)

    def refused(self, what: str, done: Done) -> None:
        """A command ends badly, in words and without a traceback."""
        said = (done.stderr + done.stdout).strip()
        clear = done.returncode != 0 and bool(said) and "Traceback" not in said and "did not expect" not in said
        self.note(clear, f"{what}: exit {done.returncode}: {last(done)}")

    def serves(self, version: str) -> None:
        answer = self.app.version()
        self.note(answer == version, f"{answer} is served, {version} was to be")

    def recovers(self) -> None:
        """A push works again, without anybody's help, and everything is as wanted."""
        before, began = self.installation.program("server"), time.monotonic()
        wrong = converged(self.installation)
        self.note(not wrong, f"as wanted after {time.monotonic() - began:.1f} s {wrong or ''}")
        version = self.change()
        done = self.push()
        self.note(done.returncode == 0, f"the next push: exit {done.returncode}: {last(done)}")
        self.serves(version)
        wrong = converged(self.installation)
        self.note(not wrong, f"as wanted in the end {wrong or ''}")
        self.note(before == self.installation.program("server"), "the server was not started anew")

    @contextmanager
    def load(self, tolerated: bool = False) -> Iterator[Load]:
        """Requests while the block runs; none may fail unless what serves them is what is broken."""
        load = self.app.load(RATE)
        load.start()
        try:
            yield load
        finally:
            report = load.stop()
            self.note(tolerated or not report.failed, f"{report.line()} {report.failures or ''}")

    def endure(self, load: Load, seconds: float) -> None:
        """Let that many seconds' requests pass in the state things are in."""
        await_more(load, seconds * RATE)

    def during_push(self, work: Callable[[], object], after: float = 0.4) -> tuple[str, Done]:
        """Do something in the middle of a push; the version pushed and how that ended."""
        version = self.change()
        timer = threading.Timer(after, work)
        timer.start()
        done = self.push()
        timer.join()
        return version, done

    def push(self) -> Done:
        """A push by somebody who does not wait for ever."""
        command, repository = ["git", "push", "paas", "main"], self.app.repository.folder
        environment = self.installation.git_env()
        try:
            return self.installation.call(
                command, cwd=repository, env=environment, check=False, timeout=VERDICT_SECONDS
            )
        except subprocess.TimeoutExpired:
            words = f"no verdict within {VERDICT_SECONDS:.0f} s"
            self.note(False, f"a push got {words}")
            return subprocess.CompletedProcess(command, -signal.SIGKILL, "", words)


def last(done: Done) -> str:
    """What a person remembers of it."""
    lines = [line.removeprefix("remote:").strip() for line in (done.stderr + done.stdout).splitlines()]
    marked = [line for line in lines if line.startswith("!") or "rejected]" in line] or lines[-2:]
    return " / ".join(" ".join(line.split()) for line in marked if line)[:400]


def state_full() -> Stage:
    with disk(MEGABYTES) as mount, apart(home=mount / "home", disk_reserve=RESERVE) as installation:
        stage = Stage(installation)
        with stage.load() as load:
            fill(mount, RESERVE // 2)
            stage.change()
            stage.refused("a push below the reserve", stage.push())
            fill(mount, 1 << 20)
            gorge(mount)
            stage.refused("a push on a full disk", stage.push())
            stage.refused("config:set on a full disk", stage.app.paas("config:set", "MARK=full", check=False))
            stage.endure(load, 10)
            stage.note(not sound(installation.home), f"database: {sound(installation.home) or 'ok'}")
            stage.serves(stage.version)
            empty(mount)
        stage.recovers()
        return stage


def engine_full() -> Stage:
    with disk(MEGABYTES) as data, own_engine(data) as engine, apart(docker_host=engine.url) as installation:
        stage = Stage(installation)
        with stage.load() as load:
            fill(data, 1 << 20)
            gorge(data)
            stage.change()
            stage.refused("a push while the engine's disk is full", stage.push())
            stage.endure(load, 10)
            stage.serves(stage.version)
            empty(data)
        stage.recovers()
        return stage


def engine_killed() -> Stage:
    with disk(MEGABYTES) as data, own_engine(data) as engine, apart(docker_host=engine.url) as installation:
        stage = Stage(installation)
        with stage.load():
            version, done = stage.during_push(engine.kill)
            stage.note(True, f"a push while it was killed: exit {done.returncode}: {last(done)}")
            stage.note(answers(engine.url), "the engine is back")
            wrong = converged(installation)
            stage.note(not wrong, f"as wanted {wrong or ''}")
            if done.returncode == 0:
                stage.serves(version)
            else:
                stage.note(stage.app.version() in (stage.version, version), f"{stage.app.version()} is served")
            before = stage.app.version()
            engine.rest()
            stage.change()
            stage.refused("a push without an engine", stage.push())
            stage.refused("a restart without an engine", stage.app.paas("ps:restart", check=False))
            stage.serves(before)
            engine.resume()
            stage.note(answers(engine.url), "the engine is back again")
        stage.recovers()
        return stage


def proxy_killed() -> Stage:
    with apart() as installation:
        stage = Stage(installation)
        with stage.load(tolerated=True):
            began = time.monotonic()
            os.kill(installation.program("proxy"), signal.SIGKILL)
            back = wait(lambda: stage.app.version() == stage.version, 10)
            seconds = time.monotonic() - began
            stage.note(back and seconds <= 1.0, f"served again {seconds:.2f} s after the kill")
            version, done = stage.during_push(lambda: os.kill(installation.program("proxy"), signal.SIGKILL))
            stage.note(True, f"a push while it was killed: exit {done.returncode}: {last(done)}")
            stage.note(done.returncode or stage.app.version() == version, "an accepted push is live")
        stage.recovers()
        return stage


def database_restarted() -> Stage:
    cluster = Cluster()
    try:
        cluster.start()
        with apart(database_url=cluster.database()) as installation:
            stage = Stage(installation)
            with stage.load():
                for after in (0.2, 0.4, 0.7):
                    version, done = stage.during_push(cluster.restart, after)
                    words = f"restarted {after} s into a push: exit {done.returncode}: {last(done)}"
                    stage.note(True, words)
                    wrong = converged(installation)
                    stage.note(not wrong, f"as wanted {wrong or ''}")
                    stage.note(done.returncode or stage.app.version() == version, "an accepted push is live")
            stage.recovers()
            return stage
    finally:
        cluster.stop()


def client_cut(cuts: int = 20) -> Stage:
    with apart() as installation:
        stage, chance = Stage(installation), random.Random(1)
        with stage.load():
            total = cut_push(stage, None)[1]
            ends: list[str] = []
            for _ in range(cuts):
                before = stage.app.version()
                limit = chance.randrange(1, total)
                done, _ = cut_push(stage, limit)
                wrong = converged(installation)
                after = stage.app.version()
                fine = done.returncode != 0 and not wrong and after in (before, f"v{stage._versions}")
                ends.append("old" if after == before else "new")
                if not fine:
                    stage.note(False, f"cut at byte {limit}: exit {done.returncode}, {before} -> {after}, {wrong}")
            words = f"{cuts} pushes of {total >> 10} KB cut: {ends.count('old')} old, {ends.count('new')} new state"
            stage.note(True, words)
        stage.recovers()
        return stage


def cut_push(stage: Stage, limit: int | None) -> tuple[Done, int]:
    """Push a few megabytes over a line that breaks; how it ended, and the bytes that went through."""
    repository = stage.app.repository
    (repository.folder / "payload").write_bytes(os.urandom(PAYLOAD))
    stage.change()
    with Cutter(stage.installation.ssh_port, limit) as cutter:
        ssh = [*stage.installation.ssh_command, "-p", str(cutter.port), "-o", "StrictHostKeyChecking=no"]
        known = ["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        env = {**stage.installation.git_env(), "GIT_SSH_COMMAND": " ".join([*ssh, *known])}
        done = stage.installation.call(
            ["git", "push", "--force", "paas", "main"], cwd=repository.folder, env=env, check=False
        )
    return done, cutter.passed


def clock_moved() -> Stage:
    with apart() as installation:
        stage = Stage(installation)
        with stage.load(), moving(installation) as move:
            for words, seconds in CLOCKS.items():
                version, done = stage.during_push(partial(move, seconds))
                stage.note(done.returncode == 0, f"moved by {words} in mid-push: exit {done.returncode}: {last(done)}")
                stage.serves(version)
                stage.recovers()
                replace(installation)
                stage.note(True, f"a server started at {words} answers")
                stage.recovers()
                move(0)
                stage.recovers()
        return stage


FAULTS: dict[str, tuple[str, Callable[[], Stage]]] = {
    "proxy": ("back within a second, no route lost", proxy_killed),
    "client": ("exit not 0, the old or the new state entirely, no quarantine left", client_cut),
    "state": ("pushes refused early and clearly, apps served, database sound, works when freed", state_full),
    "clock": ("leases, jobs and order do not depend on it", clock_moved),
    "postgres": ("transactions tried again or the push fails; never a half state", database_restarted),
    "engine": ("apps served, commands refused in words, no crash loop, all back by itself", engine_killed),
    "engine-full": ("builds refused clearly, apps served, works when freed", engine_full),
}


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("faults", nargs="*", metavar="FAULT", help=f"of {', '.join(FAULTS)}; all when not given")
    names = arguments.parse_args().faults or list(FAULTS)
    rows: list[Sequence[object]] = []
    for name in names:
        promised, play = FAULTS[name]
        print(f"{name}: {promised}", flush=True)
        try:
            stage = play()
            held, wrong = len(stage.notes), len(stage.wrong)
        except Exception as error:  # one that cannot be played to its end is a row too
            print(f"   ! {type(error).__name__}: {str(error)[-2000:]}", flush=True)
            held, wrong = 0, 1
        rows.append((name, promised, held, wrong))
    print(tabulate(rows, ("fault", "promised", "held", "did not"), maxcolwidths=[None, 60, None, None]))
    return 1 if any(row[3] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
