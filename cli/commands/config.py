"""Config vars."""

from __future__ import annotations

from cli import dotenv
from cli.call import Call
from cli.commands.apps import JSON
from cli.follow import follow
from cli.registry import argument, command
from core import names
from core.errors import Invalid, NotFound

NO_RESTART = argument("--no-restart", action="store_true", help="let the next release bring it")


@command("config:show", "show the config vars", JSON, app=True, alias="config")
async def show(call: Call) -> None:
    values = await call.client.get(f"{call.app}/config")
    if call.args.json:
        return await call.dump(values)
    return await call.table([(f"{name}:", value) for name, value in values.items()], ())


@command("config:get", "print one config var", argument("key"), app=True)
async def get(call: Call) -> None:
    values = await call.client.get(f"{call.app}/config")
    if call.args.key not in values:
        raise NotFound(f"{call.args.app} has no config var {call.args.key}")
    await call.out(values[call.args.key])


@command("config:set", "set config vars and restart", argument("pairs", nargs="+", metavar="K=V"), NO_RESTART, app=True)
async def set_vars(call: Call) -> int:
    return await change(call, dict(pair(word) for word in call.args.pairs))


def pair(word: str) -> tuple[str, str | None]:
    name, equals, value = word.partition("=")
    if not equals:
        raise Invalid(f"{word!r} is not K=V", "Over SSH quote values with spaces twice: \"K='a b'\"")
    return names.config_key(name), value


@command(
    "config:unset", "remove config vars and restart", argument("keys", nargs="+", metavar="K"), NO_RESTART, app=True
)
async def unset(call: Call) -> int:
    return await change(call, dict.fromkeys(call.args.keys))


@command("config:export", "print the config vars for a shell or a .env file", app=True)
async def export(call: Call) -> None:
    values = await call.client.get(f"{call.app}/config")
    await call.terminal.stdout.write(dotenv.write(values).encode())


@command("config:import", "set the config vars of a .env file on standard input", NO_RESTART, app=True)
async def import_vars(call: Call) -> int:
    found = dotenv.read(await call.read_all())
    values: dict[str, str | None] = {name: value for name, value in found.items() if name not in names.GIVEN}
    if given := sorted(found.keys() - values.keys()):
        await call.detail(f"Left out {', '.join(given)}: set by the platform")
    if not values:
        raise Invalid("there is nothing to import", "config:import APP < .env")
    return await change(call, values)


async def change(call: Call, values: dict[str, str | None]) -> int:
    """Set and unset (None), then watch the restart it makes."""
    restart = not call.args.no_restart
    job = await call.client.patch(f"{call.app}/config", {"values": values, "restart": restart})
    await call.step(f"Changed {', '.join(sorted(values))}")
    if job is not None:
        return await follow(call, job)
    await call.detail("Nothing had to restart." if restart else "The next release brings it.")
    return 0
