"""The terminal over the JSON door: a real server on a unix socket, and as the local program over TCP."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from cli import main as program
from cli import settings
from cli.client import Client
from cli.machine import OwnMachine
from control import apps, configvars, logs, releases
from control.values import User
from runtime.base import LogLine
from runtime.memory import MemoryRuntime
from server.terminal import make_run_command
from tests.doors import World, listening, push_again, working, world
from tests.ports import free_port
from tests.terminals import TestTerminal

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBbb" + "A" * 40 + " me@laptop"


@dataclass
class Desk:
    """Somebody at a terminal, as the SSH door would seat them."""

    house: World
    socket: Path

    async def type(self, *argv: str, typed: bytes = b"", who: User | None = None, tty: bool = False) -> TestTerminal:
        terminal = TestTerminal(typed, tty=tty)
        terminal.code = await self.at(terminal, *argv, who=who)
        return terminal

    async def at(self, terminal: TestTerminal, *argv: str, who: User | None = None) -> int:
        run = make_run_command(self.socket, self.house.sessions)
        return await run(list(argv), terminal, who or self.house.ann)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    house = world(tmp_path)
    socket = tmp_path / "api.sock"
    async with listening(house, uds=str(socket)):
        with working(house.ctx):
            yield Desk(house, socket)


async def test_apps_are_created_listed_shown_renamed_and_destroyed(desk: Desk) -> None:
    assert (await desk.type("apps", "create", "notes")).stdout.text.startswith("-----> Created notes\n")
    assert "notes" in (await desk.type("apps")).stdout.text
    assert {app["name"] for app in json.loads((await desk.type("apps", "--json")).stdout.text)} == {"hello", "notes"}
    assert "Owner:    ann" in (await desk.type("apps:info", "notes")).stdout.text
    assert (await desk.type("apps:rename", "notes", "blog")).code == 0
    assert (await desk.type("apps:info", "notes")).code == 4
    gone = await desk.type("apps:destroy", "blog", typed=b"blog\n")
    assert (gone.code, gone.stdout.text) == (0, "-----> Destroying blog\n=====> blog is gone\n")
    assert "Type blog to do it:" in gone.stderr.text


async def test_an_app_is_not_destroyed_by_another_name(desk: Desk) -> None:
    kept = await desk.type("apps:destroy", "hello", typed=b"hallo\n")
    assert kept.code == 2
    assert "nothing was destroyed" in kept.stderr.text
    assert apps.info(desk.house.ctx, desk.house.ann, "hello")
    assert (await desk.type("apps:destroy", "hello", "--force")).code == 0


async def test_somebody_elses_app_is_not_there(desk: Desk) -> None:
    found = await desk.type("apps:info", "hello", who=desk.house.bob)
    missing = await desk.type("apps:info", "absent", who=desk.house.bob)
    assert found.code == missing.code == 4
    assert found.stderr.text == missing.stderr.text.replace("absent", "hello")


async def test_config_is_set_shown_and_unset_and_restarts(desk: Desk) -> None:
    said = await desk.type("config:set", "hello", "A=1", "URL=x=y&z")
    assert said.code == 0
    assert said.stdout.text.startswith("-----> Changed A, URL\n-----> Releasing v2\n")
    assert "=====> Live at" in said.stdout.text
    assert (await desk.type("config:get", "hello", "URL")).stdout.text == "x=y&z\n"
    assert (await desk.type("config", "hello")).stdout.text == "A:    1\nURL:  x=y&z\n"
    quiet = await desk.type("config", "unset", "hello", "A", "--no-restart")
    assert quiet.stdout.text == "-----> Changed A\n       The next release brings it.\n"
    assert (await desk.type("config:get", "hello", "A")).code == 4
    assert len(releases.list_releases(desk.house.ctx, desk.house.ann, "hello")) == 2


async def test_exported_config_is_imported_exactly(desk: Desk) -> None:
    values = {"PLAIN": "1", "ODD": 'it\'s "two"\nlines = $HOME # \\ é🎉', "EMPTY": "", "END": "\n"}
    configvars.change(desk.house.ctx, desk.house.ann, "hello", values, restart=False)
    exported = (await desk.type("config:export", "hello")).stdout.data
    await desk.type("apps:create", "copy")
    assert (await desk.type("config:import", "copy", typed=exported)).code == 0
    assert configvars.show(desk.house.ctx, desk.house.ann, "copy") == values


async def test_names_the_platform_sets_are_left_out_of_an_import(desk: Desk) -> None:
    said = await desk.type("config:import", "hello", "--no-restart", typed=b"PORT=1\nA=2\n")
    assert (said.code, said.stdout.text.splitlines()[0]) == (0, "       Left out PORT: set by the platform")
    assert configvars.show(desk.house.ctx, desk.house.ann, "hello") == {"A": "2"}
    assert (await desk.type("config:import", "hello", typed=b"PORT=1\n")).code == 2


async def test_a_deploy_that_fails_ends_with_its_exit_code_and_says_why_once(desk: Desk) -> None:
    said = await desk.type("config:set", "hello", "MISBEHAVE=crash")
    assert said.code >= 30
    cause = said.stderr.text.splitlines()[0]
    assert cause.startswith(" !     ")
    assert (said.stderr.text + said.stdout.text).count(cause) == 1


async def test_processes_are_shown_scaled_stopped_and_started(desk: Desk) -> None:
    assert "=====> web (1): python app.py\n       web.1  up since" in (await desk.type("ps", "hello")).stdout.text
    assert (await desk.type("ps:scale", "hello", "web=2", "worker=1")).code == 0
    shown = (await desk.type("ps", "hello")).stdout.text
    assert all(name in shown for name in ("web.1", "web.2", "worker.1"))
    for order in ("restart", "stop", "start"):
        assert (await desk.type("ps", order, "hello")).code == 0, order
    refused = await desk.type("ps:scale", "hello", "web=lots")
    assert (refused.code, refused.stderr.text) == (2, " !     'lots' is not like web=2\n".replace("lots", "web=lots"))


async def test_releases_are_listed_shown_and_rolled_back_to(desk: Desk) -> None:
    push_again(desk.house)
    table = (await desk.type("releases", "hello")).stdout.text.splitlines()
    assert [line.split()[0] for line in table] == ["RELEASE", "v2", "v1"]
    assert "Process web:" in (await desk.type("releases:info", "hello", "v1")).stdout.text
    assert "-----> Releasing v1\n" in (await desk.type("releases:output", "hello", "v1")).stdout.text
    back = await desk.type("rollback", "hello")
    assert back.code == 0
    assert "Releasing v3" in back.stdout.text
    assert (await desk.type("rollback", "hello", "v3")).code == 5
    assert (await desk.type("rollback", "hello", "three")).code == 2


async def test_builds_are_listed_shown_and_their_output_printed(desk: Desk) -> None:
    push_again(desk.house)
    table = (await desk.type("builds", "hello")).stdout.text.splitlines()
    assert [line.split()[0] for line in table] == ["BUILD", "2", "1"]
    assert "State:     succeeded" in (await desk.type("builds:info", "hello")).stdout.text
    assert (await desk.type("builds:output", "hello", "1")).stdout.text.startswith("-----> Building hello from")


async def test_domains_keys_and_tokens_come_and_go(desk: Desk) -> None:
    assert (await desk.type("domains:add", "hello", "www.example.com")).stdout.text == "www.example.com\n"
    assert (await desk.type("domains", "hello")).stdout.text == "www.example.com\n"
    assert (await desk.type("domains:remove", "hello", "www.example.com")).stdout.text == ""
    added = await desk.type("keys:add", "laptop", typed=KEY.encode())
    assert (added.code, added.stderr.text) == (0, "")
    assert "SHA256:" in (await desk.type("keys")).stdout.text
    assert (await desk.type("keys:remove", "laptop")).code == 5, "the last key stays"
    await desk.type("keys:add", "desk", typed=KEY.replace("IBbb", "IBcc").encode())
    assert (await desk.type("keys:remove", "laptop")).code == 0
    token = (await desk.type("tokens:create", "ci", "--days", "1")).stdout.text
    assert token.startswith("paas_")
    listed = await desk.type("tokens")
    assert "ci" in listed.stdout.text
    assert token.strip() not in listed.stdout.text
    assert (await desk.type("tokens:revoke", "ci")).code == 0


async def test_the_branch_the_account_and_the_version_are_told(desk: Desk) -> None:
    assert (
        await desk.type("git:set", "hello", "branch", "trunk")
    ).stdout.text == "-----> hello now deploys from trunk\n"
    assert (await desk.type("whoami")).stdout.text == "ann\n"
    assert (await desk.type("version")).stdout.text.startswith("paas ")
    again = await desk.type("redeploy", "hello")
    assert again.code == 0, again.stderr.text


async def test_run_pipes_input_and_ends_with_the_commands_exit_code(desk: Desk) -> None:
    ran = await desk.type("run", "hello", "sh", "-c", "echo out; echo err >&2; cat; exit 7", typed=b"in\x00\xff")
    assert (ran.code, ran.stdout.data, ran.stderr.data, ran.raws) == (7, b"out\nin\x00\xff", b"err\n", 0)
    assert (await desk.type("run", "hello", "sh -c 'exit 3'")).code == 3
    assert (await desk.type("run", "absent", "true")).code == 4


async def test_run_on_a_terminal_is_raw_and_enter_goes_inside(desk: Desk) -> None:
    assert (await desk.type("run", "hello", "echo hi", tty=True)).raws == 1
    assert desk.house.ctx.runtime.ran[-1].tty  # type: ignore[attr-defined]
    assert (await desk.type("enter", "hello", "web.1", "echo hi")).stdout.text == "hi\n"
    assert desk.house.ctx.runtime.ran[-1].instance  # type: ignore[attr-defined]
    assert (await desk.type("enter", "hello", "web.7")).code == 4


async def test_logs_are_shown_and_followed_until_the_person_leaves(desk: Desk) -> None:
    ctx = desk.house.ctx
    app = apps.info(ctx, desk.house.ann, "hello")
    logs.store(ctx, app.id).append([LogLine(0.0, "web.1", "first"), LogLine(1.0, "worker.1", "second")])
    shown = await desk.type("logs", "hello", "-p", "web")
    assert shown.stdout.text == "1970-01-01T00:00:00+00:00 web.1: first\n"
    terminal = TestTerminal()
    following = asyncio.create_task(desk.at(terminal, "logs", "hello", "-t", "-n", "1"))
    await terminal.stdout.until("second")
    ctx.taps.send(app.id, [LogLine(2.0, "web.1", "third")])
    await terminal.stdout.until("third")
    terminal.cancelled.set()
    assert await following == 0


async def test_logs_are_chosen_by_time_and_release(desk: Desk) -> None:
    ctx, now = desk.house.ctx, time.time()
    app = apps.info(ctx, desk.house.ann, "hello")
    old = [LogLine(now - 7200, "web.1", "long ago", 1)] * 50
    logs.store(ctx, app.id).append([*old, *[LogLine(now - 60, "web.1", "just now", 2)] * 150])

    async def shown(*options: str) -> tuple[int, int]:
        text = (await desk.type("logs", "hello", *options)).stdout.text
        return text.count("long ago"), text.count("just now")

    assert await shown() == (0, 100)
    assert await shown("--since", "1h") == (0, 150)
    assert await shown("--since", "1h", "-n", "20") == (0, 20)
    assert await shown("--since=3h", "--release", "v1", "-p", "web.1") == (50, 0)
    terminal = TestTerminal()
    following = asyncio.create_task(desk.at(terminal, "logs", "hello", "-t", "--since", "1h", "--release", "2"))
    await terminal.stdout.until("just now")
    ctx.taps.send(app.id, [LogLine(now, "web.1", "other", 1), LogLine(now, "web.1", "third", 2)])
    await terminal.stdout.until("third")
    assert "other" not in terminal.stdout.text and terminal.stdout.text.count("just now") == 150
    terminal.cancelled.set()
    assert await following == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--since", "soon"), "must look like 10s, 30m, 1h, 2d or 2026-01-31T12:00"),
        (("--release", "newest"), "'newest' is not a release"),
        (("--release", "v" + "9" * 5000), "is not a release"),
        (("-n", "many"), "invalid int value: 'many'"),
        (("-n", "10001"), "less than or equal to 10000"),
        (("-n", "-1"), "greater than or equal to 0"),
        (("-p", "web.one"), "must look like web or web.1"),
    ],
)
async def test_what_logs_cannot_show_is_one_clear_error(desk: Desk, options: tuple[str, ...], words: str) -> None:
    told = await desk.type("logs", "hello", *options)
    assert (told.code, told.stdout.text) == (2, "")
    assert words in told.stderr.text and "Traceback" not in told.stderr.text


async def test_processes_that_ran_out_of_memory_say_so(desk: Desk) -> None:
    runtime = cast(MemoryRuntime, desk.house.ctx.runtime)
    web = next(one for one in runtime.instances() if one.process == "web")
    runtime.crash(web.id, 137)
    assert "exit 137, out of memory, restarted 1 times" in (await desk.type("ps", "hello")).stdout.text
    runtime.revived(runtime.look(web))
    shown = (await desk.type("ps", "hello")).stdout.text
    assert "web.1  up since" in shown and "out of memory, restarted 1 times" in shown and "exit" not in shown


async def test_leaving_a_deploy_says_that_it_goes_on(desk: Desk) -> None:
    terminal = TestTerminal()
    turn = desk.house.ctx.turns.lock(apps.info(desk.house.ctx, desk.house.ann, "hello").id)
    turn.acquire()
    try:
        watching = asyncio.create_task(desk.at(terminal, "config:set", "hello", "A=1"))
        await terminal.stdout.until("Changed A")
        terminal.cancelled.set()
        assert await watching == 130
    finally:
        turn.release()
    assert "The config of hello goes on without you" in terminal.stderr.text


async def test_a_session_leaves_no_token_behind(desk: Desk) -> None:
    await desk.type("whoami")
    assert desk.house.sessions._users == {}


async def test_a_server_that_is_gone_is_said_in_words(tmp_path: Path) -> None:
    terminal = TestTerminal()
    async with Client("http://localhost", "x", tmp_path / "absent.sock") as client:
        assert await program.run(["apps"], terminal, client) == 40
        assert await program.run(["run", "hello", "true"], terminal, client) == 40
    assert terminal.stderr.text.count(" !     the server at http://localhost does not answer") == 2


async def test_the_local_program_signs_in_creates_with_a_remote_and_signs_out(tmp_path: Path) -> None:
    house, port = world(tmp_path), free_port()
    url, file, folder = f"http://127.0.0.1:{port}", tmp_path / "config" / "config.json", tmp_path / "work"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    machine = OwnMachine(file, folder)

    async def typed(*argv: str, given: bytes = b"") -> TestTerminal:
        login, terminal = settings.load(file), TestTerminal(given)
        async with Client(login.url if login else "", login.token if login else "") as client:
            terminal.code = await program.run(list(argv), terminal, client, machine)
        return terminal

    async with listening(house, host="127.0.0.1", port=port):
        assert (await typed("login", url, "--token", "wrong")).code == 3
        said = await typed("login", url, "--token-stdin", given=house.tokens["ann"].encode() + b"\n")
        assert said.stdout.text == f"-----> Signed in to {url} as ann\n"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert "hello" in (await typed("apps")).stdout.text
        assert "git push paas main" in (await typed("create", "notes")).stdout.text
        remote = ["git", "-C", str(folder), "remote", "get-url", "paas"]
        assert subprocess.check_output(remote, text=True) == "ssh://paas@127.0.0.1:2222/notes\n"
        assert "Do it with: git remote add paas" in (await typed("create", "more")).stdout.text
        assert (await typed("run", "hello", "sh", "-c", "exit 5")).code == 5
        assert (await typed("logout")).code == 0
        assert (await typed("apps")).code == 3
