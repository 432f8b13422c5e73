"""Processes."""

from __future__ import annotations

from typing import Any

from cli.call import Call
from cli.commands.apps import JSON
from cli.follow import follow
from cli.registry import argument, command
from cli.times import since
from core.errors import Invalid


@command("ps:list", "list the processes of an app", JSON, app=True, alias="ps")
async def list_processes(call: Call) -> None:
    processes = await call.client.get(f"{call.app}/processes")
    if call.args.json:
        return await call.dump(processes)
    if not processes:
        return await call.out(f"{call.args.app} has not been deployed yet. `git push paas main` does it.")
    for process in processes:
        await call.section(f"{process['type']} ({process['wanted']}): {process['command']}")
        await call.details([row(instance) for instance in process["instances"]])
    return None


def row(instance: dict[str, Any]) -> tuple[str, ...]:
    notes = []
    if instance["exit_code"] is not None:
        notes.append(f"exit {instance['exit_code']}")
    if instance["oom"]:
        notes.append("out of memory")
    if instance["restarts"]:
        notes.append(f"restarted {instance['restarts']} times")
    started = since(instance["started_at"])
    state = f"{instance['state']} since {started}" if started else instance["state"]
    return (instance["name"], state, f"v{instance['release']}", ", ".join(notes))


@command(
    "ps:scale",
    "set how many of each process type run",
    argument("counts", nargs="+", metavar="web=2"),
    app=True,
)
async def scale(call: Call) -> int:
    counts = dict(count(word) for word in call.args.counts)
    return await follow(call, await call.client.patch(f"{call.app}/processes", {"counts": counts}))


def count(word: str) -> tuple[str, int]:
    name, _, number = word.partition("=")
    if not name or not number.isdecimal() or len(number) > 4:
        raise Invalid(f"{word!r} is not like web=2")
    return name, int(number)


@command("ps:restart", "restart an app", app=True)
async def restart(call: Call) -> int:
    return await follow(call, await call.client.post(f"{call.app}/processes/restart"))


@command("ps:stop", "stop an app", app=True)
async def stop(call: Call) -> int:
    return await follow(call, await call.client.post(f"{call.app}/processes/stop"))


@command("ps:start", "start a stopped app", app=True)
async def start(call: Call) -> int:
    return await follow(call, await call.client.post(f"{call.app}/processes/start"))
