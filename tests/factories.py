"""A platform in memory: the real verbs on adapters without engine or proxy, a real SQLite, real bare repositories."""

from __future__ import annotations

import os
import pwd
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from builder.memory import MemoryImages
from control import accounts, push, queue, reconcile, values, worker
from control.context import Context
from control.journal import Journal
from control.turns import Turns
from control.values import Ref, User
from core.config import Settings
from core.failpoints import FailPoints
from core.sealing import new_key
from models import Base, Database, Job
from router.memory import MemoryProxy
from runtime.memory import MemoryObserver, MemoryRuntime

ZERO = "0" * 40
GIT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "dev",
    "GIT_AUTHOR_EMAIL": "dev@example.com",
    "GIT_COMMITTER_NAME": "dev",
    "GIT_COMMITTER_EMAIL": "dev@example.com",
    "PATH": os.environ["PATH"],
}


def context(home: Path, url: str = "", **settings: object) -> Context:
    """A context on memory adapters and SQLite in `home`; `url` for another database."""
    for folder in ("repos", "logs/jobs", "logs/apps", "tmp/server", "fail"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    me = pwd.getpwuid(os.geteuid()).pw_name
    quick = {"start_timeout": 0.3, "drain_timeout": 0.2, "disk_reserve": 0, "watch": 0}
    chosen = Settings(home=home, git_user=me, **{**quick, **settings})  # type: ignore[arg-type]
    database = Database(url or chosen.database)
    Base.metadata.create_all(database.engine)
    runtime = MemoryRuntime()
    return Context(
        settings=chosen,
        db=database,
        images=MemoryImages(),
        runtime=runtime,
        observer=MemoryObserver(runtime),
        proxy=MemoryProxy(),
        master_key=new_key(),
        base="test",
        journal=Journal(home / "logs" / "jobs"),
        fail=FailPoints(home / "fail"),
    )


def user(ctx: Context, name: str = "ada", admin: bool = False) -> User:
    return accounts.add_user(ctx, name, admin)


class Remote:
    """One app's repository as a pusher moves it, without SSH."""

    def __init__(self, ctx: Context, who: User, name: str = "hello") -> None:
        self.ctx, self.who, self.name = ctx, who, name

    def push(
        self, files: Mapping[str, str], ref: str = "refs/heads/main", work: bool = True, options: Sequence[str] = ()
    ) -> tuple[values.Job | None, dict[str, str]]:
        """Do what receive-pack and its hooks do for one commit; the job and the refs that were rejected."""
        entry = push.begin(self.ctx, self.who, self.name)
        change = self.commit(entry.path, files, ref)
        try:
            push.policy(self.ctx, entry, [change], {}, options)
            git(entry.path, "update-ref", ref, change.new)
            job = push.announce(self.ctx, entry, [change])
            if work:
                drain(self.ctx)
        finally:
            rejected = push.settle(self.ctx, entry)
        return job, rejected

    def commit(self, path: Path, files: Mapping[str, str], ref: str = "refs/heads/main") -> Ref:
        """Make a commit of exactly these files on top of `ref`, which stays where it is."""
        lines = [
            f"100644 blob {git(path, 'hash-object', '-w', '--stdin', given=text)}\t{name}"
            for name, text in files.items()
        ]
        tree = git(path, "mktree", given="\n".join(lines) + "\n")
        old = self.tip(path, ref)
        parents = ["-p", old] if old else []
        return Ref(old or ZERO, git(path, "commit-tree", tree, *parents, "-m", "change"), ref)

    def tip(self, path: Path | None = None, ref: str = "refs/heads/main") -> str | None:
        found = git(
            path or push.repository(self.ctx, self.who, self.name), "for-each-ref", "--format=%(objectname)", ref
        )
        return found or None


def git(path: Path, *arguments: str, given: str = "") -> str:
    command = ["git", "-C", str(path), *arguments]
    done = subprocess.run(command, input=given, env=GIT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def drain(ctx: Context) -> None:
    """Do every job of the line in this thread, then let old instances go."""
    while (job := queue.claim(ctx)) is not None:
        worker.work(worker.held(ctx, job), job)
    settle(ctx)


def settle(ctx: Context) -> None:
    """Wait until what retires in the background has retired, then reconcile twice."""
    for thread in threading.enumerate():
        if thread.name.startswith("retire-"):
            thread.join(10)
    reconcile.once(ctx, reconcile.once(ctx, {}, grace=0), grace=0)


def job(ctx: Context, job_id: int) -> Job:
    with ctx.db.begin() as session:
        return session.get_one(Job, job_id)


def elsewhere(ctx: Context) -> Context:
    """Another server on the same database and state."""
    other = replace(ctx, server="other", turns=Turns(), leases={}, pushes={})
    other.scratch.mkdir(exist_ok=True)
    return other


def started(ctx: Context) -> tuple[Job, threading.Thread]:
    """The next job, being done in a thread."""
    claimed = queue.claim(ctx)
    assert claimed is not None
    thread = threading.Thread(target=worker.work, args=(worker.held(ctx, claimed), claimed))
    thread.start()
    return claimed, thread


def said(ctx: Context, job_id: int) -> str:
    return "\n".join(ctx.journal.read(job_id)[0])


APP = {"Procfile": "web: python app.py\nworker: python work.py\n", "app.py": "print('one')\n", "requirements.txt": ""}
