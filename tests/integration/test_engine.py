"""The Docker engine that script/up starts where no init system does, beside the machine's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import Unavailable
from server import setup_engine
from server.setup_checks import engine_answers
from server.setup_engine import Engine
from server.supervise import running, started

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd starts the engine here"),
]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    apart = ("--data-root", f"{tmp_path}/data", "--exec-root", f"{tmp_path}/exec", "--pidfile", f"{tmp_path}/pid")
    # A bridge of its own: with --bridge=none an engine removes docker0, which is the machine's.
    bridge = f"paas{os.getpid()}"
    subprocess.run(["ip", "link", "add", bridge, "type", "bridge"], check=True)
    options = (*apart, f"--bridge={bridge}", "--iptables=false", "--ip6tables=false", "--ip-forward=false")
    made = Engine(f"unix://{tmp_path}/docker.sock", tmp_path / "engine", options)
    try:
        yield made
    finally:
        made.runit.stop()
        subprocess.run(["ip", "link", "delete", bridge], check=True)


def said(line: str) -> None:
    assert line == "-----> Starting the Docker engine"


def test_the_first_installation_starts_the_engine_and_the_last_one_stops_it(engine: Engine) -> None:
    engine.ensure(said)
    engine.enter("first")
    pid = running(engine.runit.record)
    assert pid
    engine.ensure(lambda line: pytest.fail("started twice"))
    engine.enter("second")
    assert not engine.leave("first"), "stopped while another installation uses it"
    assert engine_answers(engine.url)
    assert engine.leave("second")
    assert not engine_answers(engine.url)
    assert started(pid) is None


def test_an_engine_somebody_else_started_is_never_stopped(engine: Engine) -> None:
    engine.ensure(said)
    others = Engine(engine.url, engine.folder.with_name("unused"))
    others.enter("ours")
    assert not others.leave("ours")
    assert engine_answers(engine.url)


def test_an_engine_that_does_not_start_is_told_with_its_last_words(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup_engine, "START_SECONDS", 3)
    broken = Engine(engine.url, engine.folder, (*engine.options, "--no-such-option"))
    with pytest.raises(Unavailable) as told:
        broken.ensure(said)
    assert "no-such-option" in told.value.evidence
    assert running(broken.runit.record) is None
