"""The local command as a distribution of its own, installed where nothing else of ours is."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from core.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
UV = str(ROOT / ".venv" / "bin" / "uv")

pytestmark = pytest.mark.real


def run(*command: str, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment["HOME"] = str(cwd)
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_installs_alone_and_brings_no_server_library(tmp_path: Path) -> None:
    run(UV, "venv", "--quiet", "venv", cwd=tmp_path)
    python = str(tmp_path / "venv" / "bin" / "python")
    run(UV, "pip", "install", "--quiet", "--python", python, str(ROOT / "cli"), cwd=tmp_path)
    listed = json.loads(run(UV, "pip", "list", "--python", python, "--format", "json", cwd=tmp_path))
    versions = {package["name"]: package["version"] for package in listed}
    assert versions.pop("paas-cli") == VERSION
    assert not versions.keys() & {"fastapi", "sqlalchemy", "docker", "asyncssh", "cryptography", "pydantic", "paas"}
    assert "config:set" in run(str(tmp_path / "venv" / "bin" / "paas"), "help", cwd=tmp_path)
    modules = [".".join(file.with_suffix("").relative_to(ROOT).parts) for file in (ROOT / "cli").rglob("*.py")]
    names = [module.removesuffix(".__init__") for module in modules]
    run(
        python,
        "-c",
        "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]",
        *names,
        cwd=tmp_path,
    )
