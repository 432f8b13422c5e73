"""Node.js apps: servers, and single-page applications built here and served as files."""

from __future__ import annotations

import json
import re
from pathlib import Path

from builder import procfile
from builder.base import Plan
from builder.buildpacks.node_packages import Package, Tool, manifests, package, setup, tool, version
from builder.buildpacks.python_source import source
from builder.dockerfile import NodeRecipe, serve
from builder.dockerfile import node as dockerfile
from builder.stack import NODE
from core.errors import BuildFailed

BUILDS = ("heroku-postbuild", "build")
ENTRIES = ("server.js", "index.js", "app.js", "main.js", "server.mjs", "index.mjs")
# What these start is for development; what they build is files.
DEVELOPMENT = re.compile(
    r"^(?:[\w-]+=\S+\s+)*(?:npx\s+|cross-env\s+(?:\S+=\S+\s+)*)?"
    r"(?:(?:react-scripts|craco|react-app-rewired)\s+start|vue-cli-service\s+serve|ng\s+(?:serve|s)|"
    r"vite(?:\s+(?:dev|serve|preview)|\s+-|\s*$)|parcel(?:\s+(?!build)|$)|webpack(?:-dev-server|\s+serve)|"
    r"astro\s+(?:dev|preview)|gatsby\s+develop)"
)
# Tool to the folder of what it builds.
SITES = {
    "react-scripts": "build",
    "@craco/craco": "build",
    "@vue/cli-service": "dist",
    "@angular/cli": "dist",
    "astro": "dist",
    "gatsby": "public",
    "vite": "dist",
    "parcel": "dist",
}
CONFIGURED = re.compile(r"\b(?:outDir|outputDir)\s*:\s*['\"]([\w./-]+)['\"]")
SERVER_SIDE = re.compile(r"output\s*:\s*['\"](?:server|hybrid)['\"]")


class Node:
    name = "node"

    def plan(self, folder: Path) -> Plan | None:
        """The plan of a tree with a package.json; BuildFailed when it cannot be built here."""
        if not (folder / "package.json").is_file():
            return None
        found = package(folder)
        chosen, lock = tool(folder, found)
        declared = procfile.read(folder) or {}
        build = next((name for name in BUILDS if name in found.scripts), "")
        site = "" if "web" in declared else site_folder(folder, found, build)
        wanted, npm, notes = version(folder, found)
        recipe = NodeRecipe(
            chosen.name,
            chosen.cache,
            manifests(folder, found, lock),
            install(chosen, lock, whole=bool(build or site) or "prepare" in found.scripts),
            wanted,
            npm,
            setup(folder, chosen, found),
            f"{chosen.name} run {build}" if build else "",
            chosen.prune if found.dev and build and lock else "",
            site,
        )
        why = f"Node.js app detected ({lock or 'package.json'}, Node.js {wanted or NODE})"
        processes = {} if "web" in declared else {"web": serve(True) if site else start(folder, found, chosen)}
        kept = {kind: command for kind, command in processes.items() if command}
        return Plan(self.name, why, dockerfile(recipe), processes=kept, reads_config=bool(build), notes=notes)


def install(chosen: Tool, lock: str, *, whole: bool) -> str:
    """The install command; development packages too where something is built."""
    return (chosen.frozen if lock else chosen.loose) + ("" if whole else chosen.production)


def start(folder: Path, found: Package, chosen: Tool) -> str:
    """The command that starts a server; "" when nothing says."""
    if "start" in found.scripts:
        return start_script(found, chosen)
    candidates = [main_file(folder, found.main), *(name for name in ENTRIES if (folder / name).is_file())]
    return next((f"node {name}" for name in candidates if name), "")


def start_script(found: Package, chosen: Tool) -> str:
    """The start script's own line: without the package manager around it, it starts sooner and gets the signals."""
    line = found.scripts["start"]
    wrapped = {"prestart", "poststart"} & set(found.scripts) or "npm_" in line or "\n" in line
    return f"{chosen.name} start" if wrapped else line


def main_file(folder: Path, main: str) -> str:
    for name in (main, f"{main}.js", f"{main}/index.js"):
        if main and ".." not in name and re.fullmatch(r"[\w./-]+", name) and (folder / name).is_file():
            return name
    return ""


def site_folder(folder: Path, found: Package, build: str) -> str:
    """Where a single-page application's build leaves its files; "" for servers."""
    used = next((name for name in SITES if found.uses(name)), "")
    begins = found.scripts.get("start", "")
    if not build or not used or (begins and not DEVELOPMENT.match(begins)):
        return ""
    if not begins and used == "vite" and not (folder / "index.html").is_file():
        return ""
    if used == "astro" and SERVER_SIDE.search(configuration(folder, "astro")):
        return ""
    return angular(folder) if used == "@angular/cli" else configured(folder, used)


def configured(folder: Path, used: str) -> str:
    names = {"@vue/cli-service": "vue"}
    match = CONFIGURED.search(configuration(folder, names.get(used, used)))
    named = match[1].removeprefix("./").strip("/") if match else SITES[used]
    return SITES[used] if ".." in named else named


def configuration(folder: Path, name: str) -> str:
    return "\n".join(source(file) for file in sorted(folder.glob(f"{name}.config.*")))


def angular(folder: Path) -> str:
    """Angular's output folder: newer builders put the files one folder deeper."""
    try:
        projects = json.loads(source(folder / "angular.json"))["projects"]
        name, project = next(iter(projects.items()))
        target = project["architect"]["build"]
        output = target["options"].get("outputPath", f"dist/{name}")
        base = output["base"] if isinstance(output, dict) else output
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise BuildFailed("angular.json does not say what is built", "Does it have a project?") from error
    if not re.fullmatch(r"[\w./-]+", str(base)) or ".." in base:
        raise BuildFailed(f"angular.json builds into {base!r}", "Use a folder of the repository, such as dist.")
    browser = "" if str(target.get("builder", "")).endswith(":browser") else "/browser"
    return f"{base}{browser}"
