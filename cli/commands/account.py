"""Who one is, and what one talks to."""

from __future__ import annotations

from cli.call import Call
from cli.registry import command
from core.version import VERSION


@command("whoami", "show who you are signed in as")
async def whoami(call: Call) -> None:
    me = await call.client.get("account")
    await call.out(me["name"] + " (administrator)" * me["admin"])


@command("version", "show the version of the server, and of this program")
async def version(call: Call) -> None:
    server = (await call.client.get("version"))["version"]
    await call.out(f"paas {server}" if call.machine is None else f"paas {VERSION} (server {server})")
