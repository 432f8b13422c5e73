"""Puts the house together: which adapter is behind each seam."""

from __future__ import annotations

import shutil

import structlog

from builder import stack
from builder.cgroup import BuildLimits
from builder.docker import DockerImages
from control.context import Context
from control.journal import Journal
from core.config import Settings, proxy_environment
from core.errors import PlatformError
from core.failpoints import FailPoints
from core.sealing import master_key
from core.version import VERSION
from models import Database
from router.haproxy import HAProxy
from runtime.docker import DockerRuntime
from runtime.observe import DockerObserver

log = structlog.get_logger()


def proxy(settings: Settings) -> HAProxy:
    """The shared reverse proxy of this installation."""
    return HAProxy(
        settings.home / "proxy",
        bind=settings.bind,
        http_port=settings.http_port,
        api=f"127.0.0.1:{settings.api_port}",
        domain=settings.domain,
        fail=FailPoints(settings.fail_points),
    )


def recover(ctx: Context) -> None:
    """What this server left half done when it died and no row speaks of: unpacked sources, one-offs, a change of the
    proxy."""
    shutil.rmtree(ctx.scratch, ignore_errors=True)
    ctx.scratch.mkdir(mode=0o700)
    runtime(ctx.settings).sweep()
    try:
        proxy(ctx.settings).attach()
    except PlatformError as error:  # when it is away, its supervisor starts it from its files
        log.warning("proxy.away", error=str(error))


def runtime(settings: Settings) -> DockerRuntime:
    """The engine, as this server uses it."""
    return DockerRuntime(
        settings.docker_host,
        settings.installation,
        settings.subnets,
        server=settings.server,
        fail=FailPoints(settings.fail_points),
    )


def context(settings: Settings) -> Context:
    """Everything the verbs need, on the real adapters."""
    home, installation = settings.home, settings.installation
    for folder in ("logs/jobs", "logs/apps", f"tmp/{settings.server}"):
        (home / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    found = stack.ensure(settings.docker_host, installation, settings.stack, print)
    limits = BuildLimits(memory=settings.build_memory, pids=settings.build_pids, cpus=settings.build_cpus)
    engine = runtime(settings)
    return Context(
        settings=settings,
        db=Database(settings.database),
        images=DockerImages(
            settings.docker_host,
            installation,
            settings.stack,
            limits=limits,
            timeout=settings.build_timeout,
            proxy=proxy_environment(),
        ),
        runtime=engine,
        observer=DockerObserver(settings.docker_host, installation),
        proxy=proxy(settings),
        master_key=master_key(home / "keys" / "master"),
        base=f"{VERSION} {found.run} {found.build}",
        journal=Journal(home / "logs" / "jobs"),
        fail=FailPoints(settings.fail_points),
        guard=engine.firewall.assert_rules,
        server=settings.server,
    )
