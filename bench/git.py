"""A large push and clone through our door and through OpenSSH with git-shell: seconds, server CPU, and the ratios.

Same machine, same repository settings, same cipher, one after the other in turn, medians. With PAAS_HOME set and its
server up, that installation is measured; otherwise the door alone, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from repos import bare
from tests.ports import free_port
from tests.sshdoor import SshDoor

CIPHER = "aes128-gcm@openssh.com"
FILE_BYTES = 10 << 20
TICKS = os.sysconf("SC_CLK_TCK")
OPTIONS = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "LogLevel=ERROR")
GOALS = {"push seconds": 1.05, "push CPU": 0.9, "clone seconds": 1.05, "clone CPU": 0.9}
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Server:
    """One side of the comparison."""

    name: str
    pid: int
    ssh: Sequence[str]
    address: str
    """What stands before the repository's name in a remote."""

    def repository(self, name: str) -> str:
        return f"{self.address}{name}"

    def git(self, folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_SSH_COMMAND": " ".join([*self.ssh, "-c", CIPHER]),
        }
        return subprocess.run(["git", *words], cwd=folder, env=env, check=True, capture_output=True)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--megabytes", type=int, default=400)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.serve:
        return serve()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="paas-bench-")))
        folder.chmod(0o755)
        source = content(folder / "source", chosen.megabytes)
        servers = [stack.enter_context(ours(folder)), stack.enter_context(openssh(folder))]
        rows = [measure(servers, source, folder, number) for number in range(chosen.rounds)]
        return report(rows, chosen)


def content(folder: Path, megabytes: int) -> Path:
    """A repository of that size that no compression makes smaller, with a tag, which deploys nothing."""
    folder.mkdir()
    git = ["git", "-C", str(folder), "-c", "user.name=Bench", "-c", "user.email=bench@example.com"]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    subprocess.run([*git, "config", "core.compression", "0"], check=True)
    for number in range(max(1, (megabytes << 20) // FILE_BYTES)):
        (folder / f"{number}.bin").write_bytes(os.urandom(FILE_BYTES))
    for words in (["add", "-A"], ["commit", "-qm", "bench"], ["tag", "big"], ["repack", "-adq"]):
        subprocess.run([*git, *words], check=True)
    return folder


def measure(servers: Sequence[Server], source: Path, folder: Path, number: int) -> dict[str, float]:
    """One round on each server."""
    row: dict[str, float] = {}
    order = servers if number % 2 else list(reversed(servers))
    for server in order:
        repository, target = server.repository(f"bench-{number}"), folder / "clone"
        with metered(server, "push", row):
            server.git(source, "push", "-q", repository, "refs/tags/big")
        with metered(server, "clone", row):
            server.git(folder, "clone", "-q", "--bare", repository, str(target))
        verify(source, target, thorough=number == 0)
        shutil.rmtree(target)
        print(f"round {number + 1} {server.name}: {shown(server.name, row)}", flush=True)
    return row


def shown(name: str, row: dict[str, float]) -> str:
    return ", ".join(f"{key.removeprefix(name + ' ')} {row[key]:.2f}" for key in row if key.startswith(name))


@contextmanager
def metered(server: Server, what: str, row: dict[str, float]) -> Iterator[None]:
    """Wall seconds, and CPU seconds of the server and everything it started."""
    before, start = cpu(server.pid), time.perf_counter()
    yield
    row[f"{server.name} {what} seconds"] = time.perf_counter() - start
    row[f"{server.name} {what} CPU"] = settled_cpu(server.pid) - before


def cpu(pid: int) -> float:
    """User and system seconds of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / TICKS


def settled_cpu(pid: int) -> float:
    """The same, once its children have ended."""
    deadline = time.monotonic() + 30
    while children(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return cpu(pid)


def children(pid: int) -> str:
    return "".join(file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children"))


def verify(source: Path, copy: Path, thorough: bool) -> None:
    """The copy has the very same objects."""

    def asked(folder: Path, *words: str) -> bytes:
        return subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True).stdout

    for words in (["rev-parse", "big", "big^{tree}"], ["ls-tree", "-r", "big"]):
        if asked(source, *words) != asked(copy, *words):
            raise SystemExit(f"{copy} differs from {source}")
    if thorough:
        asked(copy, "fsck", "--full", "--strict")


@contextmanager
def ours(folder: Path) -> Iterator[Server]:
    home = Path(os.environ.get("PAAS_HOME", "/nonexistent"))
    pid = home / "service" / "server" / "supervise" / "pid"
    if pid.exists() and pid.read_text().strip():
        server = Server("paas", int(pid.read_text()), ["ssh", "-F", f"{home}/ssh_config"], "paas:")
        try:
            yield server
        finally:
            clear(server)
        return
    command = [sys.executable, "-m", "bench.git", "--serve"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        told = json.loads(process.stdout.readline())
        yield Server("paas", process.pid, told["ssh"], "paas@127.0.0.1:")
        process.stdin.close()


def clear(server: Server) -> None:
    """Destroy the apps a real installation got."""
    listed = subprocess.run([*server.ssh, "paas", "apps"], capture_output=True, text=True).stdout.split()
    for name in {word for word in listed if word.startswith("bench-")}:
        subprocess.run([*server.ssh, "paas", "apps:destroy", name, "--force"], capture_output=True)


def serve() -> int:
    """The door alone, until standard input ends."""
    with SshDoor() as door:
        print(json.dumps({"ssh": door.ssh_command()}), flush=True)
        sys.stdin.read()
    return 0


@contextmanager
def openssh(folder: Path) -> Iterator[Server]:
    """sshd with git-shell, and repositories set up as ours are."""
    place, port = folder / "sshd", free_port()
    place.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)], check=True)
    shutil.copy(place / "user.pub", place / "authorized_keys")
    for number in range(100):
        bare.create(place / f"bench-{number}", "")
    Path("/run/sshd").mkdir(exist_ok=True)
    config = place / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {place}/host\nAuthorizedKeysFile {place}/authorized_keys\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nCompression no\n"
        f'ForceCommand exec git-shell -c "$SSH_ORIGINAL_COMMAND"\n'
    )
    options = [word for option in OPTIONS for word in ("-o", option)]
    ssh = ["ssh", "-F", "/dev/null", *options, "-p", str(port), "-i", str(place / "user")]
    with subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(ssh)
            yield Server("OpenSSH", process.pid, ssh, f"127.0.0.1:{place}/")
        finally:
            process.terminate()


def wait_for(ssh: Sequence[str]) -> None:
    deadline = time.monotonic() + 10
    while subprocess.run([*ssh, "127.0.0.1", "true"], capture_output=True).returncode == 255:
        if time.monotonic() > deadline:
            raise SystemExit("sshd did not start")


def report(rows: Sequence[dict[str, float]], chosen: argparse.Namespace) -> int:
    """The table; 1 when a goal is missed."""
    print(f"\n{chosen.megabytes} MB, {CIPHER}, medians of {chosen.rounds}, CPU of the server with git and hooks")
    print(f"{'':16}{'paas':>8}{'OpenSSH':>9}{'ratio':>8}{'goal':>8}")
    missed = 0
    for what, goal in GOALS.items():
        mine, theirs = (median(row[f"{name} {what}"] for row in rows) for name in ("paas", "OpenSSH"))
        missed += mine / theirs > goal
        print(f"{what:16}{mine:8.2f}{theirs:9.2f}{mine / theirs:8.2f}{goal:8.2f}")
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
