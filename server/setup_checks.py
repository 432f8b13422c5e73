"""What must hold before anything is changed. Standard library only: it runs before our libraries are installed.

`python -I server/setup_checks.py` prints one line for each problem and exits 1 when there is one; `--install-only`
leaves out the ports; the argument `engine` asks only whether a Docker engine answers.
"""

from __future__ import annotations

import errno
import http.client
import os
import shlex
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

DEFAULTS = {
    "PAAS_HOME": "/var/lib/paas",
    "PAAS_BIND": "0.0.0.0",
    "PAAS_SSH_PORT": "2222",
    "PAAS_HTTP_PORT": "8080",
    "PAAS_API_PORT": "0",
    "PAAS_DOCKER_HOST": "unix:///var/run/docker.sock",
}
"""The same as in `core.config.Settings`, which cannot be imported yet; a unit test compares them."""

DISK_NEEDED = 4 << 30
HOME_LENGTH = 80
"""A unix socket's path has 107 bytes at most, and ours lie below PAAS_HOME."""
LISTENING = "0A"


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def remembered(home: Path) -> dict[str, str]:
    """The variables the installation in `home` was set up with."""
    try:
        lines = (home / "env").read_text().splitlines()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    pairs = (line.partition("=") for line in lines if line)
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


def effective(environment: Mapping[str, str]) -> dict[str, str]:
    """Defaults, then what was remembered, then the environment."""
    home = Path(environment.get("PAAS_HOME") or DEFAULTS["PAAS_HOME"])
    return {**DEFAULTS, **remembered(home), **environment}


def engine_answers(url: str) -> bool:
    """Whether a Docker engine answers at `url`; PermissionError when we may not ask."""
    connection = UnixConnection(urlsplit(url).path)
    try:
        connection.request("GET", "/_ping")
        with connection.getresponse() as response:
            return response.status == 200
    except PermissionError:
        raise
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def problems(settings: Mapping[str, str], ports: bool = True) -> Iterator[str]:
    """One line for each thing that stands in the way."""
    if os.geteuid() != 0:
        yield "root is needed (packages, firewall, a system user): run it again with sudo -E."
        return
    yield from home_problems(Path(settings["PAAS_HOME"]))
    if ports:
        yield from port_problems(settings)
    yield from engine_problems(settings["PAAS_DOCKER_HOST"])


def home_problems(home: Path) -> Iterator[str]:
    if not home.is_absolute() or len(str(home)) > HOME_LENGTH:
        yield f"PAAS_HOME must be an absolute path of at most {HOME_LENGTH} characters, not {home}."
        return
    if home.exists() and not home.is_dir():
        yield f"PAAS_HOME is not a folder: {home}"
        return
    if (home / "installation").exists():
        return
    if home.exists() and any(entry.name != "lost+found" for entry in home.iterdir()):
        yield f"PAAS_HOME has other things in it: {home}. Choose an empty or a new folder."
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < DISK_NEEDED:
        yield (
            f"the disk of {home} is short: {free / 1e9:.1f} GB free, {DISK_NEEDED / 1e9:.1f} GB needed. "
            "Free some, or set PAAS_HOME to a bigger disk."
        )


def port_problems(settings: Mapping[str, str]) -> Iterator[str]:
    seen: dict[int, str] = {}
    for name, port in chosen_ports(settings).items():
        if not 0 < port < 65536:
            yield f"{name} is not a port. Set it to a number between 1 and 65535."
        elif port in seen:
            yield f"{name} and {seen[port]} are both {port}. Set one of them to another port."
        else:
            seen[port] = name
            address = "127.0.0.1" if name == "PAAS_API_PORT" else settings["PAAS_BIND"]
            yield from bind_problems(name, address, port, settings["PAAS_HOME"])


def chosen_ports(settings: Mapping[str, str]) -> dict[str, int]:
    """Each port's number, 0 for what is not a number."""
    names = ("PAAS_SSH_PORT", "PAAS_HTTP_PORT", "PAAS_API_PORT")
    ports = {name: int(settings[name]) if settings[name].isdigit() else 0 for name in names}
    if settings["PAAS_API_PORT"] == DEFAULTS["PAAS_API_PORT"]:
        ports["PAAS_API_PORT"] = ports["PAAS_HTTP_PORT"] + 10000
    return ports


def bind_problems(name: str, address: str, port: int, home: str) -> Iterator[str]:
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            yield f"cannot listen on {address}:{port}: {error.strerror}. Set PAAS_BIND to an address of this machine."
            return
        holder = port_holder(port)
        if holder and f"PAAS_HOME={home}" in environment_of(holder):
            return
        who = f" by {(Path('/proc') / holder / 'comm').read_text().strip()} (pid {holder})" if holder else ""
        yield f"port {port} is taken{who}. Set {name} to a free one."


def port_holder(port: int) -> str | None:
    """The pid of a process that listens on TCP `port`, if it can be seen."""
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            fields = line.split()
            if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(descriptor.readlink()) in inodes:
                return descriptor.parts[2]
        except OSError:
            continue
    return None


def environment_of(pid: str) -> list[str]:
    try:
        return (Path("/proc") / pid / "environ").read_text(errors="replace").split("\0")
    except OSError:
        return []


def engine_problems(url: str) -> Iterator[str]:
    if not url.startswith("unix:///"):
        yield f"PAAS_DOCKER_HOST must begin with unix:///, not {url}."
        return
    try:
        if not engine_answers(url) and url != DEFAULTS["PAAS_DOCKER_HOST"]:
            yield f"no Docker engine answers at {url}. Start it, or leave PAAS_DOCKER_HOST unset."
    except PermissionError:
        yield f"no permission to use the Docker engine at {url}. Run it as root or as a user who may."


def main(arguments: list[str]) -> int:
    settings = effective(os.environ)
    if arguments == ["engine"]:
        return 0 if engine_answers(settings["PAAS_DOCKER_HOST"]) else 1
    found = list(problems(settings, ports="--install-only" not in arguments))
    for line in found:
        print(f"paas: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
