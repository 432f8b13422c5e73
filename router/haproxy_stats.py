"""What HAProxy's `show stat` rows say about targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from router.base import TargetStats

RESPONSES = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")

Row = Mapping[str, str]
"""Column to text; empty for "not counted here"."""


def count(apps: Mapping[str, str], current: Iterable[Row], old: Iterable[Row]) -> list[TargetStats]:
    """Counters by target, summed over workers; `apps` is slot to app, other slots are left out.

    Until an old worker ends it has clients, and an idle one's next request may go to any of its targets: so none of
    them has 0 sessions.
    """
    found: dict[tuple[str, str], TargetStats] = {}
    rows = [(row, 0) for row in current] + [(row, 1) for row in old]
    for row, at_least in rows:
        if row["pxname"] in apps:
            key = apps[row["pxname"]], row["svname"]
            found[key] = added(found.get(key, TargetStats(*key, 0, 0, 0)), row, at_least)
    return [found[key] for key in sorted(found)]


def added(before: TargetStats, row: Row, at_least: int) -> TargetStats:
    return TargetStats(
        before.app,
        before.target,
        before.sessions + max(at_least, number(row["scur"]) + number(row["qcur"])),
        before.requests + sum(number(row[column]) for column in RESPONSES),
        before.errors + number(row["hrsp_5xx"]),
    )


def number(text: str) -> int:
    return int(text or 0)
