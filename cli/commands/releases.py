"""Releases, and going back."""

from __future__ import annotations

from typing import Any

from cli.call import Call
from cli.client import path
from cli.commands.apps import JSON
from cli.follow import follow
from cli.registry import argument, command
from cli.times import minute
from core.errors import Invalid


@command("releases:list", "list the releases of an app", JSON, app=True, alias="releases")
async def list_releases(call: Call) -> None:
    releases = await call.client.get(f"{call.app}/releases")
    if call.args.json:
        return await call.dump(releases)
    rows = [
        (f"v{one['number']}", state(one), one["commit"][:7], one["description"], one["user"], minute(one["created_at"]))
        for one in releases
    ]
    return await call.table(rows, ("RELEASE", "STATE", "COMMIT", "WHY", "BY", "WHEN"))


def state(release: dict[str, Any]) -> str:
    if release["current"]:
        return "current"
    marks = {"failed": release["failed"], "taken back": release["trouble"], "collected": release["collected"]}
    return next((mark for mark, holds in marks.items() if holds), "")


@command("releases:info", "show a release", argument("release", metavar="vN"), JSON, app=True)
async def info(call: Call) -> None:
    release = await call.client.get(f"{call.app}/{path('releases', number(call.args.release))}")
    if call.args.json:
        return await call.dump(release)
    fields = {
        "State": state(release),
        "Why": release["description"],
        "Trouble": release["trouble"],
        "Commit": release["commit"],
        "Build": release["build"],
        "Image": release["image"],
        "By": release["user"],
        "When": minute(release["created_at"]),
        "Config added": ", ".join(release["config_added"]),
        "Config changed": ", ".join(release["config_changed"]),
        "Config removed": ", ".join(release["config_removed"]),
    }
    fields |= {f"Process {name}": line for name, line in release["processes"].items()}
    return await call.card(f"Release v{release['number']} of {call.args.app}", fields)


@command("releases:output", "print what was said when a release was made", argument("release", metavar="vN"), app=True)
async def output(call: Call) -> None:
    said = await call.client.get(f"{call.app}/{path('releases', number(call.args.release))}/output")
    await call.terminal.stdout.write((said or "").encode())


def number(word: str) -> int:
    """`v12` or `12`."""
    digits = word.removeprefix("v")
    if not digits.isdecimal() or len(digits) > 9:
        raise Invalid(f"{word!r} is not a release", "Releases are called v1, v2, ...")
    return int(digits)


@command(
    "rollback",
    "make an older release current again, as a new one",
    argument("release", nargs="?", metavar="vN", help="the one before the current when not given"),
    app=True,
)
async def rollback(call: Call) -> int:
    wanted = number(call.args.release) if call.args.release else None
    return await follow(call, await call.client.post(f"{call.app}/rollback", {"release": wanted}))
