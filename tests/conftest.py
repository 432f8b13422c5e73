"""What every test may ask for."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator

import pytest

from tests.installation import Installation
from tests.postgres import Cluster
from tests.runtimes import Engine

TEST_SECONDS = 300


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test that waits for ever fails, so that the run ends and says which one it was."""

    def over(*_: object) -> None:
        raise TimeoutError(f"{item.name} took longer than {TEST_SECONDS} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(TEST_SECONDS)
    try:
        return (yield)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real: needs a real engine, proxy, database or git; not in script/check")


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    """One installation for the whole run, brought up as a newcomer would; gone afterwards."""
    made = Installation()
    try:
        made.up()
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A private PostgreSQL cluster."""
    cluster = Cluster()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Engine]:
    """A share of the Docker engine for tests of the runtime, without an installation."""
    engine = Engine()
    yield engine
    engine.close()
