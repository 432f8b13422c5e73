"""A folder of files: index.html at the root, or a `.static` or `Staticfile` that says so."""

from __future__ import annotations

import re
from pathlib import Path

from builder.base import Plan
from builder.buildpacks.python_source import source
from builder.dockerfile import serve
from builder.dockerfile import static as dockerfile
from core.errors import BuildFailed

MARKS = (".static", "Staticfile")
SETTING = re.compile(r"^\s*(root|pushstate)\s*:\s*[\"']?([^\"'#\n]+?)[\"']?\s*$", re.MULTILINE)


class Static:
    name = "static"

    def plan(self, folder: Path) -> Plan | None:
        """The plan of a site that needs no building."""
        mark = next((name for name in MARKS if (folder / name).is_file()), "")
        if not mark and not (folder / "index.html").is_file():
            return None
        settings = dict(SETTING.findall(source(folder / "Staticfile")))
        root = site_root(folder, settings.get("root", ""))
        single_page = settings.get("pushstate") in ("enabled", "true")
        why = f"Static site detected ({mark or 'index.html'})"
        return Plan(self.name, why, dockerfile(root), processes={"web": serve(single_page)})


def site_root(folder: Path, named: str) -> str:
    """The folder to serve, relative to the tree, ending in a slash; "" for the tree itself."""
    root = named.strip("/").removeprefix("./")
    if root in ("", "."):
        return ""
    if ".." in Path(root).parts or not (folder / root).is_dir():
        raise BuildFailed(f"Staticfile names the folder {named!r}, which is not there", "Is it built? Is it committed?")
    return f"{root}/"
