"""Settings: the only reader of the environment. `docs/config.md` is generated from this file."""

from __future__ import annotations

import os
from ipaddress import IPv4Network
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """One installation's settings, from `PAAS_...` variables."""

    model_config = SettingsConfigDict(env_prefix="PAAS_", frozen=True)

    home: Path = Field(Path("/var/lib/paas"), description="State: database, repositories, logs, keys, proxy files.")
    domain: str = Field("localhost", description="Apps live at APP.DOMAIN.")
    ssh_port: int = Field(2222, description="Port of the SSH door (git and commands).")
    http_port: int = Field(8080, description="Port of the proxy for HTTP.")
    https_port: int = Field(8443, description="Port of the proxy for HTTPS; kept for it, nothing listens there yet.")
    api_port: int = Field(0, description="Loopback port of the API behind the proxy; 0: HTTP port + 10000.")
    bind: str = Field("0.0.0.0", description="Address the SSH door and the proxy listen on.")
    database_url: str = Field("", description="SQLAlchemy URL; empty: SQLite in PAAS_HOME.")
    subnets: IPv4Network = Field(IPv4Network("10.213.0.0/16"), description="Addresses for apps; each app gets a /26.")
    docker_host: str = Field("unix:///var/run/docker.sock", description="The Docker engine.")
    git_user: str = Field("paas-git", description="Unprivileged system user that owns the repositories.")
    stack: str = Field("bookworm", description="Debian suite of the base image.")
    create_on_push: bool = Field(True, description="Whether the first push creates the app.")
    start_timeout: float = Field(60, description="Seconds an instance has to become healthy.")
    stop_grace: int = Field(30, description="Seconds between SIGTERM and SIGKILL.")
    watch: float = Field(120, description="Seconds a new release is compared with the one before; 0: not at all.")
    drain_timeout: float = Field(30, description="Seconds an old instance may finish its requests.")
    lease: float = Field(15, description="Seconds after which a job whose server gives no sign of life is taken over.")
    queue_limit: int = Field(100, description="Jobs one user may have waiting.")
    build_timeout: float = Field(900, description="Seconds a build may take.")
    release_timeout: float = Field(3600, description="Seconds a release command may take.")
    builds: int = Field(os.cpu_count() or 2, description="Builds at once on this machine.")
    build_memory: int = Field(2 << 30, description="Bytes of memory for all builds together.")
    build_pids: int = Field(1024, description="Processes for all builds together.")
    build_cpus: float = Field(float(os.cpu_count() or 2), description="CPUs for all builds together.")
    memory: int = Field(512 << 20, description="Bytes of memory of an instance.")
    cpus: float = Field(1.0, description="CPUs of an instance.")
    pids: int = Field(512, description="Processes of an instance.")
    pack_limit: int = Field(500 << 20, description="Bytes of one pushed pack.")
    blob_limit: int = Field(100 << 20, description="Bytes of one file in a push.")
    tree_limit: int = Field(2 << 30, description="Bytes of a pushed tree when unpacked.")
    tree_files: int = Field(200_000, description="Files of a pushed tree.")
    log_limit: int = Field(50 << 20, description="Bytes kept of what an app's instances write; the newest stay.")
    kept_releases: int = Field(10, ge=1, description="Releases of an app whose image is kept for a rollback.")
    kept_builds: int = Field(20, ge=1, description="Builds of an app whose log is kept.")
    kept_log_days: int = Field(30, ge=1, description="Days the log of a build or another job is kept at most.")
    build_cache: int = Field(10 << 30, ge=0, description="Bytes of the engine's build cache our own steps may take.")
    disk_reserve: int = Field(1 << 30, description="Bytes of free disk a push must leave.")

    fail_points: Path | None = Field(None, description="Folder that arms fail-points; for tests only.")

    @field_validator("api_port")
    @classmethod
    def chosen_api_port(cls, port: int, info: object) -> int:
        return port or getattr(info, "data", {}).get("http_port", 8080) + 10000

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.home}/paas.db"

    @property
    def server(self) -> str:
        """This server's name among those on the same state: no two can have the same SSH port."""
        return str(self.ssh_port)

    @property
    def shared(self) -> bool:
        """Whether another server may work on the same database."""
        return not self.database.startswith("sqlite")

    @property
    def installation(self) -> str:
        """The name that labels every outside object of this installation."""
        return (self.home / "installation").read_text().strip()

    def document(self) -> str:
        """`docs/config.md`, as text."""
        rows = [
            f"| `PAAS_{name.upper()}` | {shown(name, field.default)} | {field.description} |"
            for name, field in type(self).model_fields.items()
        ]
        head = "# Settings\n\nRead from the environment; generated by `script/check --write`.\n\n"
        return head + "| variable | default | meaning |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"


def shown(name: str, default: object) -> str:
    if name in {"builds", "build_cpus"}:
        return "cores"
    return f"`{default}`" if default != "" else "(empty)"


def proxy_environment() -> dict[str, str]:
    """The company proxy's variables, for builds only."""
    names = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    return {name: os.environ[name] for name in names if name in os.environ}
