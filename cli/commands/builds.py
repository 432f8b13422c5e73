"""Builds."""

from __future__ import annotations

from cli.call import Call
from cli.client import path
from cli.commands.apps import JSON
from cli.follow import follow
from cli.registry import argument, command
from cli.times import minute

NUMBER = argument("number", nargs="?", default="latest", metavar="N", help="the latest when not given")


@command("builds:list", "list the builds of an app", JSON, app=True, alias="builds")
async def list_builds(call: Call) -> None:
    builds = await call.client.get(f"{call.app}/builds")
    if call.args.json:
        return await call.dump(builds)
    rows = [
        (one["number"], one["commit"][:7], one["state"], one["reason"], one["user"], minute(one["created_at"]))
        for one in builds
    ]
    return await call.table(rows, ("BUILD", "COMMIT", "STATE", "REASON", "BY", "WHEN"))


@command("builds:info", "show a build", NUMBER, JSON, app=True)
async def info(call: Call) -> None:
    build = await call.client.get(f"{call.app}/{path('builds', call.args.number)}")
    if call.args.json:
        return await call.dump(build)
    fields = {
        "Commit": build["commit"],
        "State": " ".join(filter(None, (build["state"], build["reason"]))),
        "Pack": build["pack"],
        "By": build["user"],
        "Started": minute(build["started_at"]),
        "Finished": minute(build["finished_at"]),
        "Error": build["error"],
    }
    return await call.card(f"Build {build['number']} of {call.args.app}", fields)


@command("builds:output", "print what a build said", NUMBER, app=True)
async def output(call: Call) -> None:
    said = await call.client.get(f"{call.app}/{path('builds', call.args.number)}/output")
    await call.terminal.stdout.write((said or "").encode())


@command("builds:attach", "show a build's log from its start and follow it to the verdict", NUMBER, app=True)
async def attach(call: Call) -> int:
    build = await call.client.get(f"{call.app}/{path('builds', call.args.number)}")
    job = {"id": build["job"], "kind": "deploy", "app": call.args.app, "build": build["number"]}
    return await follow(call, job)


@command(
    "builds:cancel",
    "end a build, a release command or the waiting for health",
    argument("number", nargs="?", default="latest", metavar="N", help="what is in flight when not given"),
    app=True,
)
async def cancel(call: Call) -> None:
    job = await call.client.post(f"{call.app}/{path('builds', call.args.number)}/cancel")
    what = f"build {job['build']}" if job["build"] else f"the {job['kind']}"
    await call.step(f"{'Cancelled' if job['state'] == 'cancelled' else 'Told to end:'} {what} of {call.args.app}")
