"""Generated Dockerfiles, compared with golden files; `PAAS_GOLDEN=write` writes them anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from builder.base import Plan
from builder.dockerfile import NodeRecipe, PythonRecipe, node, python, static
from builder.environment import files

GOLDEN = Path(__file__).parent / "golden"
SERVER = NodeRecipe("npm", "/root/.npm", ("package.json", "package-lock.json"), "npm ci")

TEXTS = {
    "python": python(PythonRecipe(("requirements.txt",), ("uv pip install -r requirements.txt",))),
    "python-package": python(
        PythonRecipe(("pyproject.toml", "uv.lock"), ("uv sync --no-dev",), ("uv sync",), static="./manage.py x")
    ),
    "python-bare": python(PythonRecipe((), ())),
    "node": node(SERVER),
    "node-built": node(
        NodeRecipe("npm", "/root/.npm", None, "npm ci", "20", "10", build="npm run build", prune="npm prune")
    ),
    "node-site": node(NodeRecipe("npm", "/root/.npm", ("package.json",), "npm ci", build="npm run build", site="dist")),
    "static": static(""),
    "static-folder": static("www/"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_the_generated_dockerfile_is_the_golden_one(name: str) -> None:
    golden = GOLDEN / f"{name}.Dockerfile"
    if os.environ.get("PAAS_GOLDEN") == "write":
        golden.write_text(TEXTS[name])
    assert TEXTS[name] == golden.read_text()


@pytest.mark.parametrize("name", TEXTS)
def test_no_final_image_runs_as_root_or_carries_what_only_builds(name: str) -> None:
    final = TEXTS[name].rpartition("\nFROM ")[2]
    assert final.startswith("${PAAS_STACK}\n")
    assert "\nUSER 10001:10001\n" in final
    assert "type=cache" not in final


def test_config_reaches_only_the_step_that_builds_and_tools_their_own_variables() -> None:
    config = {"SECRET": "it's", "PIP_INDEX_URL": "x", "NPM_TOKEN": "y z"}
    tools = b"NPM_TOKEN='y z'\nPIP_INDEX_URL=x\n"
    reads = Plan("node", "", "", reads_config=True)
    assert files(reads, config) == {"env/tools": tools, "env/build": tools + b"SECRET='it'\"'\"'s'\n"}
    assert files(Plan("python", "", ""), config) == {"env/tools": tools, "env/build": b""}
    assert files(Plan("dockerfile", "", ""), config) == {}
