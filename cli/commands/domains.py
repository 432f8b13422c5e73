"""Domains."""

from __future__ import annotations

from cli.call import Call
from cli.client import path
from cli.commands.apps import JSON
from cli.registry import argument, command


@command("domains:list", "list the domains of an app", JSON, app=True, alias="domains")
async def list_domains(call: Call) -> None:
    await show(call, await call.client.get(f"{call.app}/domains"))


@command("domains:add", "let an app answer on another host", argument("host"), JSON, app=True)
async def add(call: Call) -> None:
    await show(call, await call.client.post(f"{call.app}/domains", {"host": call.args.host}))


@command("domains:remove", "take a host away from an app", argument("host"), JSON, app=True)
async def remove(call: Call) -> None:
    await show(call, await call.client.delete(f"{call.app}/{path('domains', call.args.host)}"))


async def show(call: Call, hosts: list[str]) -> None:
    if call.args.json:
        return await call.dump(hosts)
    for host in hosts:
        await call.out(host)
    return None
