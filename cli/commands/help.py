"""Help."""

from __future__ import annotations

from cli.call import Call
from cli.parse import usage
from cli.registry import ALIASES, COMMANDS, Command, argument, command, find
from core.errors import Invalid


@command("help", "list the commands, or show how to use one", argument("topic", nargs="*"))
async def help(call: Call) -> None:
    if call.args.topic:
        await topic(call, call.args.topic)
        return
    await call.out("Usage: COMMAND [app] [arguments]; a space works like the colon. `help COMMAND` says more.\n")
    await listing(call, [one for one in visible(call) if one.name != "help"])


async def topic(call: Call, words: list[str]) -> None:
    """The usage of a command, or of all commands of a topic."""
    name = " ".join(words)
    of_topic = [one for one in visible(call) if one.topic == name]
    if len(of_topic) > 1:
        await listing(call, of_topic)
        return
    found, rest = find(words)
    if rest:
        raise Invalid(f"there is no command {name!r}", "`help` lists the commands.")
    await explain(call, found)


async def explain(call: Call, found: Command) -> None:
    """One command's usage and what it does."""
    await call.out(f"Usage: {usage(found)}\n\n{found.help[0].upper()}{found.help[1:]}.")
    if found.app:
        await call.out("The app may also be given as `-a app`.")
    rows = [
        (", ".join(one.names), one.options["help"]) for one in found.arguments if one.options.get("help") is not None
    ]
    if rows:
        await call.out("")
        await call.table(rows, ())


async def listing(call: Call, commands: list[Command]) -> None:
    short = {name: alias for alias, name in ALIASES.items()}
    rows = [(short.get(one.name, one.name), one.help) for one in sorted(commands, key=lambda one: one.name)]
    await call.table(rows, ())


def visible(call: Call) -> list[Command]:
    """What can be done here: local commands only on the user's machine."""
    return [one for one in COMMANDS.values() if call.machine is not None or not one.local]
