"""SSH keys."""

from __future__ import annotations

from cli.call import Call
from cli.client import path
from cli.commands.apps import JSON
from cli.registry import argument, command
from cli.times import minute


@command("keys:list", "list your SSH keys", JSON, alias="keys")
async def list_keys(call: Call) -> None:
    keys = await call.client.get("keys")
    if call.args.json:
        return await call.dump(keys)
    rows = [(key["name"], key["fingerprint"], minute(key["created_at"])) for key in keys]
    return await call.table(rows, ("NAME", "FINGERPRINT", "ADDED"))


@command("keys:add", "add the SSH public key on standard input", argument("name"))
async def add(call: Call) -> None:
    public_key = (await call.read_all()).strip()
    key = await call.client.post("keys", {"name": call.args.name, "public_key": public_key})
    await call.step(f"Added {key['name']} ({key['fingerprint']})")


@command("keys:remove", "remove an SSH key", argument("name"))
async def remove(call: Call) -> None:
    await call.client.delete(path("keys", call.args.name))
    await call.step(f"Removed {call.args.name}")
