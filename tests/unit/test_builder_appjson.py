"""app.json, good and bad, and what an app still needs to be told."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from builder import appjson, build
from builder.manifest import HealthCheck, Manifest, Scripts, Variable
from builder.needs import Missing, generate, needs, refusal
from core.errors import BuildFailed

FULL = {
    "name": "shop",
    "stack": "heroku-24",
    "addons": ["heroku-postgresql", {"plan": "heroku-redis:mini"}],
    "buildpacks": [{"url": "heroku/python"}],
    "cron": [{"command": "./tidy", "schedule": "@daily"}],
    "env": {
        "GREETING": "hello",
        "WEB_CONCURRENCY": {"description": "Workers an instance", "value": "2"},
        "SECRET_KEY": {"description": "Signs cookies", "generator": "secret"},
        "STRIPE_KEY": {"description": "From the dashboard"},
        "SENTRY_DSN": {"description": None, "required": False, "value": None},
    },
    "formation": {"web": {"quantity": 2, "size": "standard-1x"}, "worker": {"quantity": 1, "max_parallel": 1}, "x": {}},
    "healthchecks": {
        "web": [
            {
                "type": "startup",
                "name": "up",
                "path": "/health",
                "attempts": 5,
                "timeout": 2,
                "wait": 1,
                "onFailure": {},
            },
            {
                "type": "liveness",
                "path": "/live?deep=1",
                "port": 8081,
                "initialDelay": 3,
                "content": "fine",
                "httpHeaders": [{"name": "X-Probe", "value": "yes"}],
            },
            {"type": "readiness", "command": ["./ready"]},
        ],
        "worker": [{"uptime": 10}],
    },
    "scripts": {"postdeploy": "./seed ", "test": "x", "dokku": {"predeploy": "./assets", "postdeploy": "./tell"}},
}
STARTUP = HealthCheck("startup", "up", "/health", attempts=5, timeout=2, wait=1)
LIVENESS = HealthCheck(
    "liveness", path="/live?deep=1", port=8081, initial_delay=3, content="fine", headers=(("X-Probe", "yes"),)
)


def parse(document: Any) -> Manifest:
    return appjson.parse(json.dumps(document).encode())


def web(**check: Any) -> dict[str, Any]:
    return {"healthchecks": {"web": [check]}}


def test_everything_that_counts_is_read_and_the_rest_passed_over() -> None:
    found = parse(FULL)
    assert found.env == {
        "GREETING": Variable(value="hello"),
        "WEB_CONCURRENCY": Variable(value="2", description="Workers an instance"),
        "SECRET_KEY": Variable(generator="secret", description="Signs cookies"),
        "STRIPE_KEY": Variable(description="From the dashboard"),
        "SENTRY_DSN": Variable(required=False),
    }
    assert found.formation == {"web": 2, "worker": 1}
    assert found.healthchecks == {"web": (STARTUP, LIVENESS)}
    assert found.scripts == Scripts("./seed", "./assets", "./tell")
    assert found.checks("web", "liveness") == (LIVENESS,) and found.checks("web", "readiness") == ()


def test_checks_that_are_no_get_are_told_and_left_out() -> None:
    assert parse(FULL).notes == (
        "app.json: healthchecks.web[2] is left out, as command checks are not supported",
        "app.json: healthchecks.worker[0] is left out, as uptime checks are not supported",
    )
    for check, kind in (({"scheme": "HTTPS"}, "https"), ({"warn": True}, "warn"), ({"listening": True}, "listening")):
        found = parse(web(**check))
        assert f"{kind} checks" in found.notes[0] and not found.healthchecks


def test_a_check_that_says_nothing_has_the_usual_times() -> None:
    (check,) = parse(web()).healthchecks["web"]
    assert (check.kind, check.path, check.attempts, check.timeout, check.wait) == ("startup", "/", 3, 5, 5)
    assert check.longest == 30


def test_a_manifest_comes_back_from_json_as_it_was() -> None:
    for manifest in (parse(FULL), Manifest()):
        assert Manifest.of(json.loads(json.dumps(manifest.document()))) == manifest
    assert Manifest.of(None) == Manifest()


def test_no_app_json_is_an_empty_manifest_and_a_byte_order_mark_no_trouble(tmp_path: Path) -> None:
    assert appjson.read(tmp_path) == Manifest()
    (tmp_path / "app.json").write_bytes(b'\xef\xbb\xbf{"env": {"A": "1"}}\r\n')
    assert appjson.read(tmp_path).env == {"A": Variable(value="1")}


def test_a_huge_app_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "app.json").write_text(" " * (appjson.SIZE_LIMIT + 1))
    with pytest.raises(BuildFailed, match="64 KB"):
        appjson.read(tmp_path)


@pytest.mark.parametrize(
    ("content", "evidence"),
    [
        (b"", "line 1, column 1"),
        (b"{\n  'env': {}\n}", "line 2, column 3"),
        (b'{"env": {"A": "x",}}', "line 1, column 19"),
        (b'{"a": 1}\n<<<<<<< HEAD', "line 2, column 1"),
        (b'{"a": "\xff"}', "byte 8 is not UTF-8"),
        (b"\x00\x01\x02", "line 1, column 1"),
        (b"[" * 60_000, "nested too deeply"),
        (b'{"x":' * 12_000, "nested too deeply"),
        (b'{"x": ' + b"9" * 5000 + b"}", "thousands of digits"),
    ],
)
def test_what_is_no_json_is_told_with_its_place(content: bytes, evidence: str) -> None:
    with pytest.raises(BuildFailed, match=r"app\.json is not valid JSON") as told:
        appjson.parse(content)
    assert evidence in told.value.evidence and len(told.value.lines()) == 3


@pytest.mark.parametrize(
    "content",
    [
        '{"env": {}, "env": {}}',
        '{"env": {"A": "1", "B": "2", "A": "3"}}',
        '{"name": "a", "ignored": [{"x": 1, "x": 1}]}',
    ],
)
def test_a_key_that_stands_there_twice_is_named(content: str) -> None:
    with pytest.raises(BuildFailed, match=r'app\.json has the key "\w+" twice') as told:
        appjson.parse(content.encode())
    assert len(told.value.lines()) == 3


WRONG: list[tuple[Any, str]] = [
    ([], "the whole is not an object"),
    (None, "the whole is not an object"),
    ({"env": None}, "env is not an object"),
    ({"env": ["A"]}, "env is not an object"),
    ({"env": {"A": 5}}, "env.A is not an object"),
    ({"env": {"A": {"value": 5}}}, "env.A.value is not a string"),
    ({"env": {"A": {"required": "false"}}}, "env.A.required is neither true nor false"),
    ({"env": {"A": {"generator": "dice"}}}, "env.A.generator should be 'secret'"),
    ({"env": {"A-B": "1"}}, "env.A-B is not a config var name"),
    ({"env": {"A\nB": "1"}}, "env.A\\nB is not a config var name"),
    ({"env": {"A": "\0"}}, "env.A.value holds characters"),
    ({"env": {"A": "\ud800"}}, "env.A.value holds characters"),
    ({"env": {"\ud800": "1"}}, "is not a config var name"),
    ({"formation": [{"process": "web", "quantity": 1}]}, "formation is not an object"),
    ({"formation": {"web": 2}}, "formation.web is not an object"),
    ({"formation": {"web": {"quantity": "2"}}}, "formation.web.quantity is not a whole number"),
    ({"formation": {"web": {"quantity": True}}}, "formation.web.quantity is not a whole number"),
    ({"formation": {"web": {"quantity": 1.5}}}, "formation.web.quantity is not a whole number"),
    ({"formation": {"web": {"quantity": float("inf")}}}, "formation.web.quantity is not a whole number"),
    ({"formation": {"web": {"quantity": -1}}}, "formation.web.quantity should be greater than or equal to 0"),
    ({"formation": {"web": {"quantity": 51}}}, "formation.web.quantity should be less than or equal to 50"),
    ({"formation": {"web": {"quantity": 10**4000}}}, "formation.web.quantity should be"),
    ({"formation": {"we b": {}}}, "formation.we b is not a process type"),
    ({"healthchecks": {"web": {}}}, "healthchecks.web is not a list"),
    ({"healthchecks": {"web": [[]]}}, "healthchecks.web[0] is not an object"),
    (web(type="sometimes"), "healthchecks.web[0].type should be 'startup', 'readiness' or 'liveness'"),
    (web(path="health"), "healthchecks.web[0].path is not a path"),
    (web(path="/a b"), "healthchecks.web[0].path is not a path"),
    (web(path="/a\r\nHost: x"), "healthchecks.web[0].path is not a path"),
    (web(path="/é"), "healthchecks.web[0].path is not a path"),
    (web(port=0), "healthchecks.web[0].port should be"),
    (web(port=65536), "healthchecks.web[0].port should be"),
    (web(attempts=0), "healthchecks.web[0].attempts should be"),
    (web(timeout=0), "healthchecks.web[0].timeout should be"),
    (web(wait=-1), "healthchecks.web[0].wait should be"),
    (web(initialDelay="5"), "healthchecks.web[0].initialDelay is not a whole number"),
    (web(attempts=10**18), "healthchecks.web[0] may take longer than 1800 seconds to fail"),
    (web(content=5), "healthchecks.web[0].content is not a string"),
    (web(httpHeaders=[{"name": "X"}]), "healthchecks.web[0].httpHeaders[0].value is missing"),
    (web(httpHeaders=[{"name": "X Y", "value": ""}]), "httpHeaders[0].name is not the name of a header"),
    (web(httpHeaders=[{"name": "X", "value": "a\nb"}]), "httpHeaders[0].value is not the value of a header"),
    (web(command="./ready"), "healthchecks.web[0].command is not a list"),
    ({"scripts": "x"}, "scripts is not an object"),
    ({"scripts": {"postdeploy": ["x"]}}, "scripts.postdeploy is not a string"),
    ({"scripts": {"dokku": {"predeploy": "a\0b"}}}, "scripts.dokku.predeploy holds characters"),
]


@pytest.mark.parametrize(("document", "words"), WRONG, ids=[words for _, words in WRONG])
def test_a_wrong_value_is_told_by_its_place(document: Any, words: str) -> None:
    with pytest.raises(BuildFailed, match=rf"^app\.json: .*{re.escape(words)}") as told:
        parse(document)
    assert len(told.value.lines()) == 3
    assert all(len(line) <= 300 and line.isprintable() for line in told.value.lines())


def test_the_build_s_log_says_what_app_json_says(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM x\n")
    assert not [line for line in build.plan(tmp_path).words() if "app.json" in line]
    check = {"type": "startup", "path": "/health"}
    document = {"env": {"A": "", "B": "", "C": ""}, "formation": {"web": {"quantity": 2}, "worker": {"quantity": 1}}}
    (tmp_path / "app.json").write_text(json.dumps({**document, "healthchecks": {"web": [check, {"uptime": 1}]}}))
    (tmp_path / ".env.example").write_text("A=\nD=\n")
    prepared = build.plan(tmp_path)
    assert list(prepared.words())[-2:] == [
        "       app.json: 3 config vars, formation web=2 worker=1, startup check GET /health",
        "       app.json: healthchecks.web[1] is left out, as uptime checks are not supported",
    ]
    assert prepared.expected == ("A", "D") and prepared.manifest.formation == {"web": 2, "worker": 1}
    assert list(parse({"env": {"A": ""}, "scripts": {"dokku": {"predeploy": "x"}}}).words()) == [
        "1 config var",
        "dokku.predeploy script",
    ]


def test_only_what_is_not_set_yet_is_added_or_asked_for() -> None:
    manifest = parse(FULL)
    found = needs(manifest, ("DATABASE_URL", "SENTRY_DSN", "SECRET_KEY"), {})
    assert found.defaults == {"GREETING": "hello", "WEB_CONCURRENCY": "2"}
    assert found.generators == {"SECRET_KEY": "secret"}
    assert found.missing == (
        Missing("STRIPE_KEY", "app.json", "From the dashboard"),
        Missing("DATABASE_URL", ".env.example"),
    )
    there = {"GREETING": "", "SECRET_KEY": "mine", "STRIPE_KEY": "k", "DATABASE_URL": "x"}
    rest = needs(manifest, ("DATABASE_URL",), there)
    assert (rest.defaults, rest.generators, rest.missing) == ({"WEB_CONCURRENCY": "2"}, {}, ())


def test_what_the_platform_gives_is_neither_asked_for_nor_overruled() -> None:
    found = needs(parse({"env": {"PORT": "3000", "PAAS_APP": {}, "NODE_ENV": {"required": True}}}), (), {})
    assert (found.defaults, found.missing) == ({}, ())


def test_a_name_with_a_value_and_a_generator_is_generated() -> None:
    found = needs(parse({"env": {"KEY": {"value": "changeme", "generator": "secret"}}}), (), {})
    assert (found.defaults, found.generators) == ({}, {"KEY": "secret"})


def test_a_generated_secret_is_long_and_never_the_same() -> None:
    made = {generate("secret") for _ in range(100)}
    assert len(made) == 100 and all(re.fullmatch("[0-9a-f]{64}", one) for one in made)
    with pytest.raises(BuildFailed, match="no generator 'dice'"):
        generate("dice")


def test_a_refusal_names_every_var_and_the_commands_that_set_them() -> None:
    asked = [Missing("SECRET_KEY", "app.json", "Signs\ncookies\x1b[1m"), Missing("DATABASE_URL", ".env.example")]
    assert refusal("hello", asked).lines() == [
        "config vars are missing: SECRET_KEY, DATABASE_URL",
        "SECRET_KEY is asked for in app.json: Signs cookies [1m",
        "DATABASE_URL is asked for in .env.example",
        "Set them, then push again: ssh paas config:set hello SECRET_KEY=... DATABASE_URL=...",
        "Or fill in a copy of .env.example: ssh paas config:import hello < .env",
    ]
    assert "config:import" not in refusal("hello", asked[:1]).hint


def test_a_refusal_of_very_many_stays_short() -> None:
    told = refusal("hello", [Missing(f"NAME_{number}", "app.json") for number in range(500)])
    assert "NAME_19 and 480 more" in told.message and "NAME_20" not in told.message
    assert len(told.lines()) == 22
