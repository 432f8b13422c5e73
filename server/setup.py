"""`script/up` and `script/down`, from the moment our libraries are there."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import http.client
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from pydantic import ValidationError

from core.config import Settings
from core.errors import Invalid, PlatformError, Unavailable
from server import setup_home as state
from server.setup_checks import DEFAULTS, remembered
from server.setup_engine import Engine
from server.supervise import Program, Supervisor, supervisor, wait

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 60


def say(line: str) -> None:
    print(line, flush=True)


def warnings_only() -> None:
    """The set-up speaks in words; what the parts log while it runs is for the server's log."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def chosen_settings() -> Settings:
    """The settings this installation has, changed by what the environment says now."""
    home = Path(os.environ.get("PAAS_HOME", DEFAULTS["PAAS_HOME"]))
    for name, value in remembered(home).items():
        os.environ.setdefault(name, value)
    try:
        return Settings()
    except ValidationError as error:
        wrong = error.errors()[0]
        name = f"PAAS_{wrong['loc'][0]}".upper() if wrong["loc"] else "a setting"
        raise Invalid(f"{name} is wrong: {wrong['msg']}", "docs/config.md lists the settings.") from error


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Only one set-up at a time changes an installation."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "installation.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def up(settings: Settings, install_only: bool) -> None:
    with alone(settings.home):
        install(settings)
        if install_only:
            say("=====> Everything is installed; script/up starts it")
            return
        prepare(settings)
        fresh = state.remember(settings.home, os.environ)
        keeper = supervisor(settings.home, settings.installation, ROOT)
        keeper.start(programs(settings), fresh)
        await_ready(settings, keeper)
        next_steps(settings)


def install(settings: Settings) -> None:
    """What an installation stands on: folders, keys, an engine, the base image."""
    from builder import stack

    state.prepare(settings)
    engine = Engine(settings.docker_host)
    engine.ensure(say)
    engine.enter(settings.installation)
    stack.ensure(settings.docker_host, settings.installation, settings.stack, say)


def prepare(settings: Settings) -> None:
    """What must be true before anything is started: the database's shape, the administrator, the proxy's files."""
    from server import admin, wiring

    admin.migrate(settings.database)
    ctx = wiring.context(settings)
    if not admin.has_people(ctx):
        person = state.caller()
        keys = state.administrator_keys(settings, person)
        admin.register(ctx, person.name, keys)
        say(f"-----> {person.name} is the first administrator ({len(keys)} SSH key{'s' * (len(keys) > 1)})")
    ctx.db.close()
    state.write_ssh_config(settings)
    wiring.proxy(settings).prepare()


def programs(settings: Settings) -> list[Program]:
    from server import wiring

    python = ROOT / ".venv" / "bin" / "python"
    return [
        Program("server", (str(python), "-u", "-m", "server.main"), version=code()),
        Program("proxy", tuple(wiring.proxy(settings).command())),
    ]


def code() -> str:
    """Changes with our source and libraries, so that an upgrade starts the server anew."""
    files = sorted(
        path for folder in ROOT.iterdir() if (folder / "__init__.py").exists() for path in folder.rglob("*.py")
    )
    stamps = [f"{path} {path.stat().st_mtime_ns}" for path in (*files, ROOT / "requirements.lock")]
    return hashlib.sha256("\n".join(stamps).encode()).hexdigest()[:16]


def await_ready(settings: Settings, keeper: Supervisor) -> None:
    """Return once the proxy reaches the server and SSH answers."""
    if not wait(lambda: healthy(settings), READY_SECONDS):
        evidence = "\n".join(
            f"{name}: {line}" for name in ("server", "proxy") for line in keeper.log(name).splitlines()
        )
        raise Unavailable("the platform does not become healthy", f"Logs: {settings.home}/log", evidence=evidence)
    if not wait(lambda: greets(settings), READY_SECONDS):
        raise Unavailable(f"SSH does not answer on port {settings.ssh_port}", evidence=keeper.log("server"))


def healthy(settings: Settings) -> bool:
    connection = http.client.HTTPConnection(reached(settings.bind), settings.http_port, timeout=5)
    try:
        connection.request("GET", "/healthz", headers={"Host": settings.domain})
        with connection.getresponse() as response:
            return response.status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def greets(settings: Settings) -> bool:
    try:
        with socket.create_connection((reached(settings.bind), settings.ssh_port), timeout=5) as door:
            # The door lets the client speak first, to know what it is.
            door.sendall(b"SSH-2.0-script\r\n")
            return door.recv(8).startswith(b"SSH-2.0")
    except OSError:
        return False


def reached(bind: str) -> str:
    """Where this machine finds what listens on `bind`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)


def next_steps(settings: Settings) -> None:
    port = "" if settings.http_port == 80 else f":{settings.http_port}"
    say("=====> The platform is up. Put this line at the top of ~/.ssh/config:")
    say(f"       Include {settings.home}/ssh_config")
    say("       Then, in a repository of yours:")
    say("       git remote add paas paas:hello")
    say("       git push paas main")
    say(f"       curl http://hello.{settings.domain}{port}/")


def down(settings: Settings, purge: bool) -> None:
    if not (settings.home / "installation").exists():
        say(f"There is no installation in {settings.home}.")
        return
    with alone(settings.home):
        supervisor(settings.home, settings.installation, ROOT).stop()
        if not purge:
            say("=====> Stopped. Apps keep their containers; script/up serves them again, --purge removes them")
            return
        from server.setup_purge import purge as remove_all

        remove_all(settings, say)
    say("=====> Removed")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="script", description="Sets up and takes down an installation.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("up", prog="script/up").add_argument("--install-only", action="store_true")
    verbs.add_parser("down", prog="script/down").add_argument("--purge", action="store_true")
    verbs.add_parser("prepare")
    chosen = parser.parse_args(arguments)
    warnings_only()
    try:
        settings = chosen_settings()
        if chosen.verb == "up":
            up(settings, chosen.install_only)
        elif chosen.verb == "down":
            down(settings, chosen.purge)
        else:
            install(settings)
            prepare(settings)
    except PlatformError as error:
        for line in error.lines():
            print(f"paas: {line}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
