"""A developer's repository, and the small applications tests push from it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.installation import Installation

SAMPLES = Path(__file__).parent / "samples"

SERVER = """
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = "one"
FAULT = os.environ.get("FAULT", "")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/slow":
            time.sleep(2)
        body = (os.environ.get("GREETING", VERSION) + "\\n").encode()
        self.send_response(500 if FAULT == "health" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, form, *words):
        print("GET", self.path, flush=True)


if FAULT == "crash":
    sys.exit("cannot go on: FAULT is crash")
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
place = ("127.0.0.1", 5999) if FAULT == "port" else ("0.0.0.0", int(os.environ["PORT"]))
print("serving", VERSION, flush=True)
ThreadingHTTPServer(place, Handler).serve_forever()
"""


def python_app(version: str = "one", **files: str) -> dict[str, str]:
    """An application without dependencies that answers `version`, or the GREETING it is configured with."""
    return {
        "app.py": SERVER.replace('VERSION = "one"', f'VERSION = "{version}"'),
        "worker.py": "import signal\n\nprint('working', flush=True)\nsignal.pause()\n",
        "Procfile": "web: python app.py\nworker: python worker.py\n",
        **files,
    }


class Repository:
    """A git work tree with a remote `paas`."""

    def __init__(self, installation: Installation, folder: Path, app: str) -> None:
        self.installation, self.folder, self.app = installation, folder, app
        folder.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        self.git("remote", "add", "paas", f"paas:{app}")

    def git(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.installation.git(self.folder, *arguments, check=check)

    def commit(self, files: Mapping[str, str], message: str = "change") -> str:
        """Commit these files; the commit's id."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.head()

    def sample(self, name: str) -> str:
        """Commit one of tests/samples."""
        shutil.copytree(SAMPLES / name, self.folder, dirs_exist_ok=True)
        return self.commit({})

    def head(self) -> str:
        return self.git("rev-parse", "HEAD").stdout.strip()

    def push(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`git push paas main`, or with other arguments."""
        return self.git("push", "paas", *(arguments or ("main",)), check=check)

    def tracked(self) -> str | None:
        """What this repository believes the server's main is."""
        done = self.git("rev-parse", "--verify", "-q", "refs/remotes/paas/main", check=False)
        return done.stdout.strip() or None

    def remote_tip(self, ref: str = "refs/heads/main") -> str | None:
        done = self.git("ls-remote", "paas", ref, check=False)
        return done.stdout.split()[0] if done.stdout else None
