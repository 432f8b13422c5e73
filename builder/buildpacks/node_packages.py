"""What a Node.js tree says about itself: package.json, package manager, version."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder.buildpacks.python_source import source
from builder.stack import NODE
from core.errors import BuildFailed

LOCKS = {"package-lock.json": "npm", "npm-shrinkwrap.json": "npm", "yarn.lock": "yarn", "pnpm-lock.yaml": "pnpm"}
SETTINGS = (".npmrc", ".yarnrc", ".pnpmfile.cjs", "pnpm-workspace.yaml")
LIFECYCLE = ("preinstall", "install", "postinstall", "prepare")
LOCAL = re.compile(r"^(?:file|link|portal|workspace|patch):|^\.{1,2}/")
MAJOR = re.compile(r"(?:\^|~|>=?|=|v)?\s*(\d+)(?:\.(\d+|x|\*))?(?:\.(\d+|x|\*))?(?:\s*$|\s*\|\||\s+<)")
OLDEST = 14
# The newest npm that each older Node.js can run.
NPMS = {14: "6", 16: "8", 18: "10", 20: "10"}
CODENAMES = {"lts/*": NODE, "lts": NODE, "node": NODE, "stable": NODE, "lts/krypton": "24", "lts/jod": "22"}


@dataclass(frozen=True)
class Package:
    """A package.json, with what is missing made empty."""

    scripts: dict[str, str] = field(default_factory=dict)
    dependencies: dict[str, str] = field(default_factory=dict)
    dev: dict[str, str] = field(default_factory=dict)
    main: str = ""
    engine: str = ""
    manager: str = ""
    workspaces: bool = False

    def uses(self, name: str) -> bool:
        return name in self.dependencies or name in self.dev


@dataclass(frozen=True)
class Tool:
    """A package manager: name, its cache, how it installs (with and without a lock file) and drops dev packages."""

    name: str
    cache: str
    frozen: str
    loose: str
    production: str
    prune: str


TOOLS = {
    "npm": Tool(
        "npm",
        "/root/.npm",
        "npm ci --no-audit --no-fund",
        "npm install --no-audit --no-fund --no-package-lock",
        " --omit=dev",
        "npm prune --omit=dev --ignore-scripts --no-audit --no-fund",
    ),
    "yarn": Tool(
        "yarn",
        "/usr/local/share/.cache/yarn",
        "yarn install --frozen-lockfile --non-interactive --ignore-engines",
        "yarn install --no-lockfile --non-interactive --ignore-engines",
        " --production",
        "yarn install --production --frozen-lockfile --ignore-scripts --offline --non-interactive --ignore-engines",
    ),
    "pnpm": Tool(
        "pnpm",
        "/root/.local/share/pnpm/store",
        "pnpm install --frozen-lockfile --config.node-linker=hoisted",
        "pnpm install --no-lockfile --config.node-linker=hoisted",
        " --prod",
        "pnpm prune --prod --ignore-scripts --config.node-linker=hoisted",
    ),
}


def package(tree: Path) -> Package:
    """The package.json at the root; BuildFailed when it is broken."""
    try:
        found = json.loads(source(tree / "package.json"))
    except ValueError as error:
        raise BuildFailed("package.json is not valid JSON", "Fix it and push again.", evidence=str(error)) from error
    if not isinstance(found, dict):
        raise BuildFailed("package.json is not a JSON object", "Start from `npm init`.")
    return Package(
        texts(found.get("scripts")),
        texts(found.get("dependencies")),
        texts(found.get("devDependencies")),
        str(found.get("main") or ""),
        texts(found.get("engines")).get("node", ""),
        str(found.get("packageManager") or ""),
        "workspaces" in found,
    )


def texts(found: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def tool(tree: Path, found: Package) -> tuple[Tool, str]:
    """(package manager, its lock file or ""); BuildFailed when two lock files disagree on it."""
    locks = [name for name in LOCKS if (tree / name).is_file()]
    if len({LOCKS[name] for name in locks}) > 1:
        raise BuildFailed(
            f"two lock files: {' and '.join(locks)}",
            "Keep the one of the package manager you use and remove the other from the repository.",
        )
    if locks:
        return TOOLS[LOCKS[locks[0]]], locks[0]
    name = found.manager.split("@")[0]
    return TOOLS.get(name, TOOLS["npm"]), ""


def setup(tree: Path, chosen: Tool, found: Package) -> str:
    """The command that brings the package manager's wanted version; "" for the one at hand."""
    name, _, version = found.manager.split("+")[0].partition("@")
    if chosen.name == "pnpm":
        wanted = version if name == "pnpm" else pnpm_of(source(tree / "pnpm-lock.yaml"))
        return f"npm install --silent --global --force pnpm@{wanted}" if wanted and safe(wanted) else ""
    modern = chosen.name == "yarn" and "__metadata:" in source(tree / "yarn.lock")[:4_000]
    if modern or (chosen.name == "yarn" and version and not version.startswith("1")):
        raise BuildFailed("this yarn.lock is of Yarn 2 or newer, which is not supported", "Use Yarn 1, npm or pnpm.")
    return ""


