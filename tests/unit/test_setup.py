"""What script/up decides before and around the real work; the rest is in tests/acceptance/test_setup.py."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from core.config import Settings
from core.errors import Invalid
from router.haproxy import HAProxy
from server import setup_checks, setup_home
from server.setup_checks import effective, home_problems, port_problems
from server.supervise import UNIT, Program, Systemd, quoted

ROOT = Path(__file__).resolve().parents[2]


def chosen(**settings: object) -> dict[str, str]:
    return {**setup_checks.DEFAULTS, **{f"PAAS_{name.upper()}": str(value) for name, value in settings.items()}}


def test_the_checks_know_the_same_defaults_as_the_settings() -> None:
    fields = {f"PAAS_{name.upper()}": str(field.default) for name, field in Settings.model_fields.items()}
    assert {name: fields[name] for name in setup_checks.DEFAULTS} == setup_checks.DEFAULTS


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        lines = list(port_problems(chosen(bind="127.0.0.1", http_port=port, ssh_port=free(), api_port=free())))
    assert len(lines) == 1
    assert lines[0].startswith(f"port {port} is taken by ")
    assert f"(pid {os.getpid()})" in lines[0]
    assert lines[0].endswith("Set PAAS_HTTP_PORT to a free one.")


def test_a_port_our_own_installation_holds_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_checks, "environment_of", lambda pid: ["PAAS_HOME=/srv/paas"])
    with socket.create_server(("127.0.0.1", 0)) as ours:
        settings = chosen(
            home="/srv/paas", bind="127.0.0.1", http_port=ours.getsockname()[1], ssh_port=free(), api_port=free()
        )
        assert not list(port_problems(settings))


def test_ports_that_cannot_work_are_named() -> None:
    assert list(port_problems(chosen(http_port="web", ssh_port=free(), api_port=free()))) == [
        "PAAS_HTTP_PORT is not a port. Set it to a number between 1 and 65535."
    ]
    port = free()
    lines = list(port_problems(chosen(bind="127.0.0.1", http_port=port, ssh_port=port, api_port=free())))
    assert lines == [f"PAAS_HTTP_PORT and PAAS_SSH_PORT are both {port}. Set one of them to another port."]


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def test_a_folder_with_other_things_in_it_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    (line,) = home_problems(tmp_path)
    assert "has other things in it" in line


def test_a_path_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    (line,) = home_problems(Path("/" + "a" * 90))
    assert "80 characters" in line


def test_settings_are_remembered_and_the_environment_overrules_them(tmp_path: Path) -> None:
    environment = {
        "PAAS_DOMAIN": "example.com",
        "PAAS_HTTP_PORT": "80",
        "https_proxy": "http://proxy:3128",
        "SHELL": "sh",
    }
    assert setup_home.remember(tmp_path, environment)
    assert not setup_home.remember(tmp_path, environment), "the same again changed something"
    assert (tmp_path / "env").stat().st_mode & 0o777 == 0o600
    settings = effective({"PAAS_HOME": str(tmp_path), "PAAS_HTTP_PORT": "81"})
    assert (settings["PAAS_DOMAIN"], settings["PAAS_HTTP_PORT"]) == ("example.com", "81")
    assert settings["https_proxy"] == "http://proxy:3128"
    assert "SHELL" not in settings


def test_a_value_that_would_break_out_of_its_quotes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        setup_home.remember(tmp_path, {"PAAS_DOMAIN": "x'; reboot; '"})


def test_a_unit_file_names_the_installation_and_comes_back_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.supervise.UNITS", tmp_path)
    systemd = Systemd("paas-1a2b3c4d", Path("/var/lib/paas/env"), Path("/opt/paas"))
    assert systemd.write(Program("server", ("/opt/paas/.venv/bin/python", "-m", "server.main"), "1"))
    text = (tmp_path / "paas-1a2b3c4d-server.service").read_text()
    assert 'ExecStart="/opt/paas/.venv/bin/python" "-m" "server.main"' in text
    assert "EnvironmentFile=/var/lib/paas/env\n" in text, "systemd ignores a quoted path"
    assert "Restart=always" in text
    assert "WantedBy=multi-user.target" in text
    assert not systemd.write(Program("server", ("/opt/paas/.venv/bin/python", "-m", "server.main"), "1"))
    assert UNIT.count("[") == 3


def test_words_for_systemd_keep_their_special_characters() -> None:
    assert quoted('a "b" $c 100%') == '"a \\"b\\" $$c 100%%"'


def test_the_compose_file_runs_the_proxy_as_set_up_does(tmp_path: Path) -> None:
    proxy = HAProxy(tmp_path, bind="0.0.0.0", http_port=8080, api="127.0.0.1:18080", domain="localhost")
    program, _, folder, *rest = proxy.command()
    assert (Path(program).name, folder) == ("haproxy", str(tmp_path))
    written = ", ".join(f'"{word}"' for word in ["haproxy", "-C", "${PAAS_HOME:-/var/lib/paas}/proxy", *rest])
    assert f"command: [{written}]" in (ROOT / "docker-compose.yaml").read_text()
