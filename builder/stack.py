"""The base images, one pair per Debian suite: a small one that apps run on, and one with compilers that builds them.

They are shared by all installations of a machine: found by a label that names their recipe, while each installation
only adds tags of its own. Removing the last tag removes the image.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import ImageNotFound

from builder.base import Say
from builder.context import nothing_ignored, tar
from builder.engine import Engine, connect, engine_errors, listed
from builder.progress import Progress
from core.errors import StepFailed, Unavailable

LABEL = "paas.stack"
PYTHONS = {"bookworm": "3.11", "trixie": "3.13", "forky": "3.14"}
NODE = "24"
USER = 10001
RECIPE = Path(__file__).parent / "stack_files"
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
LOCK = Path("/run/lock/paas-stack.lock")
TIMEOUT = 900.0

RUN_PACKAGES = [
    "ca-certificates",
    "curl",
    "libmariadb3",
    "libpq5",
    "lighttpd",
    "lighttpd-mod-deflate",
    "media-types",
    "python3",
    "tzdata",
]
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "SSL_CERT_FILE": CA_BUNDLE,
    "REQUESTS_CA_BUNDLE": CA_BUNDLE,
    "CURL_CA_BUNDLE": CA_BUNDLE,
    "PIP_CERT": CA_BUNDLE,
    "NODE_EXTRA_CA_CERTS": CA_BUNDLE,
}


@dataclass(frozen=True)
class Stack:
    """Ids (`sha256:...`) of the pair."""

    run: str
    build: str


def ensure(client_url: str, installation: str, suite: str, say: Say) -> Stack:
    """The stack of `suite` under this installation's tags, made when the machine has none: milliseconds or a minute.

    Unavailable without an engine or mmdebstrap; StepFailed when the packages cannot be had.
    """
    with closing(connect(client_url)) as client, one_at_a_time():
        run = found(client, "run", suite, "stack") or bootstrap(client, installation, suite, say)
        tag(client, run, f"paas-{installation}/stack", suite)
        build = found(client, "build", suite, "stack-build") or add_tools(client, installation, suite, say)
        tag(client, build, f"paas-{installation}/stack-build", suite)
        drop_untagged(client)
    return Stack(run, build)


def remove(client_url: str, installation: str) -> None:
    """Take this installation's tags off; the images go with the last one."""
    with closing(connect(client_url)) as client, one_at_a_time(), engine_errors():
        tags = [tag for image in listed(client, label=LABEL) for tag in image["RepoTags"] or ()]
        for name in tags:
            if name.startswith(f"paas-{installation}/stack"):
                client.images.remove(name)


def references(installation: str, suite: str) -> dict[str, str]:
    """Build arguments that name the stack in a Dockerfile's FROM lines."""
    return {
        "PAAS_STACK": f"paas-{installation}/stack:{suite}",
        "PAAS_STACK_BUILD": f"paas-{installation}/stack-build:{suite}",
    }


def recipe(suite: str) -> str:
    """A short hash of all the stack is made from."""
    parts = [suite, NODE, str(USER), *RUN_PACKAGES, *(f"{key}={value}" for key, value in ENVIRONMENT.items())]
    digest = hashlib.sha256("\0".join(parts).encode())
    for file in [CA_BUNDLE, *sorted(RECIPE.iterdir())]:
        digest.update(file.read_bytes() if file.exists() else b"")
    return digest.hexdigest()[:12]


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two installations that start together make the stack once."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def found(client: docker.DockerClient, kind: str, suite: str, repository: str) -> str | None:
    """The image of the present recipe that an installation has tagged as its own.

    The label alone proves nothing: whatever anybody builds on a stack inherits it.
    """
    ours = re.compile(rf"paas-[^/]+/{repository}:{re.escape(suite)}")
    with engine_errors():
        images = listed(client, label=f"{LABEL}={kind}-{suite}-{recipe(suite)}")
    tagged = (image for image in images if any(map(ours.fullmatch, image["RepoTags"] or ())))
    return next((str(image["Id"]) for image in tagged), None)


def drop_untagged(client: docker.DockerClient) -> None:
    """Remove what an older recipe made and no installation's tag holds any more."""
    with engine_errors():
        for image in listed(client, label=LABEL, dangling=True):
            if image["Labels"][LABEL]:
                client.images.remove(str(image["Id"]))


def tag(client: docker.DockerClient, image: str, repository: str, suite: str) -> None:
    with engine_errors():
        try:
            client.api.tag(image, repository, suite, force=True)
        except ImageNotFound as error:
            raise Unavailable("the base image vanished while it was being tagged", "Run it again.") from error


def bootstrap(client: docker.DockerClient, installation: str, suite: str, say: Say) -> str:
    """The run image: Debian's own packages in a fresh tree, imported."""
    say(f"-----> Making the base image (Debian {suite})")
    with tempfile.TemporaryDirectory(prefix="paas-stack-") as work:
        archive = Path(work) / "run.tar"
        debootstrap(suite, archive)
        changes = [f"ENV {key}={value}" for key, value in ENVIRONMENT.items()]
        label = f"LABEL {LABEL}=run-{suite}-{recipe(suite)}"
        with engine_errors():
            client.api.import_image_from_file(
                str(archive), repository=f"paas-{installation}/stack", tag=suite, changes=[*changes, label]
            )
    image = found(client, "run", suite, "stack")
    if image is None:
        raise Unavailable("the base image was not imported", "Is the engine's disk full?")
    return image


def debootstrap(suite: str, archive: Path) -> None:
    hooks = [f"--customize-hook=upload {RECIPE}/{name} /etc/paas/{name}" for name in ("static.conf", "spa.conf")]
    if CA_BUNDLE.exists():
        hooks.append(f"--customize-hook=upload {CA_BUNDLE} {CA_BUNDLE}")
    command = [
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(RUN_PACKAGES)}",
        # A dated copy of the package index is as good as today's for a base image.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        *(f"--dpkgopt=path-exclude=/usr/share/{place}/*" for place in ("doc", "man", "locale", "info")),
        "--chrooted-customize-hook=mkdir /etc/paas",
        "--chrooted-customize-hook=perl /usr/share/lighttpd/create-mime.conf.pl > /etc/paas/mime.conf",
        f"--chrooted-customize-hook=useradd --uid {USER} --user-group --create-home --home-dir /app app",
        *hooks,
        suite,
        str(archive),
    ]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT)
    except FileNotFoundError as error:
        raise Unavailable("mmdebstrap is not installed", "Install it: apt-get install mmdebstrap") from error
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        evidence = "\n".join(str(error.stderr or error).splitlines()[-8:])
        hint = "Are Debian's package servers reachable?"
        raise StepFailed("the base image could not be made", hint, evidence=evidence) from error


def add_tools(client: docker.DockerClient, installation: str, suite: str, say: Say) -> str:
    """The build image: the run image and what builds apps."""
    say("-----> Adding compilers, uv and Node.js for builds")
    dockerfile = (RECIPE / "build.Dockerfile").read_bytes()
    with tempfile.TemporaryDirectory(prefix="paas-stack-") as empty:
        context = b"".join(tar(Path(empty), "", {"Dockerfile": dockerfile}, nothing_ignored))
    label = f"build-{suite}-{recipe(suite)}"
    options = {
        "buildargs": json.dumps({**references(installation, suite), "NODE": NODE}),
        "labels": json.dumps({LABEL: label}),
    }
    lines: list[str] = []
    return Engine(client).build(label, io.BytesIO(context), options, Progress(lines.append), TIMEOUT)
