"""The state folder: who may enter what, the identity of the installation, keys, remembered settings."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from core.config import Settings
from core.errors import Invalid, Unavailable
from core.sealing import master_key
from server.supervise import call, write

FOLDERS = {
    "": 0o711,
    "keys": 0o700,
    "log": 0o700,
    "proxy": 0o711,
    "repos": 0o711,
    "run": 0o711,
    "service": 0o700,
    "ssh": 0o711,
    "tmp": 0o700,
}
"""The git user only passes through; what belongs to it is made by who needs it."""

OURS = ("repos",)
"""Folders of the git user."""

REMEMBERED = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)
"""Besides PAAS_..., what the server and builds need behind a company proxy."""


@dataclass(frozen=True)
class Caller:
    """Who called script/up: the first administrator."""

    name: str
    home: Path
    uid: int
    gid: int


def caller() -> Caller:
    """The person behind sudo, or root."""
    name = os.environ.get("SUDO_USER") or pwd.getpwuid(os.geteuid()).pw_name
    person = pwd.getpwnam(name)
    home = Path(os.environ.get("HOME", person.pw_dir)) if person.pw_uid == os.geteuid() else Path(person.pw_dir)
    return Caller(name, home, person.pw_uid, person.pw_gid)


def prepare(settings: Settings) -> None:
    """Make the git user, the folders and the keys that are not there yet."""
    try:
        git = pwd.getpwnam(settings.git_user)
    except KeyError:
        call("useradd", "--system", "--no-create-home", "--home-dir=/", "--shell=/usr/sbin/nologin", settings.git_user)
        git = pwd.getpwnam(settings.git_user)
    home = settings.home
    # What we write from here on is nobody else's to read, the database above all, unless its mode says so.
    os.umask(0o077)
    for name, mode in FOLDERS.items():
        folder = home / name
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(mode)
        if name in OURS:
            os.chown(folder, git.pw_uid, git.pw_gid)
    reachable(home, settings.git_user)
    if not (home / "installation").exists():
        write(home / "installation", secrets.token_hex(4) + "\n")
    master_key(home / "keys" / "master")
    host_key(home)


def reachable(home: Path, user: str) -> None:
    """Invalid when a folder above `home` keeps the git user out."""
    closed = next((folder for folder in home.parents if not folder.stat().st_mode & 0o001), None)
    if closed:
        raise Invalid(
            f"the user {user} cannot reach {home}: {closed} is closed to others",
            f"Set PAAS_HOME to a folder elsewhere, or: chmod o+x {closed}",
        )


def host_key(home: Path) -> None:
    """The key the SSH door proves itself with."""
    path = home / "keys" / "ssh_host_ed25519"
    if not path.exists():
        call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "paas", "-f", str(path))


def remember(home: Path, environment: Mapping[str, str]) -> bool:
    """Write the variables the supervised programs get; whether they differ from before."""
    kept = {"PAAS_HOME": str(home)}
    for name, value in environment.items():
        if name not in REMEMBERED and not name.startswith("PAAS_"):
            continue
        if "'" in value or not value.isprintable():
            raise Invalid(f"{name} must not contain quotes or line breaks")
        kept[name] = value
    text = "".join(f"{name}='{value}'\n" for name, value in sorted(kept.items()))
    return write(home / "env", text, 0o600)


def administrator_keys(settings: Settings, person: Caller) -> list[str]:
    """Public keys of the caller; one is made in the state folder when there is none."""
    files = sorted({*(person.home / ".ssh").glob("*.pub"), *(Path.home() / ".ssh").glob("*.pub")})
    found = [file.read_text().strip() for file in files]
    if os.environ.get("SSH_AUTH_SOCK") and shutil.which("ssh-add"):
        found += agent_keys()
    found = [key for key in dict.fromkeys(found) if key.startswith(("ssh-", "ecdsa-", "sk-")) and "-cert-" not in key]
    return found or [made_key(settings.home, person)]


def agent_keys() -> list[str]:
    try:
        return call("ssh-add", "-L").splitlines()
    except Unavailable:
        return []


def made_key(home: Path, person: Caller) -> str:
    path = home / "ssh" / "id_ed25519"
    if not path.exists():
        call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{person.name}@paas", "-f", str(path))
        os.chown(path, person.uid, person.gid)
    return path.with_suffix(".pub").read_text().strip()


def write_ssh_config(settings: Settings) -> None:
    """`Host paas` for people's SSH client, and the host key it must see."""
    home = settings.home
    kind, blob = (home / "keys" / "ssh_host_ed25519.pub").read_text().split()[:2]
    write(home / "known_hosts", f"[127.0.0.1]:{settings.ssh_port} {kind} {blob}\n")
    lines = [
        "Host paas",
        "    HostName 127.0.0.1",
        f"    Port {settings.ssh_port}",
        "    User paas",
        f"    UserKnownHostsFile {home}/known_hosts",
        "    StrictHostKeyChecking yes",
        "    ForwardAgent no",
    ]
    if (home / "ssh" / "id_ed25519").exists():
        lines += [f"    IdentityFile {home}/ssh/id_ed25519", "    IdentitiesOnly yes"]
    write(home / "ssh_config", "\n".join(lines) + "\n")
