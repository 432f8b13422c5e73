"""The SSH door alone, for real: real git, real ssh, real control on SQLite; a worker that only gives verdicts."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from control import accounts, push, queue
from control.context import Context
from control.values import User
from core.config import Settings
from core.errors import StepFailed
from core.states import JobState
from gitd.server import Porch, listen
from gitd.terminal import Terminal
from models import App, Job
from tests.factories import context as memory_context
from tests.ports import free_port

R = TypeVar("R")
GIT_USER = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def prepare(**settings: object) -> Context:
    """A context with a state folder of its own that the git user can reach."""
    home = Path(tempfile.mkdtemp(prefix="paas-door-"))
    home.chmod(0o711)
    (home / "repos").mkdir(mode=0o711)
    made = memory_context(home)
    chosen = {"bind": "127.0.0.1", "ssh_port": free_port(), "git_user": GIT_USER, "disk_reserve": 0, **settings}
    return replace(made, settings=Settings(home=home, **chosen))  # type: ignore[arg-type]


class Verdicts(threading.Thread):
    """Does jobs as the worker would, without building: `fault` is what the next ones fail with."""

    def __init__(self, ctx: Context) -> None:
        super().__init__(daemon=True)
        self.ctx = ctx
        self.fault = ""
        self.output: Sequence[str] = ("-----> Building",)
        self.hold = threading.Event()
        self.hold.set()
        self.done: list[str] = []
        self.stopping = False

    def run(self) -> None:
        while not self.stopping:
            self.ctx.turns.queued.wait(5)
            self.ctx.turns.queued.clear()
            while job := queue.claim(self.ctx):
                self.do(job)

    def do(self, job: Job) -> None:
        for line in self.output:
            self.ctx.journal.write(job.id, line)
        self.hold.wait(30)
        commit, ref = job.payload["commit"], job.payload["ref"]
        self.done.append(commit)
        with self.ctx.db.begin() as session:
            app = session.get_one(App, job.app_id)
            if not self.fault:
                app.live_commit = commit
        if self.fault:
            push.step_back(self.ctx, app, ref, commit)
            queue.finish(self.ctx, job, JobState.FAILED, queue.failure(StepFailed(self.fault)))
        else:
            queue.finish(self.ctx, job, JobState.SUCCEEDED, {"ok": True})

    def stop(self) -> None:
        self.stopping = True
        self.ctx.turns.queued.set()
        self.join()


cancelled: list[str] = []
"""Who was told that nobody waits any more."""


async def echo_command(words: list[str], terminal: Terminal, user: User) -> int:
    """The commands of these tests."""
    await terminal.stdout.write(f"{user.name}: {' '.join(words)}\n".encode())
    if words[:1] == ["exit"]:
        return int(words[1])
    if words[:1] == ["copy"]:
        while data := await terminal.stdin.read(65536):
            await terminal.stdout.write(data)
    if words[:1] == ["wait"]:
        await terminal.cancelled.wait()
        cancelled.append(user.name)
        return 130
    if words[:1] == ["size"]:
        await terminal.stdout.write(f"{terminal.tty} {terminal.size}\n".encode())
        await terminal.stderr.write(b"on stderr\n")
    return 0


class SshDoor:
    """Open while inside `with`; its loop runs in a thread."""

    def __init__(self, **settings: object) -> None:
        self.ctx = prepare(**settings)
        self.home = self.ctx.settings.home
        self.port = self.ctx.settings.ssh_port
        self.verdicts = Verdicts(self.ctx)
        self.folder = Path(tempfile.mkdtemp(prefix="paas-person-"))
        self.loop = uvloop.new_event_loop()
        self.porch: Porch
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> SshDoor:
        self.user = self.person("ann")
        self._thread.start()
        self._listening = listen(self.ctx, echo_command)
        self.porch = self.do(self._listening.__aenter__())
        self.verdicts.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self.verdicts.stop()
        self.do(self._listening.__aexit__(None, None, None))
        self.do(self.loop.shutdown_default_executor())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
        self.ctx.db.close()
        shutil.rmtree(self.home)
        shutil.rmtree(self.folder)

    def do(self, work: Coroutine[Any, Any, R]) -> R:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def person(self, name: str) -> User:
        """Somebody with a key in `folder`."""
        key = self.key(name)
        user = accounts.add_user(self.ctx, name)
        accounts.add_key(self.ctx, user, "test", key.with_suffix(".pub").read_text())
        return user

    def key(self, name: str) -> Path:
        path = self.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
        return path

    def ssh_command(self, name: str = "ann") -> list[str]:
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "BatchMode=yes"]
        flags = [word for option in (*options, "LogLevel=ERROR") for word in ("-o", option)]
        return ["ssh", "-F", "/dev/null", *flags, "-p", str(self.port), "-i", str(self.folder / name)]

    def ssh(self, *words: str, name: str = "ann", given: bytes = b"", options: Sequence[str] = ()) -> Done:
        command = [*self.ssh_command(name), *options, "paas@127.0.0.1", *words]
        return subprocess.run(command, input=given, capture_output=True, timeout=60)

    def git_env(self, name: str = "ann") -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_SSH_COMMAND": " ".join(self.ssh_command(name)),
            "GIT_AUTHOR_NAME": "A. Developer",
            "GIT_AUTHOR_EMAIL": "developer@example.com",
            "GIT_COMMITTER_NAME": "A. Developer",
            "GIT_COMMITTER_EMAIL": "developer@example.com",
        }

    def git(self, folder: Path, *words: str, name: str = "ann", check: bool = True) -> Done:
        done = subprocess.run(["git", *words], cwd=folder, env=self.git_env(name), capture_output=True, timeout=120)
        assert not check or done.returncode == 0, done.stderr.decode()
        return done

    def repository(self, app: str, name: str = "ann") -> Path:
        """A work tree with one commit and a remote `paas`."""
        folder = self.folder / f"{app}-{name}"
        folder.mkdir()
        self.git(folder, "init", "-q", "-b", "main")
        self.git(folder, "remote", "add", "paas", f"paas@127.0.0.1:{app}")
        self.commit(folder, "first")
        return folder

    def commit(self, folder: Path, text: str) -> str:
        (folder / "file").write_text(text)
        self.git(folder, "add", "-A")
        self.git(folder, "commit", "-q", "-m", text)
        return self.git(folder, "rev-parse", "HEAD").stdout.decode().strip()

    def bare(self, app: str) -> Path:
        with self.ctx.db.begin() as session:
            return self.ctx.repository(session.query(App).filter_by(name=app).one().id)


Done = subprocess.CompletedProcess[bytes]
