"""Config vars as files beside the tree: each is bound to one build step and never enters image, history or log."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from builder.base import Plan

# What package managers read themselves. Install steps see only these, or every change of config would reinstall
# everything.
TOOLS = ("PIP_", "UV_", "NPM_", "npm_", "YARN_", "PNPM_", "NODE_AUTH_TOKEN", "CYPRESS_INSTALL_BINARY", "PUPPETEER_")


def files(plan: Plan, config: Mapping[str, str]) -> dict[str, bytes]:
    """The environment files of the context; none for a repository's own Dockerfile, which has no step of ours."""
    if plan.pack == "dockerfile":
        return {}
    tools = {key: value for key, value in config.items() if key.startswith(TOOLS)}
    return {"env/tools": shell(tools), "env/build": shell(config if plan.reads_config else {})}


def shell(config: Mapping[str, str]) -> bytes:
    """Assignments a shell reads; empty with nothing to say, so that the step is the same."""
    return "".join(f"{key}={shlex.quote(value)}\n" for key, value in sorted(config.items())).encode()
