"""The app campaigns push, again and again in new versions."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from bench.load import Load
from tests.installation import Installation
from tests.repository import Repository


class Steady:
    """tests/samples/steady in a repository of its own; it answers its version and the MARK it is configured with."""

    def __init__(self, installation: Installation, app: str, clone: str = "") -> None:
        self.installation, self.app = installation, app
        self.repository = Repository(installation, installation.folder / "work" / (clone or app), app)
        self.repository.sample("steady")

    def change(self, version: str, fault: str = "", once: str = "") -> str:
        """Commit a version, misbehaving with `fault` (half, early, warm, crash), with a release command; its id."""
        processes = "web: python app.py\n" + (f"release: {once}\n" if once else "")
        files = {"version": f"{version}\n", "fault": f"{fault}\n", "Procfile": processes}
        return self.repository.commit(files, version)

    def push(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.repository.push(*arguments, check=check)

    def answer(self) -> str:
        """`VERSION MARK`, or `status N` when it does not answer well."""
        status, body = self.installation.curl(self.app)
        return body.strip() if status == 200 else f"status {status}"

    def version(self) -> str:
        return self.answer().split(" ")[0]

    def load(self, rate: float, path: str = "/") -> Load:
        return Load(f"http://127.0.0.1:{self.installation.http_port}{path}", f"{self.app}.localhost", rate)

    def paas(self, command: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`ssh paas COMMAND APP WORDS`."""
        return self.installation.ssh(command, self.app, *words, check=check)

    def releases(self) -> list[dict[str, Any]]:
        return list(json.loads(self.paas("releases:list", "--json").stdout))
