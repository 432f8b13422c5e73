"""Limits: memory, CPU and processes of an instance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cli.call import Call
from cli.commands.apps import JSON
from cli.follow import follow
from cli.registry import argument, command
from core.amounts import bytes_of, spoken
from core.errors import Invalid

PROCESS = argument("-p", "--process", default="web", help="the process type; web when not given")


def cpus(text: str) -> float:
    """`0.5`; neither `inf` nor `1e9`."""
    if not text.replace(".", "", 1).isdecimal():
        raise ValueError(text)
    return float(text)


READ: dict[str, Callable[[str], float]] = {"memory": bytes_of, "cpus": cpus, "pids": int}


@command("limits:list", "show what an instance of each process type may use", JSON, app=True, alias="limits")
async def list_limits(call: Call) -> None:
    found = await call.client.get(f"{call.app}/limits")
    if call.args.json:
        return await call.dump(found)
    return await call.table([row(one) for one in found], ("PROCESS", "MEMORY", "CPUS", "PIDS", ""))


def row(limits: dict[str, Any]) -> tuple[str, ...]:
    own = ", ".join(limits["chosen"])
    amounts = (spoken(limits["memory"]), f"{limits['cpus']:g}", str(limits["pids"]))
    return (limits["process"], *amounts, f"{own} set here" if own else "as the installation has it")


@command(
    "limits:set",
    "set what an instance may use, and restart",
    argument("limits", nargs="+", metavar="memory=512m", help="memory=512m, cpus=0.5, pids=100"),
    PROCESS,
    app=True,
)
async def set_limits(call: Call) -> int:
    return await change(call, dict(limit(word) for word in call.args.limits))


def limit(word: str) -> tuple[str, float]:
    """`memory=512m` as the API takes it."""
    name, _, amount = word.partition("=")
    try:
        return name, READ[name](amount)
    except (KeyError, ValueError) as error:
        raise Invalid(f"{word!r} is not like memory=512m, cpus=0.5 or pids=100") from error


@command(
    "limits:unset",
    "use the installation's limits again, and restart",
    argument("names", nargs="*", metavar="memory", help="memory, cpus, pids; all when none is given"),
    PROCESS,
    app=True,
)
async def unset(call: Call) -> int:
    unknown = next((name for name in call.args.names if name not in READ), None)
    if unknown is not None:
        raise Invalid(f"there is no limit {unknown!r}", f"There are {', '.join(READ)}.")
    return await change(call, dict.fromkeys(call.args.names or READ))


async def change(call: Call, limits: dict[str, Any]) -> int:
    """Set and unset (None), then watch the restart it makes."""
    process = call.args.process
    job = await call.client.patch(f"{call.app}/limits", {"process": process, **limits})
    await call.step(f"Changed {', '.join(sorted(limits))} of {process}")
    if job is not None:
        return await follow(call, job)
    await call.detail("Nothing had to restart.")
    return 0
