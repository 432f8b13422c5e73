"""Who may change an app now, and what wakes those who wait; one server's side of the line kept in rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 0.5
"""Seconds a job waits for its app's turn before it looks whether it is still wanted."""


class Turns:
    def __init__(self) -> None:
        self.places = threading.Condition()
        """Notified when a place for builds has become free."""
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()
        self._retiring: dict[str, bool] = {}
        self.working: set[str] = set()
        """Ids of apps whose job runs now: what changes there is its doing, and it wakes reconcile when it ends."""
        self.queued = threading.Event()
        """Set when a job may be claimed."""
        self.holding = threading.Event()
        """Set when this server has claimed a job: there is a lease to keep alive."""
        self.leading = threading.Event()
        """Set while this server is the one that reconciles and stores logs for all on the same state."""
        self.leading.set()
        self.switched = threading.Event()
        """Set when an app has another release: it is watched from now on."""
        self.uneasy = threading.Event()
        """Set when something could not be put in order: reconcile tries again soon."""
        self.drifted = threading.Event()
        """Set when what runs may differ from what is wanted."""
        self.mended = threading.Event()
        """Set when reconcile has looked: what is live may be another release."""

    def lock(self, app_id: str) -> threading.Lock:
        """Held by the job that changes this app, or by reconcile."""
        return self._lock(app_id)

    @contextmanager
    def work(self, app_id: str, check: Callable[[], None]) -> Iterator[None]:
        """Take the app's turn for its job; `check` ends the waiting for it when the job must end."""
        lock = self.lock(app_id)
        while not lock.acquire(timeout=PATIENCE):
            check()
        self.working.add(app_id)
        try:
            yield
        finally:
            self.working.discard(app_id)
            lock.release()

    def route_lock(self, app_id: str) -> threading.Lock:
        """Held while the app's route is computed and put, so that no older answer overwrites a newer one."""
        return self._lock(f"{app_id} route")

    def _lock(self, name: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(name, threading.Lock())

    @contextmanager
    def if_free(self, app_id: str) -> Iterator[bool]:
        """Take the app's turn when nobody has it; tells whether it was free."""
        lock = self.lock(app_id)
        taken = lock.acquire(blocking=False)
        try:
            yield taken
        finally:
            if taken:
                lock.release()

    def begin_retiring(self, app_id: str) -> bool:
        """Ask for old instances to be retired; True when the caller has to start the thread that does it."""
        with self._guard:
            idle = app_id not in self._retiring
            self._retiring[app_id] = True
            return idle

    def keep_retiring(self, app_id: str) -> bool:
        """Whether it was asked for since the last time; the thread ends when it was not."""
        with self._guard:
            if self._retiring.get(app_id):
                self._retiring[app_id] = False
                return True
            self._retiring.pop(app_id, None)
            return False
