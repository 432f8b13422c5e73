"""Everything an operator types over SSH, against a live app."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.installation import Installation
from tests.repository import Repository, python_app
from tests.waiting import until

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def shop(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    repository = Repository(installation, tmp_path_factory.mktemp("shop") / "work", "shop")
    repository.commit(python_app("one"))
    repository.push()
    yield repository
    installation.ssh("apps:destroy", "shop", "--force")


def test_config_set_makes_a_release_and_restarts(installation: Installation, shop: Repository) -> None:
    said = installation.ssh("config:set", "shop", "'GREETING=hi there'")
    assert "-----> Releasing v" in said.stdout + said.stderr
    assert installation.curl("shop") == (200, "hi there\n")
    assert installation.ssh("config:get", "shop", "GREETING").stdout == "hi there\n"
    releases = json.loads(installation.ssh("releases", "shop", "--json").stdout)
    assert releases[0]["description"] == "Set GREETING" and releases[0]["current"]
    installation.ssh("config:unset", "shop", "GREETING")
    assert installation.curl("shop") == (200, "one\n")
    assert installation.ssh("config:get", "shop", "GREETING", check=False).returncode != 0


def test_limits_reach_the_container_and_go_again(installation: Installation, shop: Repository) -> None:
    said = installation.ssh("limits:set", "shop", "memory=128m", "cpus=0.5", "pids=100")
    assert "-----> Changed cpus, memory, pids of web" in said.stdout
    until(lambda: [limits[0] for limits in limits_of(installation)] == [128 << 20])
    assert limits_of(installation) == [(128 << 20, 0.5, 100)]
    assert installation.curl("shop")[0] == 200
    assert "128 MB" in installation.ssh("limits", "shop").stdout
    refused = installation.ssh("limits:set", "shop", "memory=1m", check=False)
    assert (refused.returncode, "Choose 6 MB to" in refused.stderr) == (2, True)
    installation.ssh("limits:unset", "shop")
    until(lambda: [limits[0] for limits in limits_of(installation)] == [512 << 20])


def limits_of(installation: Installation) -> list[tuple[int, float, int]]:
    """Memory, CPUs and processes the engine allows each container of web."""
    client = docker.from_env()
    try:
        ours = [f"paas.installation={installation.id}", "paas.process=web"]
        found = client.containers.list(filters={"label": ours}, ignore_removed=True)
        hosts = [one.attrs["HostConfig"] for one in found]
        return [(host["Memory"], host["NanoCpus"] / 1e9, host["PidsLimit"]) for host in hosts]
    finally:
        client.close()


def test_a_lock_refuses_a_push_with_its_reason(installation: Installation, shop: Repository) -> None:
    installation.ssh("apps:lock", "shop", "-m", "'database migration tonight'")
    assert "database migration tonight" in installation.ssh("apps:info", "shop").stdout
    shop.commit(python_app("locked out"))
    refused = shop.push(check=False)
    assert refused.returncode == 1
    assert re.search(r"shop is locked by \S+: database migration tonight", refused.stderr)
    assert "ssh paas apps:unlock shop" in refused.stderr
    assert installation.curl("shop") == (200, "one\n")
    installation.ssh("apps:unlock", "shop")
    shop.commit(python_app("one"))
    shop.push()


def test_config_export_and_import_bring_back_every_value(installation: Installation, shop: Repository) -> None:
    odd = 'A=\'quoted "both" ways\'\nB="two\\nlines"\nC=a=b=c\nD=grün\n'
    installation.ssh("config:import", "shop", "--no-restart", stdin=odd)
    first = installation.ssh("config:export", "shop").stdout
    installation.ssh("config:unset", "shop", "--no-restart", "A", "B", "C", "D")
    installation.ssh("config:import", "shop", "--no-restart", stdin=first)
    assert installation.ssh("config:export", "shop").stdout == first
    assert installation.ssh("config:get", "shop", "C").stdout == "a=b=c\n"
    installation.ssh("config:unset", "shop", "--no-restart", "A", "B", "C", "D")


def test_scaling_changes_what_runs(installation: Installation, shop: Repository) -> None:
    installation.ssh("ps:scale", "shop", "web=2", "worker=1")
    table = installation.ssh("ps", "shop").stdout
    assert all(name in table for name in ("web.1", "web.2", "worker.1"))
    installation.ssh("ps:scale", "shop", "web=1", "worker=0")
    until(lambda: "web.2" not in installation.ssh("ps", "shop").stdout)
    assert installation.curl("shop")[0] == 200
    refused = installation.ssh("ps:scale", "shop", "nope=1", check=False)
    assert refused.returncode == 4 and "no process type 'nope'" in refused.stderr


def test_a_stopped_app_says_so_and_starts_again(installation: Installation, shop: Repository) -> None:
    installation.ssh("ps:stop", "shop")
    assert installation.curl("shop")[0] == 503
    installation.ssh("ps:start", "shop")
    assert installation.curl("shop") == (200, "one\n")
    installation.ssh("ps:restart", "shop")
    assert installation.curl("shop") == (200, "one\n")


def test_logs_are_kept_across_releases_and_can_be_followed(installation: Installation, shop: Repository) -> None:
    installation.curl("shop", "/before-the-release")
    until(lambda: "/before-the-release" in installation.ssh("logs", "shop").stdout)
    installation.ssh("ps:restart", "shop")
    assert "/before-the-release" in installation.ssh("logs", "shop", "-n", "500", "-p", "web").stdout
    assert "/before-the-release" not in installation.ssh("logs", "shop", "-p", "worker").stdout
    command = [*installation.ssh_command, "paas", "logs", "shop", "-t", "-n", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as following:
        seen: list[str] = []
        reader = threading.Thread(target=lambda: seen.extend(following.stdout or ()))
        reader.start()

        def arrived() -> bool:
            installation.curl("shop", "/while-followed")
            return any("/while-followed" in line for line in seen)

        try:
            until(arrived)
        finally:
            following.kill()
            reader.join()


def test_rollback_brings_back_code_and_config(installation: Installation, shop: Repository) -> None:
    installation.ssh("config:set", "shop", "GREETING=rolled")
    number = json.loads(installation.ssh("releases", "shop", "--json").stdout)[0]["number"]
    installation.ssh("config:unset", "shop", "GREETING")
    installation.ssh("rollback", "shop", f"v{number}")
    assert installation.curl("shop") == (200, "rolled\n")
    installation.ssh("rollback", "shop")
    assert installation.curl("shop") == (200, "one\n")
    installation.ssh("config:unset", "shop", "--no-restart", "GREETING")
    assert "GREETING" in installation.ssh("releases:info", "shop", f"v{number}").stdout


def test_run_pipes_stdin_and_returns_the_exact_exit_code(installation: Installation, shop: Repository) -> None:
    text = "x" * 100_000
    done = installation.ssh("run", "shop", "cat", stdin=text)
    assert done.stdout == text
    assert installation.ssh("run", "shop", "sh", "-c", "'exit 42'", check=False).returncode == 42
    assert installation.ssh("run", "shop", "no-such-program", check=False).returncode == 127
    both = installation.ssh("run", "shop", "sh", "-c", "'echo out; echo err >&2'")
    assert (both.stdout, both.stderr) == ("out\n", "err\n")


def test_run_gives_a_terminal_when_asked(installation: Installation, shop: Repository) -> None:
    outer, inner = pty.openpty()
    command = [*installation.ssh_command, "-tt", "paas", "run", "shop", "sh", "-c", "'tty; stty size'"]
    with subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner) as process:
        os.close(inner)
        said = b""
        while True:
            try:
                said += os.read(outer, 1024)
            except OSError:
                break
            if process.poll() is not None and re.search(rb"\d+ \d+", said):
                break
    os.close(outer)
    assert b"/dev/pts/" in said and re.search(rb"\d+ \d+\r\n", said), said


def test_enter_runs_inside_the_running_instance(installation: Installation, shop: Repository) -> None:
    done = installation.ssh("enter", "shop", "web.1", "sh", "-c", "'echo inside $PAAS_APP'")
    assert done.stdout == "inside shop\n"


def test_domains_lead_to_the_app(installation: Installation, shop: Repository) -> None:
    host = ("-H", "Host: www.shop.example")
    installation.ssh("domains:add", "shop", "www.shop.example")
    assert installation.curl("shop", "/", *host)[0] == 200
    assert "www.shop.example" in installation.ssh("domains", "shop").stdout
    installation.ssh("domains:remove", "shop", "www.shop.example")
    assert installation.curl("shop", "/", *host)[0] == 404
    for hostile in ("localhost", "*.example.com", "a b.example", "evil.example\nbackend", "x" * 300 + ".example"):
        assert installation.ssh("domains:add", "shop", f"'{hostile}'", check=False).returncode == 2


def test_redeploy_builds_the_live_commit_again(installation: Installation, shop: Repository) -> None:
    before = len(json.loads(installation.ssh("builds", "shop", "--json").stdout))
    installation.ssh("redeploy", "shop")
    assert len(json.loads(installation.ssh("builds", "shop", "--json").stdout)) == before + 1
    assert installation.curl("shop") == (200, "one\n")


def test_a_renamed_app_answers_at_its_new_name_only(installation: Installation, shop: Repository) -> None:
    installation.ssh("apps:rename", "shop", "store")
    assert (installation.curl("store")[0], installation.curl("shop")[0]) == (200, 404)
    installation.ssh("apps:rename", "store", "shop")
    assert installation.curl("shop")[0] == 200


def test_the_deploy_branch_can_be_another_one(installation: Installation, shop: Repository) -> None:
    installation.ssh("git:set", "shop", "branch", "live")
    shop.commit(python_app("from live"))
    assert shop.push("main", check=False).returncode == 1
    shop.push("main:live")
    assert installation.curl("shop") == (200, "from live\n")
    installation.ssh("git:set", "shop", "branch", "main")
    shop.commit(python_app("one"))
    shop.push("main")
    assert installation.curl("shop") == (200, "one\n")


def test_who_and_which_keys(installation: Installation, shop: Repository, tmp_path: Path) -> None:
    assert "administrator" in installation.ssh("whoami").stdout
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{tmp_path}/key"], check=True)
    installation.ssh("keys:add", "laptop", stdin=(tmp_path / "key.pub").read_text())
    assert "laptop" in installation.ssh("keys").stdout
    other = [*installation.ssh_command, "-o", f"IdentityFile={tmp_path}/key", "-o", "IdentitiesOnly=yes"]
    assert installation.call([*other, "paas", "whoami"]).returncode == 0
    installation.ssh("keys:remove", "laptop")
    assert installation.ssh("keys:add", "bad", stdin="not a key\n", check=False).returncode == 2


@pytest.mark.parametrize(
    "command", ["nonsense", "apps:info nowhere", "logs", "sh", "scp -f x", "git-receive-pack '../x'"]
)
def test_what_cannot_be_done_is_one_clear_error(installation: Installation, shop: Repository, command: str) -> None:
    done = installation.ssh(command, check=False)
    assert done.returncode != 0
    assert " !     " in done.stderr and "Traceback" not in done.stderr


def test_the_api_takes_a_token_and_no_token_takes_nothing(installation: Installation, shop: Repository) -> None:
    token = installation.ssh("tokens:create", "ci").stdout.split()[-1]
    base = f"http://localhost:{installation.http_port}"

    def status(path: str, *headers: str) -> str:
        command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"{base}{path}"]
        return installation.call([*command, *(word for one in headers for word in ("-H", one))]).stdout

    assert status("/healthz") == "200"
    assert status("/v1/apps") == "401"
    assert status("/v1/apps", f"Authorization: Bearer {token}") == "200"
    installation.ssh("tokens:revoke", "ci")
    assert status("/v1/apps", f"Authorization: Bearer {token}") == "401"
