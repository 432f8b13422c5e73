"""What every ImageStore keeps to, in memory and on the engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.base import BuildRequest, ImageStore, Plan
from builder.dockerfile import static
from builder.memory import FAILS, HANGS, MemoryImages
from core.errors import Conflict, StepFailed
from core.names import new_id
from tests.images import Yard

DOCKERFILE = f"""
ARG PAAS_STACK
FROM ${{PAAS_STACK}}
WORKDIR /build
COPY . ./
RUN if [ -f {FAILS} ]; then cat {FAILS}; exit 3; fi; if [ -f {HANGS} ]; then echo hanging; exec sleep 60; fi
EXPOSE 8000
"""


@dataclass
class House:
    """A store, and how an instance comes to use an image of it."""

    images: ImageStore
    using: Callable[[str], AbstractContextManager[None]]


def memory() -> Iterator[House]:
    store = MemoryImages()

    @contextmanager
    def using(digest: str) -> Iterator[None]:
        store.in_use.add(digest)
        yield
        store.in_use.remove(digest)

    yield House(store, using)


def engine() -> Iterator[House]:
    yard = Yard()

    @contextmanager
    def using(digest: str) -> Iterator[None]:
        container = yard.client.containers.create(digest, ["true"])
        yield
        container.remove()

    yield House(yard.images, using)
    yard.close()


@pytest.fixture(scope="module", params=[memory, pytest.param(engine, marks=pytest.mark.real)], ids=["memory", "docker"])
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    yield from request.param()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hello.txt").write_text("hello\n")
    return tmp_path


def asked(folder: Path, **changes: object) -> BuildRequest:
    plan = Plan("dockerfile", "Dockerfile detected", DOCKERFILE, port=8000)
    return BuildRequest(**{"build": new_id(), "app": new_id(), "folder": folder, "plan": plan, **changes})  # type: ignore[arg-type]


def quiet(_: str) -> None:
    pass


def test_a_build_makes_an_image_that_is_listed_until_it_is_removed(house: House, folder: Path) -> None:
    image = house.images.build(asked(folder), quiet)
    assert image.digest.startswith("sha256:")
    assert image.size > 0
    assert image.port == 8000
    assert image.digest in house.images.images()
    house.images.remove(image.digest)
    assert image.digest not in house.images.images()


def test_removing_what_is_gone_is_nothing(house: House, folder: Path) -> None:
    image = house.images.build(asked(folder), quiet)
    house.images.remove(image.digest)
    house.images.remove(image.digest)
    house.images.remove("sha256:" + "0" * 64)


def test_two_builds_of_one_tree_are_two_images_and_removing_one_keeps_the_other(house: House, folder: Path) -> None:
    first, second = (house.images.build(asked(folder), quiet) for _ in range(2))
    assert first.digest != second.digest
    house.images.remove(first.digest)
    assert second.digest in house.images.images()
    house.images.remove(second.digest)


def test_an_image_in_use_is_not_removed(house: House, folder: Path) -> None:
    image = house.images.build(asked(folder), quiet)
    with house.using(image.digest), pytest.raises(Conflict):
        house.images.remove(image.digest)
    assert image.digest in house.images.images()
    house.images.remove(image.digest)


def test_a_failing_step_is_told_with_its_output_and_leaves_no_image(house: House, folder: Path) -> None:
    before = house.images.images()
    (folder / FAILS).write_text("no such module: left-pad\n")
    said: list[str] = []
    with pytest.raises(StepFailed, match="failed") as told:
        house.images.build(asked(folder), said.append)
    assert told.value.reason == "step"
    assert told.value.evidence == "no such module: left-pad"
    assert told.value.hint
    assert "       no such module: left-pad" in said
    assert house.images.images() == before


def test_a_cancelled_build_ends_at_once_and_leaves_no_image(house: House, folder: Path) -> None:
    before = house.images.images()
    (folder / HANGS).write_text("")
    request = asked(folder)
    failed: list[str] = []
    said: list[str] = []

    def attempt() -> None:
        with pytest.raises(StepFailed) as told:
            house.images.build(request, said.append)
        failed.append(told.value.reason)

    building = threading.Thread(target=attempt)
    building.start()
    begun = time.monotonic()
    while not said and time.monotonic() - begun < 10:
        time.sleep(0.01)
    house.images.cancel(request.build)
    building.join(10)
    assert failed == ["cancelled"]
    assert house.images.images() == before


def test_a_build_cancelled_before_it_begins_ends_when_it_would(house: House, folder: Path) -> None:
    before = house.images.images()
    request = asked(folder)
    house.images.cancel(request.build)
    with pytest.raises(StepFailed) as told:
        house.images.build(request, lambda line: None)
    assert told.value.reason == "cancelled"
    assert house.images.images() == before


def test_cancelling_an_unknown_build_is_nothing(house: House) -> None:
    house.images.cancel(new_id())


def test_pruning_to_the_size_there_is_forgets_nothing_and_to_nothing_all_that_is_ours(
    house: House, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text(new_id())
    plan = Plan("static", "", static(""))
    image = house.images.build(asked(tmp_path, plan=plan), quiet)
    house.images.remove(image.digest)
    assert house.images.prune(1 << 50) == 0
    assert house.images.prune(0) > 0
    assert house.images.prune(0) == 0
    assert house.images.build(asked(tmp_path, plan=plan), quiet).size > 0