def pnpm_of(lock: str) -> str:
    match = re.search(r"^lockfileVersion:\s*'?(\d+)", lock, re.MULTILINE)
    return {"5": "7", "6": "8"}.get(match[1], "") if match else ""


def safe(version: str) -> bool:
    return bool(re.fullmatch(r"[0-9][0-9A-Za-z.-]*", version))


def manifests(tree: Path, found: Package, lock: str) -> tuple[str, ...] | None:
    """Files the install step needs; None (all of the tree) when a script or a package by path may need more."""
    by_path = any(LOCAL.match(value) for value in [*found.dependencies.values(), *found.dev.values()])
    scripts = any(name in found.scripts for name in LIFECYCLE)
    if found.workspaces or by_path or scripts or (tree / "patches").is_dir():
        return None
    return tuple(name for name in ("package.json", lock, *SETTINGS) if name and (tree / name).is_file())


def version(tree: Path, found: Package) -> tuple[str, str, tuple[str, ...]]:
    """(version of the npm package node or "" for the stack's own, npm for it, notes)."""
    for file, text in [
        ("package.json", found.engine),
        (".nvmrc", source(tree / ".nvmrc")),
        (".node-version", source(tree / ".node-version")),
    ]:
        wanted = text.strip().lower()
        if wanted:
            return chosen_version(file, CODENAMES.get(wanted, wanted))
    return "", "", ()


def chosen_version(file: str, wanted: str) -> tuple[str, str, tuple[str, ...]]:
    """A range that the stack's version fits takes it; otherwise the newest of the major version it names."""
    bounds = [int(major) for major in re.findall(r">=?\s*v?(\d+)", wanted)]
    below = [int(major) for major in re.findall(r"<\s*v?(\d+)", wanted)]
    if wanted in ("*", "x") or (bounds and max(bounds) <= int(NODE) and not any(int(NODE) >= top for top in below)):
        return "", "", ()
    if below and bounds:
        wanted = str(min(below) - 1)
    match = MAJOR.match(wanted.rsplit("||", 1)[-1].strip())
    if not match:
        return "", "", (f"{file} asks for Node.js {wanted!r}, which was not understood; taking {NODE}",)
    return exact(file, match)


def exact(file: str, match: re.Match[str]) -> tuple[str, str, tuple[str, ...]]:
    major, ranged = int(match[1]), match[0].lstrip()[0] in "^~>"
    if major == int(NODE) and (ranged or not (match[3] or "").isdigit()):
        return "", "", ()
    if major < OLDEST:
        note = f"{file} asks for Node.js {major}; taking {OLDEST}, the oldest there is"
        return str(OLDEST), NPMS[OLDEST], (note,)
    parts = [part for part in match.groups() if part and part.isdigit()]
    return (str(major) if ranged else ".".join(parts)), NPMS.get(major, NPMS.get(major + 1, "11")), ()
