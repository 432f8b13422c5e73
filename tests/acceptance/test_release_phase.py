"""What a repository asks for around a release: config vars, scripts, health checks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.installation import Installation
from tests.repository import Repository, python_app
from tests.waiting import until

pytestmark = pytest.mark.real

PROCFILE = "web: python app.py\n"
HANGING = """
import os
import signal
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    hangs = False

    def do_GET(self):
        Handler.hangs = Handler.hangs or self.path == "/hang"
        while Handler.hangs and self.path != "/hang":
            time.sleep(1)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.uname().nodename.encode())


signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


def refused(repository: Repository, *words: str) -> None:
    """Push; it must be rejected for the reason given, and the branch must stand where it stood."""
    tip = repository.remote_tip()
    done = repository.push(check=False)
    assert done.returncode == 1, done.stderr
    for word in words:
        assert word in done.stderr, done.stderr
    assert repository.remote_tip() == tip


def test_a_release_command_that_fails_leaves_the_old_release_untouched(
    installation: Installation, tmp_path: Path
) -> None:
    app = "phase-fails"
    repository = Repository(installation, tmp_path / "work", app)
    repository.commit(python_app("one", Procfile=PROCFILE))
    repository.push()
    before = installation.ssh("ps", app).stdout
    migrate = "release: echo migrating $GREETINGS; exit 3\n"
    repository.commit(python_app("two", Procfile=PROCFILE + migrate))
    reason = "the release command exited with code 3"
    refused(repository, "migrating", reason, f"! [remote rejected] main -> main ({reason})")
    assert installation.curl(app) == (200, "one\n")
    assert installation.ssh("ps", app).stdout.split()[:6] == before.split()[:6]
    assert "migrating" in installation.ssh("releases:output", app, "v2").stdout
    predeploy = json.dumps({"scripts": {"dokku": {"predeploy": "exit 4"}}})
    repository.commit(python_app("two", **{"Procfile": PROCFILE, "app.json": predeploy}))
    refused(repository, "the predeploy script exited with code 4")
    assert installation.curl(app) == (200, "one\n")
    installation.ssh("apps:destroy", app, "--force")


def test_a_push_that_lacks_config_vars_is_refused_with_their_names_until_they_are_set(
    installation: Installation, tmp_path: Path
) -> None:
    app = "phase-asks"
    repository = Repository(installation, tmp_path / "work", app)
    asks = json.dumps({"env": {"API_TOKEN": {"description": "from the bank"}}})
    repository.commit(python_app("one", **{"Procfile": PROCFILE, "app.json": asks, ".env.example": "GREETING=\n"}))
    plan = repository.push("-o", "plan", "main", check=False).stderr
    assert "Missing config vars: API_TOKEN (asked for in app.json)" in plan
    refused(repository, "main (config vars are missing: API_TOKEN, GREETING)", "from the bank", f"config:set {app}")
    installation.ssh("config:set", app, "API_TOKEN=t", "GREETING=hello")
    repository.push()
    assert installation.curl(app) == (200, "hello\n")
    installation.ssh("apps:destroy", app, "--force")


def test_a_generated_secret_is_set_once_and_shown_in_no_log(installation: Installation, tmp_path: Path) -> None:
    app = "phase-secret"
    repository = Repository(installation, tmp_path / "work", app)
    document = {
        "env": {"GREETING": {"generator": "secret"}},
        "scripts": {"dokku": {"predeploy": "echo the secret is $GREETING"}},
    }
    repository.commit(python_app("one", **{"Procfile": PROCFILE, "app.json": json.dumps(document)}))
    said = repository.push().stderr
    secret = installation.ssh("config:get", app, "GREETING").stdout.strip()
    assert len(secret) == 64 and installation.curl(app) == (200, f"{secret}\n")
    assert "Setting config vars: GREETING (from app.json)" in said and "the secret is [redacted]" in said
    repository.commit(python_app("two", **{"Procfile": PROCFILE}))
    said += repository.push().stderr
    assert installation.ssh("config:get", app, "GREETING").stdout.strip() == secret
    assert secret not in said + installation.ssh("builds:output", app, "1").stdout
    files = [path for path in installation.home.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files and not [path for path in files if secret.encode() in path.read_bytes()]
    installation.ssh("apps:destroy", app, "--force")


def test_postdeploy_runs_once_for_heroku_and_a_failure_of_dokkus_undoes_nothing(
    installation: Installation, tmp_path: Path
) -> None:
    app = "phase-after"
    repository = Repository(installation, tmp_path / "work", app)
    scripts = {"postdeploy": "echo seeded by $PAAS_APP", "dokku": {"postdeploy": "echo warming; exit 7"}}
    files = {"Procfile": PROCFILE, "app.json": json.dumps({"scripts": scripts, "formation": {"web": {"quantity": 2}}})}
    repository.commit(python_app("one", **files))
    first = repository.push().stderr
    repository.commit(python_app("two", **files))
    second = repository.push().stderr
    assert f"seeded by {app}" in first and "seeded" not in second
    for said, number in ((first, 1), (second, 2)):
        assert (
            "warming" in said and f" !     postdeploy failed with exit code 7; v{number} is live all the same" in said
        )
        assert "[remote rejected]" not in said
    assert installation.curl(app) == (200, "two\n")
    assert "web.2" in installation.ssh("ps", app).stdout
    installation.ssh("apps:destroy", app, "--force")


def test_an_instance_that_hangs_is_replaced_where_app_json_has_a_liveness_check(
    installation: Installation, tmp_path: Path
) -> None:
    app = "phase-hangs"
    repository = Repository(installation, tmp_path / "work", app)
    checks = [
        {"type": "readiness", "path": "/ready"},
        {"type": "liveness", "path": "/live", "attempts": 2, "wait": 1, "timeout": 1},
    ]
    document = json.dumps({"healthchecks": {"web": checks}})
    repository.commit({"app.py": HANGING, "Procfile": PROCFILE, "requirements.txt": "", "app.json": document})
    assert "(GET /ready 200)" in repository.push().stderr
    _, before = installation.curl(app)
    installation.curl(app, "/hang")

    def replaced() -> bool:
        status, after = installation.curl(app, "/", "--max-time", "1")
        return status == 200 and after != before

    until(replaced, 30)
    assert "web.1" in installation.ssh("ps", app).stdout
    installation.ssh("apps:destroy", app, "--force")
