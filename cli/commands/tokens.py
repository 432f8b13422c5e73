"""API tokens."""

from __future__ import annotations

from cli.call import Call
from cli.client import path
from cli.commands.apps import JSON
from cli.registry import argument, command
from cli.times import minute


@command("tokens:list", "list your API tokens", JSON, alias="tokens")
async def list_tokens(call: Call) -> None:
    tokens = await call.client.get("tokens")
    if call.args.json:
        return await call.dump(tokens)
    rows = [(one["name"], minute(one["created_at"]), minute(one["expires_at"]) or "never") for one in tokens]
    return await call.table(rows, ("NAME", "CREATED", "EXPIRES"))


@command(
    "tokens:create",
    "make an API token and print it",
    argument("name"),
    argument("--days", type=int, help="days until it expires; never when not given"),
    JSON,
)
async def create(call: Call) -> None:
    token = await call.client.post("tokens", {"name": call.args.name, "days": call.args.days})
    if call.args.json:
        return await call.dump(token)
    await call.error([f"This is the only time {token['name']} is shown:"])
    return await call.out(token["secret"])


@command("tokens:revoke", "make an API token useless", argument("name"))
async def revoke(call: Call) -> None:
    await call.client.delete(path("tokens", call.args.name))
    await call.step(f"Revoked {call.args.name}")
