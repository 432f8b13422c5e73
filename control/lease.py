"""A server's hold on a job that runs: it beats while the job is done, and ends the work when it is cancelled or lost.

A lease is the job's row: generation and beat. Whoever sees the beat stand still for the lease's length, on a clock of
its own, may take the job over under the next generation; whoever holds an older one is fenced.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import select

from core.errors import Cancelled
from core.states import JobState
from models import Database, Job

Result = TypeVar("Result")


class Fenced(BaseException):
    """The job is somebody else's now: whoever meets this ends at once and puts nothing in order."""


class Lease:
    """Made by the server that claimed the job; safe to use from every thread that works on it."""

    def __init__(self, db: Database, job: Job) -> None:
        self.job = job.id
        self.generation = job.generation
        self.over: Future[None] = Future()
        """Done when the work must end before its time."""
        self._db = db
        self._by: str | None = None
        self._interrupts: list[Callable[[], object]] = []
        self._guard = threading.Lock()

    def cancel(self, by: str) -> None:
        """End the work: the build, the release command or the waiting for health stops now."""
        self._by = self._by or by
        self.end()

    def end(self) -> None:
        with self._guard:  # held for the interrupts too: none of them is called when its block has been left
            if not self.over.done():
                self.over.set_result(None)
                for interrupt in self._interrupts:
                    interrupt()

    @contextmanager
    def interrupted_by(self, interrupt: Callable[[], object]) -> Iterator[None]:
        """While inside, the end of the lease calls `interrupt`, once at the most."""
        with self._guard:
            self._interrupts.append(interrupt)
            late = self.over.done()
        if late:
            interrupt()
        try:
            yield
        finally:
            with self._guard:
                self._interrupts.remove(interrupt)

    def result(self, future: Future[Result]) -> Result:
        """What `future` gives, unless the lease ends first."""
        both: list[Future[Any]] = [future, self.over]
        wait(both, return_when=FIRST_COMPLETED)
        if not future.done():
            self.check()
        return future.result()

    def check(self) -> None:
        """Before every outside effect: Cancelled when somebody wants the work to end, Fenced when it is not ours."""
        if not self.held():
            raise Fenced(f"job {self.job}, generation {self.generation}")
        if self.over.done():
            raise Cancelled(f"cancelled by {self._by}", "Nothing has changed; push again to deploy.")

    def held(self) -> bool:
        query = select(Job.id).where(
            Job.id == self.job, Job.generation == self.generation, Job.state == JobState.RUNNING
        )
        with self._db.begin() as session:
            return session.scalar(query) is not None
