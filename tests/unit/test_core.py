"""Words every package shares."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import names
from core.amounts import bytes_of, spoken
from core.config import Settings
from core.errors import Invalid, PlatformError, Unavailable, tree
from core.failpoints import POINTS, FailPoints
from core.sealing import master_key, new_key, seal, unseal
from core.states import BuildState, DeploymentState, JobState, allowed


@pytest.mark.parametrize("name", ["ab", "hello", "a1", "my-app", "a" + "b" * 39])
def test_good_app_names_are_taken(name: str) -> None:
    assert names.app(name) == name


@pytest.mark.parametrize(
    "name", ["", "a", "A", "1a", "a-", "-a", "a_b", "a.b", "a" * 41, "www", "api", "a\n", "ä", "../x"]
)
def test_bad_app_names_are_refused(name: str) -> None:
    with pytest.raises(Invalid):
        names.app(name)


@pytest.mark.parametrize("host", ["www.example.com", "a.b", "xn--bcher-kva.example", "1.example"])
def test_good_hosts_are_taken(host: str) -> None:
    assert names.host(host) == host


def test_hosts_are_lowered_and_encoded() -> None:
    assert names.host("WWW.Example.COM.") == "www.example.com"
    assert names.host("bücher.example") == "xn--bcher-kva.example"


HOSTILE = [
    "localhost",
    "a..b",
    "-a.b",
    "a-.b",
    "a b.c",
    "a.b:80",
    "*.a.b",
    "a.b/x",
    "1.2.3.4",
    "a\n.b",
    "a.b\r\nc",
    "." * 300,
]


@pytest.mark.parametrize("host", [*HOSTILE, "x" * 64 + ".example", ".".join(["abcdefgh"] * 40)])
def test_hostile_hosts_are_refused(host: str) -> None:
    with pytest.raises(Invalid):
        names.host(host)


@pytest.mark.parametrize("branch", ["", "-x", "a..b", "a//b", "x.lock", "x/", "a b", "a~1", "refs:x"])
def test_hostile_branches_are_refused(branch: str) -> None:
    with pytest.raises(Invalid):
        names.branch(branch)


def test_a_sealed_value_opens_only_at_its_own_place() -> None:
    key = new_key()
    sealed = seal(key, b"secret", "app1", "NAME", 1)
    assert b"secret" not in sealed
    assert unseal(key, sealed, "app1", "NAME", 1) == b"secret"
    for place in (("app2", "NAME", 1), ("app1", "OTHER", 1), ("app1", "NAME", 2)):
        with pytest.raises(Unavailable):
            unseal(key, sealed, *place)
    with pytest.raises(Unavailable):
        unseal(new_key(), sealed, "app1", "NAME", 1)


def test_the_master_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    key = master_key(tmp_path / "master")
    assert master_key(tmp_path / "master") == key and len(key) == 32
    assert (tmp_path / "master").stat().st_mode & 0o777 == 0o600
    (tmp_path / "master").write_bytes(b"short")
    with pytest.raises(Unavailable, match="damaged"):
        master_key(tmp_path / "master")


def test_arrows_lead_where_the_house_says() -> None:
    assert allowed(BuildState.PENDING, BuildState.RUNNING)
    assert allowed(DeploymentState.DEPLOYING, DeploymentState.RUNNING)
    assert allowed(JobState.RUNNING, JobState.PENDING)
    assert not allowed(DeploymentState.RUNNING, DeploymentState.DEPLOYING)
    assert not allowed(BuildState.SUCCEEDED, BuildState.RUNNING)
    assert not allowed(BuildState.PENDING, JobState.RUNNING)


def test_exit_codes_and_codes_are_distinct() -> None:
    kinds = [kind for kind in tree() if kind is not PlatformError]
    assert len({kind.code for kind in kinds}) == len({kind.exit_code for kind in kinds}) == len(kinds)


def test_a_fail_point_acts_once_and_only_when_armed(tmp_path: Path) -> None:
    points = FailPoints(tmp_path)
    for point in POINTS:
        points(point)
    (tmp_path / "job.claimed").write_text("enospc")
    with pytest.raises(OSError, match="No space"):
        points("job.claimed")
    points("job.claimed")


def test_settings_say_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAAS_HTTP_PORT", "9090")
    settings = Settings()
    assert (settings.http_port, settings.api_port) == (9090, 19090)
    assert settings.database == "sqlite:////var/lib/paas/paas.db"
    assert "`PAAS_HTTP_PORT` | `8080`" in settings.document()


@pytest.mark.parametrize(
    ("text", "size"),
    [("512m", 512 << 20), ("1g", 1 << 30), ("256MB", 256 << 20), ("1.5 GiB", 3 << 29), ("64K", 65536), ("4096", 4096)],
)
def test_amounts_of_memory_are_read_as_people_write_them(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "lots", "-1m", "1mm", "1e9", "nan", "1.m", "m", "1 m g"])
def test_what_is_no_amount_of_memory_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="not an amount"):
        bytes_of(text)


def test_amounts_are_spoken_in_their_largest_unit() -> None:
    sizes = [1 << 30, 3 << 29, 512 << 20, 6 << 20, 1 << 10, 17, 1 << 40]
    assert [spoken(size) for size in sizes] == ["1 GB", "1.5 GB", "512 MB", "6 MB", "1 KB", "17 bytes", "1 TB"]
