"""What needs the user's own machine: signing in, the git remote, the browser."""

from __future__ import annotations

from urllib.parse import urlsplit

from cli import settings
from cli.call import Call, Machine
from cli.client import Client, path
from cli.registry import argument, command
from core.errors import Denied, Invalid

REMOTE = "paas"


def machine(call: Call) -> Machine:
    """The user's machine; there is none at the end of an SSH session."""
    if call.machine is None:
        raise Denied("this needs your own machine", "Install the `paas` command there first.")
    return call.machine


@command(
    "login",
    "sign in to a server with a token",
    argument("url", metavar="URL"),
    argument("--token", help="the token; `ssh paas tokens:create NAME` makes one"),
    argument("--token-stdin", action="store_true", help="read the token from standard input"),
    argument("--git", metavar="BASE", help="what git remotes begin with, such as `paas:`"),
    local=True,
)
async def login(call: Call) -> None:
    url = address(call.args.url)
    token = call.args.token or await typed(call)
    async with Client(url, token) as client:
        me = await client.get("account")
        port = (await client.get("version"))["ssh_port"]
    git = call.args.git or f"ssh://{REMOTE}@{urlsplit(url).hostname}:{port}/"
    settings.save(machine(call).config, settings.Login(url=url, token=token, git=git))
    await call.step(f"Signed in to {url} as {me['name']}")


def address(text: str) -> str:
    parts = urlsplit(text if "://" in text else f"https://{text}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Invalid(f"{text!r} is not the address of a server", "It looks like https://paas.example.com.")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


async def typed(call: Call) -> str:
    if not call.args.token_stdin:
        await call.terminal.stderr.write(b"Token: ")
    token = await call.read_line()
    if not token:
        raise Invalid("there is no token", "paas login URL --token TOKEN")
    return token


@command("logout", "forget the server and the token", local=True)
async def logout(call: Call) -> None:
    machine(call).config.unlink(missing_ok=True)
    await call.step("Signed out")


@command("create", "create an app and add the git remote `paas`", argument("name"), local=True)
async def create(call: Call) -> None:
    app = await call.client.post("apps", {"name": call.args.name})
    await call.step(f"Created {app['name']}")
    login = settings.load(machine(call).config)
    url = (login.git if login else f"{REMOTE}:") + app["name"]
    code, said = await machine(call).git("remote", "add", REMOTE, url)
    if code:
        await call.detail(f"No git remote added: {said}")
        await call.detail(f"Do it with: git remote add {REMOTE} {url}")
    else:
        await call.detail(f"Added the git remote {REMOTE}: git push {REMOTE} main")


@command("open", "open an app in the browser", app=True, local=True)
async def open_app(call: Call) -> None:
    url = (await call.client.get(path("apps", call.args.app)))["url"]
    machine(call).browse(url)
    await call.out(url)
