"""script/up and script/down, as a newcomer meets them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.marks import Marks
from server.supervise import started, wait
from tests.installation import ROOT, Installation
from tests.leftovers import objects

pytestmark = pytest.mark.real

SYSTEM_PYTHON = "/usr/bin/python3"


@pytest.fixture
def strangers_checkout() -> Iterator[Path]:
    """What script/up needs before it changes anything, where a user without any rights may read it."""
    folder = Path(tempfile.mkdtemp(prefix="paas-checkout-"))
    for name in ("script/up", "server/setup_checks.py"):
        (folder / name).parent.mkdir()
        shutil.copy(ROOT / name, folder / name)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def as_nobody(*command: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PAAS_HOME": "/nonexistent/paas"}
    dropped = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]
    return subprocess.run(dropped, capture_output=True, text=True, env=environment, cwd="/", timeout=60)


def test_without_root_there_is_one_clear_line(strangers_checkout: Path) -> None:
    done = as_nobody(str(strangers_checkout / "script" / "up"))
    assert done.returncode == 1
    assert done.stderr == "paas: root is needed (packages, firewall, a system user): run it again with sudo -E.\n"


def test_without_permission_for_the_engine_there_is_one_clear_line(strangers_checkout: Path) -> None:
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(strangers_checkout / "docker.sock"))
        engine.listen()
        (strangers_checkout / "docker.sock").chmod(0o600)
        program = (
            "import sys; sys.path.append(sys.argv[1]); import setup_checks\n"
            "print(*setup_checks.engine_problems(sys.argv[2]))"
        )
        url = f"unix://{strangers_checkout}/docker.sock"
        done = as_nobody(SYSTEM_PYTHON, "-I", "-c", program, str(strangers_checkout / "server"), url)
    assert done.stdout.startswith(f"no permission to use the Docker engine at {url}."), done.stderr


def test_a_taken_port_is_named_and_nothing_is_done() -> None:
    newcomer = Installation()
    with socket.create_server(("127.0.0.1", newcomer.http_port)):
        done = newcomer.up(check=False)
    assert done.returncode == 1
    expected = f"paas: port {newcomer.http_port} is taken by {name_of(os.getpid())} (pid {os.getpid()}). "
    assert done.stderr == expected + "Set PAAS_HTTP_PORT to a free one.\n"
    assert not newcomer.home.exists()
    shutil.rmtree(newcomer.folder)


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def test_a_short_disk_is_told_with_both_numbers_and_nothing_is_done(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(tmp_path)], check=True)
    try:
        newcomer = Installation(home=tmp_path / "home")
        done = newcomer.up(check=False)
        assert done.returncode == 1
        assert "is short: 0.1 GB free, 4.3 GB needed. Free some" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not list(tmp_path.iterdir())
        shutil.rmtree(newcomer.folder)
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_setting_that_is_no_setting_is_named() -> None:
    newcomer = Installation(start_timeout="soon")
    done = newcomer.up(check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("paas: PAAS_START_TIMEOUT is wrong: ")
    assert not newcomer.home.exists()
    shutil.rmtree(newcomer.folder)


def test_a_second_up_changes_nothing_and_takes_seconds(installation: Installation) -> None:
    before = picture(installation)
    begun = time.monotonic()
    done = installation.up()
    assert time.monotonic() - begun < 10
    assert picture(installation) == before
    assert done.stdout.splitlines()[-3:] == [
        "       git remote add paas paas:hello",
        "       git push paas main",
        f"       curl http://hello.localhost:{installation.http_port}/",
    ]


def picture(installation: Installation) -> dict[str, object]:
    """Processes, and every file that set-up writes."""
    files = ("env", "installation", "ssh_config", "known_hosts", "proxy/haproxy.cfg", "service/server/run")
    times = {
        name: (installation.home / name).stat().st_mtime_ns for name in files if (installation.home / name).exists()
    }
    return {**times, **{name: installation.program(name) for name in ("server", "proxy")}}


@pytest.mark.parametrize("name", ["server", "proxy"])
def test_a_killed_program_is_back_within_a_second(installation: Installation, name: str) -> None:
    killed = installation.program(name)
    os.kill(killed, signal.SIGKILL)
    assert wait(lambda: installation.program(name) not in (0, killed), 1)
    assert wait(lambda: installation.curl("", "/healthz")[0] == 200, 20)


def test_secrets_are_nobody_elses_to_read(installation: Installation) -> None:
    open_files = {
        str(path.relative_to(installation.home))
        for path in installation.home.iterdir()
        if path.stat().st_mode & 0o004 and not path.is_symlink()
    }
    # Tests of kill points make the folder `fail`.
    public = {"installation", "installation.lock", "ssh_config", "known_hosts", "service.pid", "hooks", "fail"}
    assert open_files <= public
    assert (installation.home / "keys").stat().st_mode & 0o077 == 0


def test_the_ssh_config_works_and_trusts_one_host_key_only(installation: Installation, tmp_path: Path) -> None:
    assert installation.ssh("version").stdout.startswith("paas ")
    other = tmp_path / "key"
    installation.call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)])
    kind, blob = other.with_suffix(".pub").read_text().split()[:2]
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{installation.ssh_port} {kind} {blob}\n")
    wrong = [*installation.ssh_command, "-o", f"UserKnownHostsFile={tmp_path}/known_hosts", "paas", "version"]
    assert "Host key verification failed" in installation.call(wrong, check=False).stderr


def test_install_only_starts_neither_server_nor_proxy() -> None:
    newcomer = Installation()
    try:
        newcomer.up("--install-only")
        assert processes_of(newcomer) == []
        assert tags_of(newcomer.id)
    finally:
        newcomer.down()


def test_two_installations_do_not_see_each_other_and_purging_one_leaves_the_other(installation: Installation) -> None:
    second = Installation()
    try:
        second.up()
        second.ssh("apps:create", "neighbour")
        assert "neighbour" not in installation.ssh("apps").stdout
        installed = second.id
        processes = processes_of(second)
        assert len(processes) >= 3, "the server, the proxy and its worker at least"
    finally:
        second.down()
    assert not second.home.exists()
    assert [pid for pid in processes if started(pid)] == []
    assert objects(installed) == set()
    assert rules_of(installed) == []
    assert tags_of(installed) == []
    assert installation.curl("", "/healthz")[0] == 200
    assert installation.ssh("whoami").returncode == 0
    assert tags_of(installation.id)


def processes_of(installation: Installation) -> list[int]:
    """Every process that names the state folder in its command line or environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if str(installation.home).encode() in words and folder.name != str(os.getpid()):
            found.append(int(folder.name))
    return found


def rules_of(installed: str) -> list[str]:
    """Firewall rules and chains that carry the installation's mark."""
    marks = Marks(installed)
    rules = [*output("iptables", "-w", "-S").splitlines(), *output("ip6tables", "-w", "-S").splitlines()]
    return [rule for rule in rules if marks.chain in rule or marks.bridges in rule]


def tags_of(installed: str) -> list[str]:
    """Image tags of the installation, those of the base images it shares included."""
    lines = output("docker", "image", "ls", "--format", "{{json .}}").splitlines()
    return [name for line in lines if (name := json.loads(line)["Repository"]).startswith(f"paas-{installed}/")]


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_down_takes_only_what_was_set_up(tmp_path: Path) -> None:
    newcomer = Installation(home=tmp_path / "never")
    assert "There is no installation" in newcomer.script("down", "--purge").stdout
    shutil.rmtree(newcomer.folder)
