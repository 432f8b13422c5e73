"""Apps."""

from __future__ import annotations

from typing import Any

from cli.call import Call
from cli.follow import follow
from cli.registry import argument, command
from cli.times import minute
from core.errors import Invalid

JSON = argument("--json", action="store_true", help="print the API's JSON")


@command("apps:list", "list your apps", JSON, alias="apps")
async def list_apps(call: Call) -> None:
    apps = await call.client.get("apps")
    if call.args.json:
        return await call.dump(apps)
    if not apps:
        return await call.out("You have no apps yet. `git push paas main` makes one.")
    return await call.table([(app["name"], release(app), app["url"]) for app in apps], ("NAME", "RELEASE", "URL"))


def release(app: dict[str, Any]) -> str:
    if app["stopped"]:
        return "stopped"
    return f"v{app['release']}" if app["release"] else "-"


@command("apps:create", "create an app", argument("name"))
async def create(call: Call) -> None:
    app = await call.client.post("apps", {"name": call.args.name})
    await call.step(f"Created {app['name']}")
    await call.detail(f"It will live at {app['url']}")


@command("apps:info", "show an app", JSON, app=True)
async def info(call: Call) -> None:
    app = await call.client.get(call.app)
    if call.args.json:
        return await call.dump(app)
    fields = {
        "URL": app["url"],
        "Domains": ", ".join(app["domains"]),
        "Owner": app["owner"],
        "Branch": app["branch"] or "main or master, whichever is pushed first",
        "Release": release(app),
        "Locked": locked(app),
        "Created": minute(app["created_at"]),
    }
    return await call.card(app["name"], fields)


def locked(app: dict[str, Any]) -> str:
    if app["locked"] is None:
        return ""
    return f"by {app['locked_by']}" + (f": {app['locked']}" if app["locked"] else "")


@command("apps:rename", "give an app another name", argument("new"), app=True)
async def rename(call: Call) -> None:
    app = await call.client.patch(call.app, {"name": call.args.new})
    await call.step(f"Renamed {call.args.app} to {app['name']}")
    await call.detail(f"It lives at {app['url']}; your git remote still names {call.args.app}.")


@command(
    "apps:lock",
    "take no pushes; redeploy, rollback, config and scale still work",
    argument("-m", "--message", default="", metavar="WHY", help="what whoever pushes reads"),
    app=True,
)
async def lock(call: Call) -> None:
    app = await call.client.put(f"{call.app}/lock", {"reason": call.args.message})
    await call.step(f"Locked {app['name']}: pushes are refused")


@command("apps:unlock", "take pushes again", app=True)
async def unlock(call: Call) -> None:
    app = await call.client.delete(f"{call.app}/lock")
    await call.step(f"Unlocked {app['name']}")


@command(
    "apps:destroy",
    "destroy an app and all that belongs to it",
    argument("--force", action="store_true", help="do not ask for the name"),
    app=True,
)
async def destroy(call: Call) -> int:
    if not call.args.force:
        await confirmed(call)
    return await follow(call, await call.client.delete(call.app))


async def confirmed(call: Call) -> None:
    """Go on only when the app's name is typed."""
    name = (await call.client.get(call.app))["name"]
    await call.error(
        [f"This destroys {name} with its releases, configuration and repository.", f"Type {name} to do it:"]
    )
    if await call.read_line() != name:
        raise Invalid("that is not its name; nothing was destroyed", "--force does not ask.")


@command("git:set", "choose the branch that deploys", argument("key", choices=["branch"]), argument("value"), app=True)
async def git_set(call: Call) -> None:
    app = await call.client.patch(call.app, {"branch": call.args.value})
    await call.step(f"{app['name']} now deploys from {app['branch']}")


@command("redeploy", "build and deploy the live commit again", app=True)
async def redeploy(call: Call) -> int:
    return await follow(call, await call.client.post(f"{call.app}/redeploy"))
