"""Keys and tokens, on a real SQLite."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from control import accounts
from control.context import Context
from core.errors import Conflict, Invalid, NotFound
from tests.factories import context, user


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return context(tmp_path)


def make_key(folder: Path, kind: str = "ed25519", name: str = "key") -> tuple[str, str]:
    """(public key line, fingerprint as ssh-keygen prints it)."""
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path)], check=True)
    told = subprocess.run(["ssh-keygen", "-l", "-f", str(path)], check=True, capture_output=True, text=True)
    return path.with_suffix(".pub").read_text(), told.stdout.split()[1]


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_a_key_identifies_its_user_by_the_fingerprint_ssh_prints(ctx: Context, tmp_path: Path, kind: str) -> None:
    line, fingerprint = make_key(tmp_path, kind)
    ada = user(ctx)
    assert accounts.add_key(ctx, ada, "laptop", line).fingerprint == fingerprint
    assert accounts.identify_key(ctx, fingerprint) == ada
    assert accounts.identify_key(ctx, "SHA256:nobody") is None


def test_a_key_signs_in_one_user_only(ctx: Context, tmp_path: Path) -> None:
    line, _ = make_key(tmp_path)
    accounts.add_key(ctx, user(ctx), "laptop", line)
    with pytest.raises(Conflict):
        accounts.add_key(ctx, user(ctx, "bob"), "stolen", line)


def test_the_last_key_stays(ctx: Context, tmp_path: Path) -> None:
    ada = user(ctx)
    accounts.add_key(ctx, ada, "one", make_key(tmp_path)[0])
    with pytest.raises(Conflict, match="only key"):
        accounts.remove_key(ctx, ada, "one")
    accounts.add_key(ctx, ada, "two", make_key(tmp_path, name="second")[0])
    accounts.remove_key(ctx, ada, "one")
    assert [key.name for key in accounts.keys(ctx, ada)] == ["two"]
    with pytest.raises(NotFound):
        accounts.remove_key(ctx, ada, "one")


ODD = [
    "",
    "ssh-ed25519",
    "ssh-ed25519 !!!",
    "ssh-dss AAAA",
    "ssh-ed25519 AAAA",
    'command="sh" ssh-ed25519 AAAA',
    "a b c",
]


@pytest.mark.parametrize("line", [*ODD, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5\nssh-rsa AAAA"])
def test_what_is_no_key_is_refused(ctx: Context, line: str) -> None:
    with pytest.raises(Invalid):
        accounts.add_key(ctx, user(ctx), "odd", line)


def test_a_token_works_until_it_expires_or_is_revoked(ctx: Context) -> None:
    ada = user(ctx)
    secret = accounts.create_token(ctx, ada, "ci", 1).secret
    assert accounts.identify_token(ctx, secret) == ada
    assert accounts.identify_token(ctx, secret + "x") is None
    assert [token.secret for token in accounts.tokens(ctx, ada)] == [""]
    accounts.revoke_token(ctx, ada, "ci")
    assert accounts.identify_token(ctx, secret) is None
    stale = accounts.create_token(ctx, ada, "old", 0).secret
    assert accounts.identify_token(ctx, stale) is None


def test_no_token_lies_in_the_database(ctx: Context) -> None:
    secret = accounts.create_token(ctx, user(ctx), "ci").secret
    assert all(secret.encode() not in path.read_bytes() for path in ctx.settings.home.glob("paas.db*"))
