"""What integration tests may ask for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.haproxy import App, RunningProxy, Start


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningProxy]:
    real = RunningProxy(tmp_path)
    try:
        real.start()
        yield real
    finally:
        real.stop()


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts apps that end with the test."""
    with contextlib.ExitStack() as stack:

        def started(word: str, port: int = 0) -> App:
            app = App(word, port)
            stack.callback(app.close)
            return app

        yield started
