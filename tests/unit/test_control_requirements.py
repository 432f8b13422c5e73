"""app.json's config vars, formation and health checks, and .env.example, in pushes on the memory adapters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from control import builds, configvars, processes, push, releases
from control.context import Context
from control.values import User
from tests.factories import APP, Remote, context, drain, job, user


@pytest.fixture
def ctx(tmp_path: Path) -> Context:
    return context(tmp_path)


@pytest.fixture
def ada(ctx: Context) -> User:
    return user(ctx)


@pytest.fixture
def remote(ctx: Context, ada: User) -> Remote:
    return Remote(ctx, ada)


def asking(**document: Any) -> dict[str, str]:
    """The sample application with this app.json."""
    return {**APP, "app.json": json.dumps(document)}


def said(ctx: Context, job_id: int) -> str:
    return "\n".join(ctx.journal.read(job_id)[0])


def counts(ctx: Context, ada: User) -> dict[str, int]:
    return {one.type: one.wanted for one in processes.list_processes(ctx, ada, "hello")}


SECRET = {"SECRET_KEY": {"generator": "secret"}, "COLOUR": "dark blue"}


def test_values_and_secrets_of_app_json_become_config_vars_once(ctx: Context, ada: User, remote: Remote) -> None:
    first, _ = remote.push(asking(env=SECRET))
    assert first is not None
    config = configvars.show(ctx, ada, "hello")
    assert config["COLOUR"] == "dark blue" and len(config["SECRET_KEY"]) == 64
    (instance,) = ctx.runtime.instances()
    assert config.items() <= ctx.runtime.records[instance.id].env.items()  # type: ignore[attr-defined]
    assert "-----> Setting config vars: COLOUR, SECRET_KEY (from app.json)" in said(ctx, first.id)
    assert config["SECRET_KEY"] not in said(ctx, first.id)
    configvars.change(ctx, ada, "hello", {"COLOUR": "red"}, restart=False)
    second, _ = remote.push({**asking(env=SECRET), "app.py": "2"})
    assert second is not None and "Setting config vars" not in said(ctx, second.id)
    assert configvars.show(ctx, ada, "hello") == {**config, "COLOUR": "red"}


def test_the_same_push_after_config_vars_were_set_by_app_json_changes_nothing(
    ctx: Context, ada: User, remote: Remote
) -> None:
    reading = {"package.json": '{"scripts": {"build": "true", "start": "node server.js"}}', "server.js": ""}
    files = {**reading, "app.json": json.dumps({"env": SECRET})}
    assert remote.push(files)[1] == {}
    done, _ = remote.push(files)
    assert done is not None and "Nothing has changed: v1 serves this" in said(ctx, done.id)


def test_a_push_that_lacks_config_vars_is_refused_with_their_names_and_sets_nothing(
    ctx: Context, ada: User, remote: Remote
) -> None:
    files = {**asking(env={**SECRET, "API_TOKEN": {"description": "from the bank"}}), ".env.example": "DATABASE_URL=\n"}
    refused, rejected = remote.push(files)
    assert refused is not None
    assert rejected == {"refs/heads/main": "config vars are missing: API_TOKEN, DATABASE_URL"}
    assert "API_TOKEN is asked for in app.json: from the bank" in said(ctx, refused.id)
    assert configvars.show(ctx, ada, "hello") == {} and ctx.images.requests == []  # type: ignore[attr-defined]
    assert (builds.info(ctx, ada, "hello").state, remote.tip()) == ("failed", None)
    configvars.change(ctx, ada, "hello", {"API_TOKEN": "t", "DATABASE_URL": "u"})
    assert remote.push(files)[1] == {}


def test_an_earlier_image_serves_again_only_when_its_config_vars_are_still_set(
    ctx: Context, ada: User, remote: Remote
) -> None:
    asks = asking(env={"API_TOKEN": {}})
    remote.push(APP)
    configvars.change(ctx, ada, "hello", {"API_TOKEN": "t"}, restart=False)
    remote.push(asks)
    remote.push(APP)
    configvars.change(ctx, ada, "hello", {"API_TOKEN": None}, restart=False)
    assert remote.push(asks)[1] == {"refs/heads/main": "config vars are missing: API_TOKEN"}
    configvars.change(ctx, ada, "hello", {"API_TOKEN": "t"}, restart=False)
    done, _ = remote.push(asks)
    assert done is not None and "its image is used" in said(ctx, done.id)


def test_releases_keep_what_app_json_asked_for(ctx: Context, ada: User, remote: Remote) -> None:
    remote.push(asking(formation={"web": {"quantity": 2}}))
    configvars.change(ctx, ada, "hello", {"A": "1"})
    drain(ctx)
    remote.push({**APP, "app.py": "3"})
    releases.roll_back(ctx, ada, "hello", 1)
    drain(ctx)
    with ctx.db.begin() as session:
        rows = session.query(releases.Release).order_by(releases.Release.number)
        kept = [one.manifest["formation"] for one in rows if one.manifest]
    assert kept == [{"web": 2}, {"web": 2}, {}, {"web": 2}]


def test_the_formation_of_app_json_counts_on_the_first_deploy_only(ctx: Context, ada: User, remote: Remote) -> None:
    done, _ = remote.push(asking(formation={"web": {"quantity": 3}, "no": {"quantity": 1}}))
    assert done is not None and "-----> Starting web (3)" in said(ctx, done.id)
    assert counts(ctx, ada) == {"web": 3, "worker": 0}
    processes.scale(ctx, ada, "hello", {"web": 2})
    drain(ctx)
    remote.push({**asking(formation={"web": {"quantity": 4}, "worker": {"quantity": 4}}), "app.py": "2"})
    assert counts(ctx, ada) == {"web": 2, "worker": 0}


def test_a_first_deploy_that_failed_leaves_no_formation_behind(ctx: Context, ada: User, remote: Remote) -> None:
    release = {"Procfile": "web: python app.py\nworker: python work.py\nrelease: exit 3\n"}
    assert remote.push({**asking(formation={"worker": {"quantity": 3}}), **release})[1]
    remote.push(APP)
    assert counts(ctx, ada) == {"web": 1, "worker": 0}


def test_startup_and_readiness_checks_of_app_json_are_asked_in_order(ctx: Context, ada: User, remote: Remote) -> None:
    web = [
        {"type": "startup", "path": "/started", "attempts": 1, "wait": 0, "timeout": 1},
        {"type": "readiness", "path": "/ready", "attempts": 1, "wait": 0, "timeout": 1, "content": "well"},
        {"type": "liveness", "path": "/live"},
    ]
    done, rejected = remote.push(asking(healthchecks={"web": web}))
    assert done is not None and not rejected
    assert "(GET /started 200, GET /ready 200)" in said(ctx, done.id) and "/live 200" not in said(ctx, done.id)
    web[1]["content"] = "something else"
    refused, rejected = remote.push({**asking(healthchecks={"web": web}), "app.py": "2"})
    assert list(rejected) == ["refs/heads/main"]
    assert refused is not None and "GET /ready answered 200 without 'something else'" in said(ctx, refused.id)


def test_a_check_of_a_process_without_a_port_is_passed_over(ctx: Context, ada: User, remote: Remote) -> None:
    checks = {"worker": [{"type": "startup", "path": "/"}]}
    done, rejected = remote.push(asking(healthchecks=checks, formation={"worker": {"quantity": 1}}))
    assert done is not None and not rejected
    assert "worker.1 started" in said(ctx, done.id)


def test_the_plan_says_what_is_missing_and_what_would_be_set_and_run(ctx: Context, ada: User, remote: Remote) -> None:
    document = {
        "env": {**SECRET, "API_TOKEN": {}},
        "formation": {"worker": {"quantity": 2}},
        "scripts": {"postdeploy": "seed", "dokku": {"predeploy": "check", "postdeploy": "warm"}},
    }
    entry = push.begin(ctx, ada, "hello")
    change = remote.commit(entry.path, {**asking(**document), ".env.example": "DATABASE_URL=\n"})
    push.policy(ctx, entry, [change], {}, ["plan"])
    words = push.rehearse(ctx, entry, {})
    push.settle(ctx, entry)
    for line in (
        "-----> Would set config vars: COLOUR, SECRET_KEY (from app.json)",
        "-----> Missing config vars: API_TOKEN (asked for in app.json)",
        "-----> Missing config vars: DATABASE_URL (asked for in .env.example)",
        "-----> Formation would be web=1 worker=2",
    ):
        assert line in words
    assert [line for line in words if "script" in line and "Would" in line] == [
        "-----> Would run predeploy script: check",
        "-----> Would run postdeploy script: seed",
        "-----> Would run postdeploy script: warm",
    ]


def test_a_generated_secret_is_nowhere_on_the_disk_in_clear(ctx: Context, ada: User, remote: Remote) -> None:
    done, _ = remote.push(asking(env=SECRET))
    assert done is not None and job(ctx, done.id).state == "succeeded"
    secret = configvars.show(ctx, ada, "hello")["SECRET_KEY"].encode()
    files = [path for path in ctx.settings.home.rglob("*") if path.is_file()]
    assert files and not [path for path in files if secret in path.read_bytes()]
