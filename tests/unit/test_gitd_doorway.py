"""Who goes when the door is crowded."""

from __future__ import annotations

from gitd.doorway import FULL, GRACE, PER_ADDRESS, START, Doorway, Visit, pressure


class Street:
    """A doorway with a clock and a die of our own."""

    def __init__(self, die: float) -> None:
        self.now = 0.0
        self.dismissed: list[str] = []
        self.doorway = Doorway(clock=lambda: self.now, die=lambda: die)

    def arrive(self, address: str, name: str = "", silent: bool = False) -> bool:
        return self.doorway.enter(Visit(address, lambda: self.dismissed.append(name or address), silent))


def test_few_visitors_all_come_in_and_nobody_has_to_go() -> None:
    street = Street(die=0.0)
    assert all(street.arrive("a") for _ in range(START))
    assert street.dismissed == []


def test_a_burst_of_honest_visitors_is_let_in() -> None:
    street = Street(die=0.0)
    assert all(street.arrive("a") for _ in range(FULL))
    assert street.dismissed == []


def test_when_full_and_everybody_is_busy_the_newcomer_goes() -> None:
    street = Street(die=0.0)
    for _ in range(FULL):
        street.arrive("a")
    assert not street.arrive("b")


def test_those_who_stand_about_make_room_for_a_newcomer() -> None:
    street = Street(die=0.0)
    for number in range(FULL):
        street.arrive("flood", str(number))
    street.now = GRACE + 0.1
    assert street.arrive("honest")
    assert street.dismissed == ["0"]


def test_the_silent_make_room_at_once() -> None:
    street = Street(die=0.0)
    for number in range(FULL):
        street.arrive("flood", str(number), silent=True)
    assert street.arrive("honest")
    assert len(street.doorway) <= FULL


def test_the_address_with_most_places_loses_one_first() -> None:
    street = Street(die=0.0)
    street.arrive("quiet")
    for _ in range(START):
        street.arrive("greedy")
    street.now = GRACE + 1
    street.arrive("new")
    assert street.dismissed == ["greedy"]


def test_one_address_cannot_hold_more_than_its_share_for_long() -> None:
    street = Street(die=1.0)
    for _ in range(PER_ADDRESS):
        street.arrive("a")
    street.now = GRACE + 1
    street.arrive("a")
    assert street.dismissed == ["a"] and len(street.doorway) == PER_ADDRESS


def test_who_has_left_takes_no_place() -> None:
    street = Street(die=0.0)
    visit = Visit("a", lambda: None)
    street.doorway.enter(visit)
    street.doorway.leave(visit)
    street.doorway.leave(visit)
    assert len(street.doorway) == 0


def test_pressure_grows_from_thirty_percent_to_certainty() -> None:
    assert pressure(START - 1) == 0
    assert pressure(START) == 0.3
    assert pressure(FULL) == 1.0
