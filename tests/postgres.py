"""A private PostgreSQL cluster from Debian's package: a folder of its own, a free port, loopback only."""

from __future__ import annotations

import itertools
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.ports import free_port


class Cluster:
    """Brought up by `start`, gone after `stop`; every test takes a database of its own from `database()`."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="paas-pg-"))
        self.port = free_port()
        self.numbers = itertools.count(1)

    def start(self) -> None:
        postgres = pwd.getpwnam("postgres")
        shutil.chown(self.folder, postgres.pw_uid, postgres.pw_gid)
        self.run("initdb", "-D", self.data, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.run("pg_ctl", "-D", self.data, "-l", f"{self.folder}/log", "-o", options, "-w", "start")

    def stop(self) -> None:
        if (Path(self.data) / "postmaster.pid").exists():
            self.run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)

    def restart(self) -> None:
        """As after a crash: connections are cut."""
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "-l", f"{self.folder}/log", "restart")

    def database(self) -> str:
        """The SQLAlchemy URL of a new, empty database."""
        name = f"paas{next(self.numbers)}"
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self.port), name)
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    @property
    def data(self) -> str:
        return str(self.folder / "data")

    def run(self, program: str, *arguments: str) -> None:
        newest = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
        # The server refuses to run as root; output goes to a file, since the server would keep a pipe open.
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", str(newest / program)]
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [*command, *arguments], stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd="/"
            )
            output.seek(0)
            assert done.returncode == 0, output.read()
