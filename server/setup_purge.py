"""Removing an installation: everything that carries its label, its rules and its state; nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from builder import stack
from core.config import Settings
from runtime.engine import Engine as Calls
from runtime.engine import Refused, filters
from runtime.firewall import Firewall
from runtime.marks import INSTALLATION
from server import admin
from server.setup_engine import Engine


def purge(settings: Settings, say: Callable[[str], None]) -> None:
    """Remove it all; Unavailable, with the state still there, when the engine or the database does not answer."""
    installation = settings.installation
    engine = Engine(settings.docker_host)
    engine.ensure(say)
    say("-----> Removing containers, networks, images, volumes and firewall rules")
    remove_objects(Calls(settings.docker_host), installation)
    stack.remove(settings.docker_host, installation)
    Firewall(installation, settings.subnets).remove_rules()
    if settings.database_url and (settings.home / "env").exists():
        admin.empty(settings.database)
    if engine.leave(installation):
        say("-----> Stopped the Docker engine that we had started")
    remove_state(settings)


def remove_objects(engine: Calls, installation: str) -> None:
    """Remove what the engine holds of ours: containers first, since they hold the rest."""
    ours = filters(label=[f"{INSTALLATION}={installation}"])
    for container in engine.call("GET", "/containers/json", all="true", filters=ours):
        gone(engine, f"/containers/{container['Id']}?force=true&v=true")
    for network in engine.call("GET", "/networks", filters=ours):
        gone(engine, f"/networks/{network['Id']}")
    for volume in engine.call("GET", "/volumes", filters=ours)["Volumes"] or ():
        gone(engine, f"/volumes/{volume['Name']}?force=true")
    for image in engine.call("GET", "/images/json", filters=ours):
        gone(engine, f"/images/{image['Id']}?force=true")


def gone(engine: Calls, path: str) -> None:
    try:
        engine.call("DELETE", path)
    except Refused as error:
        if error.answered != 404:
            raise


def remove_state(settings: Settings) -> None:
    """Empty the state folder, and remove it where it is not a mount."""
    # The identity goes last: until then the same command can be given again.
    for entry in sorted(settings.home.iterdir(), key=lambda path: path.name == "installation"):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    if not settings.home.is_mount():
        settings.home.rmdir()
