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

import structlog
from sqlalchemy import select

from core.errors import Cancelled, PlatformError
from core.states import JobState
from models import Database, Job

log = structlog.get_logger()
Result = TypeVar("Result")
Interrupt = Callable[[], object]


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
        self._lost = False
        self._interrupts: list[Interrupt] = []
        self._interrupted: list[Interrupt] = []
        self._guard = threading.Lock()

    def cancel(self, by: str) -> None:
        """End the work: the build, the release command or the waiting for health stops now."""
        self._by = self._by or by
        self.end()

    def abandon(self) -> None:
        """This server stops: whoever starts next takes the job up where it is."""
        self._lost = True
        self.end()

    def end(self) -> None:
        """Interrupt what is in progress; asked again, what could not be interrupted is tried once more."""
        with self._guard:  # held for the interrupts too: none of them is called when its block has been left
            if not self.over.done():
                self.over.set_result(None)
            for interrupt in [one for one in self._interrupts if one not in self._interrupted]:
                self.interrupt(interrupt)

    def interrupt(self, interrupt: Interrupt) -> None:
        try:
            interrupt()
            self._interrupted.append(interrupt)
        except PlatformError as error:  # the engine is away: the next beat tries again
            log.warning("interrupt.failed", job=self.job, error=str(error))

    @contextmanager
    def interrupted_by(self, interrupt: Interrupt) -> Iterator[None]:
        """While inside, the end of the lease calls `interrupt`, once at the most."""
        with self._guard:
            self._interrupts.append(interrupt)
            if self.over.done():
                self.interrupt(interrupt)
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
        self.fence()
        if self.over.done():
            raise Cancelled(f"cancelled by {self._by}", "What ran before still does.")

    def fence(self) -> None:
        if self._lost or not self.held():
            raise Fenced(f"job {self.job}, generation {self.generation}")

    def held(self) -> bool:
        query = select(Job.id).where(
            Job.id == self.job, Job.generation == self.generation, Job.state == JobState.RUNNING
        )
        with self._db.begin() as session:
            return session.scalar(query) is not None
