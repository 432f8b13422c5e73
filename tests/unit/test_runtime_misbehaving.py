"""The runtimes that go wrong go wrong as they say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from core.errors import Unavailable
from core.states import InstanceState
from runtime.memory import MemoryRuntime
from tests import runtimes
from tests.misbehaving import Crashing, Full, Lying, Slow


def test_a_slow_one_starts_nothing_before_it_is_let_go() -> None:
    house = runtimes.memory()
    slow = Slow(house.runtime)
    with ThreadPoolExecutor(1) as pool:
        applying = pool.submit(slow.apply, house.spec())
        assert slow.reached.wait(10)
        assert slow.instances() == []
        slow.go.set()
        assert len(applying.result(10)) == 1


def test_a_crashing_one_fails_from_the_nth_call_until_it_is_back() -> None:
    house = runtimes.memory()
    crashing = Crashing(house.runtime, "apply", nth=2)
    crashing.apply(house.spec())
    with pytest.raises(Unavailable):
        crashing.apply(house.spec(count=2))
    with pytest.raises(Unavailable):
        crashing.instances()
    crashing.back()
    assert len(crashing.apply(house.spec(count=2))) == 2


def test_a_full_one_leaves_half_of_what_was_asked_for() -> None:
    house = runtimes.memory()
    full = Full(house.runtime)
    with pytest.raises(Unavailable, match="no space left"):
        full.apply(house.spec(count=3))
    assert len(full.instances(house.app)) == 1


def test_a_lying_one_calls_the_crashed_up() -> None:
    house = runtimes.memory()
    assert isinstance(house.runtime, MemoryRuntime)
    (web,) = house.runtime.apply(house.spec("crash"))
    assert web.state is InstanceState.CRASHED
    lying = Lying(house.runtime)
    assert lying.look(web).state is InstanceState.UP
    assert [one.state for one in lying.instances()] == [InstanceState.UP]
