"""Real builds: the samples, what failing looks like, and what must not leak."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder import cache, stack
from builder.base import BuildRequest, Plan
from builder.build import plan as planned
from builder.cgroup import PLACE, ROOT
from builder.docker import DockerImages
from builder.engine import listed
from core.errors import StepFailed, Unavailable
from core.names import new_id
from tests.images import DOCKER, SAMPLES, Yard, fetch

pytestmark = pytest.mark.real

CANARY = "canary-7f3a91"


@pytest.fixture(scope="module")
def yard() -> Iterator[Yard]:
    made = Yard()
    yield made
    made.close()


def own(folder: Path, *lines: str, **changes: object) -> BuildRequest:
    # The engine makes equal steps of builds at the same time once, and tells only one of them what they say.
    text = "\n".join(["ARG PAAS_STACK", "FROM ${PAAS_STACK}", f"ENV ATTEMPT={new_id()}", *lines])
    plan = Plan("dockerfile", "", text)
    return BuildRequest(**{"build": new_id(), "app": new_id(), "folder": folder, "plan": plan, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["flask", "express", "static", "dockerfile"])
def test_a_sample_is_built_served_and_stopped_by_a_signal(yard: Yard, name: str) -> None:
    prepared, image, _ = yard.build(SAMPLES / name)
    with yard.serving(prepared, image) as url:
        assert f"{name} sample, version 1" in fetch(url)


def test_a_single_page_application_is_built_and_its_routes_are_its_own(yard: Yard) -> None:
    prepared, image, said = yard.build(SAMPLES / "vite", config={"VITE_GREETING": "good morning"})
    assert "-----> Building" in said
    with yard.serving(prepared, image) as url:
        page = fetch(url)
        assert page == fetch(f"{url}/some/route")
        script = page.partition('src="')[2].partition('"')[0]
        assert "good morning" in fetch(url + script)
        with pytest.raises(OSError, match="404"):
            fetch(f"{url}/assets/gone.js")


def test_a_change_of_code_installs_nothing_again(yard: Yard, tmp_path: Path) -> None:
    tree = shutil.copytree(SAMPLES / "flask", tmp_path / "tree")
    app = new_id()
    yard.build(tree, app)
    (tree / "app.py").write_text((tree / "app.py").read_text().replace('VERSION = "1"', 'VERSION = "2"'))
    prepared, image, said = yard.build(tree, app)
    assert said == []
    with yard.serving(prepared, image) as url:
        assert fetch(url) == "flask sample, version 2\n"


def test_secrets_reach_the_build_step_and_nothing_that_is_kept(yard: Yard, tmp_path: Path) -> None:
    script = "node -e \"console.log('read', process.env.SECRET.length, 'letters')\""
    (tmp_path / "package.json").write_text(json.dumps({"scripts": {"build": script, "start": "node a.js"}}))
    _, image, said = yard.build(tmp_path, config={"SECRET": CANARY})
    assert f"       read {len(CANARY)} letters" in said
    assert CANARY not in json.dumps(yard.client.images.get(image.digest).history())
    rest = b""
    for chunk in yard.client.images.get(image.digest).save():
        assert CANARY.encode() not in rest + chunk
        rest = chunk[-len(CANARY) :]


def test_install_steps_see_no_config_but_the_tools_own(yard: Yard, tmp_path: Path) -> None:
    script = "node -e \"console.log('sees', process.env.SECRET, process.env.NPM_THING)\""
    (tmp_path / "package.json").write_text(json.dumps({"scripts": {"postinstall": script, "start": "node a.js"}}))
    config = {"SECRET": CANARY, "NPM_THING": "its own", "npm_config_foreground_scripts": "true"}
    _, _, said = yard.build(tmp_path, config=config)
    assert "       sees undefined its own" in said


def test_proxy_settings_reach_the_steps_and_stay_out_of_the_image(yard: Yard, tmp_path: Path) -> None:
    proxied = yard.store(proxy={"https_proxy": f"http://{CANARY}:1"})
    said: list[str] = []
    image = proxied.build(own(tmp_path, f"RUN echo {new_id()}; echo through $https_proxy"), said.append)
    assert f"       through http://{CANARY}:1" in said
    found = yard.client.images.get(image.digest)
    assert CANARY not in json.dumps([found.attrs, found.history()])


def test_images_carry_labels_and_a_tag_and_are_nobody_elses(yard: Yard, tmp_path: Path) -> None:
    request = own(tmp_path)
    image = yard.images.build(request, lambda _: None)
    found = yard.client.images.get(image.digest)
    assert found.tags == [f"paas-{yard.installation}/{request.app}:{request.build}"]
    assert found.labels == {
        "paas.installation": yard.installation,
        "paas.app": request.app,
        "paas.build": request.build,
        "paas.stack": "",
    }
    other = yard.store(f"test-{new_id()}")
    assert image.digest not in other.images()
    other.remove(image.digest)
    assert image.digest in yard.images.images()


def test_the_stack_is_shared_between_installations_and_goes_with_the_last_tag(yard: Yard) -> None:
    name = f"test-{new_id()}"
    begun = time.monotonic()
    second = stack.ensure(DOCKER, name, "bookworm", lambda line: pytest.fail(f"made anew: {line}"))
    assert time.monotonic() - begun < 5
    assert second == stack.ensure(DOCKER, yard.installation, "bookworm", print)
    stack.remove(DOCKER, name)
    tags = {tag for image in listed(yard.client) for tag in image["RepoTags"] or ()}
    assert not any(tag.startswith(f"paas-{name}/") for tag in tags)
    assert f"paas-{yard.installation}/stack:bookworm" in tags


def test_what_others_build_on_the_stack_is_never_taken_for_it(yard: Yard, tmp_path: Path) -> None:
    stranger = f"stranger:{new_id()}"
    container = yard.client.containers.create(f"paas-{yard.installation}/stack:bookworm", "true")
    try:
        container.commit(*stranger.split(":"))
        assert yard.client.images.get(stranger).labels[stack.LABEL].startswith("run-bookworm-")
        for _ in range(2):
            assert stack.ensure(DOCKER, yard.installation, "bookworm", print).run == container.image.id
    finally:
        container.remove()
        yard.client.images.remove(stranger)


def test_a_build_that_takes_too_long_is_killed_with_all_it_started(yard: Yard, tmp_path: Path) -> None:
    impatient = yard.store(timeout=2)
    stubborn = "RUN echo begun; trap '' TERM; (setsid sleep 4711 &); sleep 4711"
    begun = time.monotonic()
    with pytest.raises(StepFailed, match="longer than 2 seconds") as told:
        impatient.build(own(tmp_path, stubborn), lambda _: None)
    assert told.value.reason == "timeout"
    assert "begun" in told.value.evidence
    assert time.monotonic() - begun < 10
    assert gone(b"sleep\x004711\x00")


def gone(command: bytes) -> bool:
    """Whether no process runs it, at the latest after some seconds."""
    end = time.monotonic() + 5
    while any(line(file) == command for file in Path("/proc").glob("[0-9]*/cmdline")):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def line(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


def test_a_build_cancelled_before_the_engine_knows_it_does_not_go_on(yard: Yard, tmp_path: Path) -> None:
    request = own(tmp_path, "RUN echo never; sleep 30")
    said: list[str] = []
    failed: list[str] = []

    def attempt() -> None:
        with pytest.raises(StepFailed) as told:
            yard.images.build(request, said.append)
        failed.append(told.value.reason)

    building = threading.Thread(target=attempt)
    building.start()
    while request.build not in yard.images.engine.running and building.is_alive():
        time.sleep(0)
    yard.images.cancel(request.build)
    building.join(10)
    assert failed == ["cancelled"]


def test_a_build_beyond_the_memory_of_all_builds_is_told_so(yard: Yard, tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="memory limit") as told:
        yard.images.build(own(tmp_path, """RUN python3 -c "x = b'x' * (3 << 30)" """), lambda _: None)
    assert told.value.reason == "oom"


def test_builds_are_limited_in_processes_too(yard: Yard, tmp_path: Path) -> None:
    yard.images.build(own(tmp_path), lambda _: None)
    places = [ROOT / "pids" / PLACE / "pids.max", ROOT / PLACE / "pids.max"]
    assert [place.read_text().strip() for place in places if place.exists()] == ["1024"]


def test_an_image_that_cannot_be_pulled_is_told_by_name(yard: Yard, tmp_path: Path) -> None:
    request = BuildRequest(new_id(), new_id(), tmp_path, Plan("dockerfile", "", "FROM localhost:1/nobody/nothing:1\n"))
    with pytest.raises(StepFailed, match="base image localhost:1/nobody/nothing:1 cannot be pulled") as told:
        yard.images.build(request, lambda _: None)
    assert "connection refused" in told.value.evidence


@pytest.mark.parametrize("text", ["FROM\n", "FROM x\nNONSENSE y\n", "# nothing\n"])
def test_a_dockerfile_the_engine_cannot_read_is_the_apps_fault(yard: Yard, tmp_path: Path, text: str) -> None:
    request = BuildRequest(new_id(), new_id(), tmp_path, Plan("dockerfile", "", text))
    with pytest.raises(StepFailed) as told:
        yard.images.build(request, lambda _: None)
    assert told.value.evidence


def test_what_dockerignore_names_is_not_sent(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("secret*\n")
    (tmp_path / "secret.txt").write_text(CANARY)
    (tmp_path / "plain.txt").write_text("x")
    said: list[str] = []
    yard.images.build(own(tmp_path, "COPY . /all", "RUN echo has $(ls -A /all)"), said.append)
    assert "       has .dockerignore Dockerfile plain.txt" in said


def test_without_an_engine_it_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        DockerImages("unix:///nonexistent.sock", "nobody")


def test_pruning_takes_our_steps_with_all_that_stands_on_them_and_nobody_elses(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "Procfile").write_text(f"web: echo {new_id()}\n")
    yard.build(tmp_path)
    ours = set(cached(yard, yard.installation))
    other = yard.store(f"test-{new_id()}")
    stack.ensure(DOCKER, other.installation, "bookworm", print)
    try:
        own_step = f"RUN : {new_id()} && echo a stranger"
        yard.images.build(own(tmp_path, own_step), lambda _: None)
        other.build(BuildRequest(new_id(), new_id(), tmp_path, planned(tmp_path).plan), lambda _: None)
        theirs = set(cached(yard, other.installation))
        assert ours and theirs and ours.isdisjoint(theirs)
        for digest in yard.images.images():
            yard.images.remove(digest)
        assert yard.images.prune(0) > 0
        assert not ours & set(cached(yard))
        assert theirs <= set(cached(yard))
        assert any(own_step.removeprefix("RUN ") in said for said in cached(yard).values())
    finally:
        for digest in other.images():
            other.remove(digest)
        other.prune(0)
        stack.remove(DOCKER, other.installation)


def cached(yard: Yard, installation: str = "") -> dict[str, str]:
    """Records of the engine's build cache and what they say of themselves: all, or an installation's own."""
    found = cache.records(yard.images.engine.cache())
    known = cache.ours(found, installation) if installation else {one.id for one in found}
    return {one.id: one.description for one in found if one.id in known}


def test_a_step_of_ours_that_an_image_uses_is_not_pruned(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(new_id())
    _, image, _ = yard.build(tmp_path)
    yard.images.prune(0)
    assert image.digest in yard.images.images()
    assert any(": paas-" in said for said in cached(yard, yard.installation).values())


def test_the_sources_a_build_was_sent_are_pruned_too(yard: Yard, tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(new_id().encode() * 100_000)
    before = set(cached(yard))
    yard.images.build(own(tmp_path), lambda _: None)
    fresh = {name: said for name, said in cached(yard).items() if name not in before}
    known = cache.sources(cache.records(yard.images.engine.cache()), list(yard.images.sent))
    assert sorted(fresh[name].startswith(cache.SENT) for name in known & set(fresh)) == [False, True]
    assert yard.images.prune(0) >= 4_000_000
    assert not known & set(cached(yard))
