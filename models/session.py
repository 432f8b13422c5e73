"""The engine and its sessions, for SQLite and PostgreSQL alike."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from core.errors import Unavailable

BUSY_SECONDS = 10
FULL = re.compile(r"disk is full|No space left on device")
"""What SQLite and PostgreSQL say of a full disk."""
AGAIN = 0.1
"""Seconds until a database that does not answer is tried again."""
LOCK = 0x70616173
"""What the advisory lock of our database is called."""


def engine(url: str) -> Engine:
    """An engine with the settings each database needs to lose nothing."""
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=20)
    made = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})
    event.listen(made, "connect", prepare_sqlite)
    event.listen(made, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return made


def prepare_sqlite(connection: Any, record: object) -> None:
    """WAL, durable commits, foreign keys; and transactions begun by us, since the driver begins them too late."""
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={BUSY_SECONDS * 1000}",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}").close()


class Database:
    """Where transactions come from."""

    def __init__(self, url: str) -> None:
        self.engine = engine(url)
        self.sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on an error."""
        try:
            self.reach()
            with self.sessions.begin() as session:
                yield session
        except OperationalError as error:
            if FULL.search(str(error.orig)):
                raise Unavailable("the disk is too full", "Free some space on the server; nothing is lost.") from error
            raise Unavailable("the database does not answer", "Try again in a moment.") from error

    def reach(self) -> None:
        """Wait while a database that is a server of its own starts anew: nothing of the transaction is lost yet."""
        deadline = time.monotonic() + BUSY_SECONDS
        while self.engine.dialect.name == "postgresql":
            try:
                self.engine.connect().close()
                return
            except OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(AGAIN)  # it tells nobody when it is back

    def alone(self, session: Session) -> None:
        """Nobody else is past this line until the transaction ends; on SQLite writers are alone anyhow."""
        if self.engine.dialect.name == "postgresql":
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})

    def close(self) -> None:
        self.engine.dispose()
