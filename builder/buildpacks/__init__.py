"""The packs, and which one builds a tree.

Order: the repository's own Dockerfile; Python or Node.js; a static site. Where both Python and Node.js declare
themselves at the root, the Procfile's web process decides, and without one Python does (its package.json then is for
front-end tools).
"""

from __future__ import annotations

import re
from pathlib import Path

from builder import procfile
from builder.base import Buildpack, Plan
from builder.buildpacks.dockerfile import Dockerfile
from builder.buildpacks.node import Node
from builder.buildpacks.python import Python
from builder.buildpacks.static import Static
from builder.stack import PYTHONS
from core.errors import NoBuildpack

RUNS_NODE = re.compile(r"(?:\S+=\S*\s+)*(?:node|npm|npx|yarn|pnpm)\b")


def packs(folder: Path, suite: str) -> list[Buildpack]:
    """The packs in the order in which this tree asks them."""
    languages: list[Buildpack] = [Python(PYTHONS.get(suite, "3.11")), Node()]
    web = (procfile.read(folder) or {}).get("web", "")
    if RUNS_NODE.match(web):
        languages.reverse()
    return [Dockerfile(), *languages, Static()]


def detect(folder: Path, suite: str = "bookworm") -> Plan:
    """The plan of the first pack that knows this tree; NoBuildpack, BuildFailed when it is broken."""
    for pack in packs(folder, suite):
        plan = pack.plan(folder)
        if plan:
            return plan
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:12]) or "nothing"
    raise NoBuildpack(
        "no kind of application was recognised",
        "Add one of: Dockerfile, requirements.txt, pyproject.toml, uv.lock, package.json, index.html, .static.",
        evidence=f"At the root of the repository: {there}",
    )
