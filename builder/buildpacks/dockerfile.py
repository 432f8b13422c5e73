"""A repository's own Dockerfile, used as it is.

Base images are whatever the engine has or can pull. `ARG PAAS_STACK` before the first FROM names the platform's own
base image (`ARG PAAS_STACK_BUILD` the one with compilers), with a default of the author's choice for other places.
"""

from __future__ import annotations

import re
from pathlib import Path

from builder import procfile
from builder.base import Plan
from core.errors import BuildFailed

NAME = "Dockerfile"
# A frontend image would have to be pulled; the engine's own reads the common language.
SYNTAX = re.compile(r"\A(?:\s*#[^\n]*\n)*?\s*#\s*syntax\s*=[^\n]*\n", re.IGNORECASE)
EXPOSE = re.compile(r"^\s*EXPOSE\s+(\d+)(?:/tcp)?\s*$", re.IGNORECASE | re.MULTILINE)
FROM = re.compile(r"^\s*FROM\s", re.IGNORECASE | re.MULTILINE)


class Dockerfile:
    name = "dockerfile"

    def plan(self, folder: Path) -> Plan | None:
        """The repository's Dockerfile; the image's own command is its web process unless a Procfile names one."""
        file = folder / NAME
        if not file.is_file():
            return None
        text = file.read_text("utf-8-sig", "replace")
        if not FROM.search(text):
            raise BuildFailed("the Dockerfile has no FROM", "A Dockerfile begins with the image it builds upon.")
        web = {} if "web" in (procfile.read(folder) or {}) else {"web": ""}
        ports = EXPOSE.findall(text)
        return Plan(
            self.name,
            "Dockerfile detected",
            without_syntax(text),
            processes=web,
            port=int(ports[-1]) if len(ports) == 1 else None,
        )


def without_syntax(text: str) -> str:
    match = SYNTAX.match(text)
    if not match:
        return text
    kept = [line for line in match[0].splitlines() if "syntax" not in line.lower()]
    return "\n".join([*kept, text[match.end() :]])
