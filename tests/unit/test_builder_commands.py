"""Procfile lines as argv: the process that matters gets the signals."""

from __future__ import annotations

import pytest

from builder.commands import GUNICORN_PORT, argv, replacing


@pytest.mark.parametrize(
    ("line", "run"),
    [
        (
            "python manage.py migrate && gunicorn x --log-file -",
            "python manage.py migrate && exec gunicorn x --log-file -",
        ),
        ("cd web; node a.js", "cd web; exec node a.js"),
        ("a || b && c d", "a || b && exec c d"),
        ('a "x && y" && b', 'a "x && y" && exec b'),
        ("a && ./start.sh $PORT", "a && exec ./start.sh $PORT"),
    ],
)
def test_the_last_command_of_a_list_replaces_the_shell(line: str, run: str) -> None:
    assert replacing(line) == run


@pytest.mark.parametrize(
    "line",
    [
        "node server.js",
        "a && FOO=1 b",
        "a && b || c",
        "a && (b; c)",
        "if a; then b; fi",
        "while a; do b; done",
        "a && b > log",
        "a && b | c",
        "node a.js & wait",
        "a && cd b",
        'echo "a && b"',
        "echo 'a; b'",
        "a && exec b",
        "a && 'unfinished",
    ],
)
def test_what_is_not_plainly_a_list_stays_as_it_is(line: str) -> None:
    assert replacing(line) == line


def test_gunicorn_listens_on_the_port_it_is_given_whatever_its_configuration_file_says() -> None:
    assert argv("web", "gunicorn -c conf.py app:app", bash=True) == (
        "/bin/bash",
        "-c",
        f"{GUNICORN_PORT}exec gunicorn -c conf.py app:app",
    )
    for line in ("gunicorn --bind 0.0.0.0:$PORT a", "gunicorn -b :$PORT a", "python gunicorn.py"):
        assert GUNICORN_PORT not in argv("web", line, bash=True)[2]
    assert GUNICORN_PORT not in argv("worker", "gunicorn a", bash=True)[2]


def test_an_image_from_elsewhere_gets_the_plain_shell_and_its_own_command_gets_none() -> None:
    assert argv("web", "a && b", bash=False) == ("/bin/sh", "-c", "a && b")
    assert argv("web", "", bash=False) == ()
