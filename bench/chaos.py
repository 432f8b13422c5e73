"""The server killed with -9 at every named point and at random moments of what people do, under load.

Promised: no acknowledged push lost, no failed request, nothing left over, everything as wanted within 30 s of the kill.
Results are appended to a file, a JSON line a round; rounds it has already are not played again, so that a campaign can
be run in parts. A round that went wrong costs the installation: the next one is played on another.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from tabulate import tabulate

from bench.deeds import Trial
from bench.place import apart
from bench.rounds import Blow, duration, play, scout
from core.failpoints import POINTS
from tests.installation import Installation

RANDOM = ("push", "push", "push", "push", "first", "rollback", "config", "redeploy", "restart", "scale", "destroy")
"""What is interrupted at random moments: pushes above all."""
LOG_LINES = 40

Row = dict[str, Any]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--results", type=Path, default=Path("chaos.jsonl"))
    arguments.add_argument("--points", nargs="*", default=list(POINTS), metavar="POINT")
    arguments.add_argument("--rounds", type=int, default=5, help="of each point")
    arguments.add_argument("--random", type=int, default=200, help="kills at random moments")
    arguments.add_argument("--limit", type=int, default=0, help="rounds to play now; 0: all")
    chosen = arguments.parse_args()
    names = planned(chosen.seed, chosen.points, chosen.rounds, chosen.random)
    known = {row["name"] for row in rows(chosen.results)}
    left = [name for name in names if name not in known]
    with Campaign(chosen.results, chosen.seed) as campaign:
        for name in left[: chosen.limit or None]:
            campaign.round(name)
    return tell(names, [row for row in rows(chosen.results) if row["name"] in set(names)])


def planned(seed: int, points: Sequence[str], rounds: int, kills: int) -> list[str]:
    """The name of every round: SEED POINT NUMBER."""
    named = [f"{seed} {point} {number}" for number in range(rounds) for point in points]
    return named + [f"{seed} random {number}" for number in range(kills)]


def rows(results: Path) -> list[Row]:
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


class Campaign:
    """Plays rounds on one installation until something breaks there."""

    def __init__(self, results: Path, seed: int) -> None:
        self.results, self.seed = results, seed
        self._stack = ExitStack()
        self._trial: Trial | None = None
        self._deeds: dict[str, str] | None = None
        self._seconds: dict[str, float] = {}

    def __enter__(self) -> Campaign:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        self._trial = None
        self._stack.close()

    def trial(self) -> Trial:
        if self._trial is None:
            self._trial = Trial(self._stack.enter_context(apart()))
        return self._trial

    def round(self, name: str) -> None:
        """Play one round and write down what came of it."""
        trial = self.trial()
        blow = self.blow(trial, name)
        row: Row = {"name": name, "at": time.time()}
        try:
            outcome = play(trial, blow)
            row |= asdict(outcome)
        except Exception as error:  # the round could not even be judged: that is a result
            row |= asdict(blow) | {"blow": asdict(blow), "wrong": [f"{type(error).__name__}: {error}"]}
        if row["wrong"]:
            row["log"] = log_of(trial.installation)
        with self.results.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(told(row), flush=True)
        if row["wrong"]:
            self.leave()

    def blow(self, trial: Trial, name: str) -> Blow:
        _, point, _ = name.split(" ")
        if point != "random":
            return Blow(self.deed_for(trial, point), point)
        chance = random.Random(name)
        deed = chance.choice(RANDOM)
        if deed not in self._seconds:
            self._seconds[deed] = duration(trial, deed)
        return Blow(deed, delay=chance.uniform(0, self._seconds[deed]))

    def deed_for(self, trial: Trial, point: str) -> str:
        """The deed that hits the point; push, whose round will say that it was never hit, when none does."""
        if self._deeds is None:
            self._deeds = scout(trial, POINTS)
            missed = [one for one in POINTS if one not in self._deeds]
            print(f"points hit by: {self._deeds}\npoints nothing hits: {missed or 'none'}", flush=True)
        return self._deeds.get(point, "push")


def log_of(installation: Installation) -> list[str]:
    """The server's last words, for a round that went wrong."""
    file = installation.home / "log" / "server" / "current"
    return file.read_text(errors="replace").splitlines()[-LOG_LINES:] if file.exists() else []


def told(row: Row) -> str:
    blow = row["blow"]
    place = blow["point"] or f"{blow['delay']:.2f} s"
    if "state" not in row:
        return f"{row['name']}: {blow['deed']} at {place}: {row['wrong']}"
    words = f"exit {row['exit']}, {row['state']} state, {sum(row['failures'].values())} failed of {row['sent']}"
    return f"{row['name']}: {blow['deed']} at {place}: {words}, {row['seconds']:.1f} s" + "".join(
        f"\n  !  {line}" for line in row["wrong"]
    )


def tell(names: Sequence[str], played: Sequence[Row]) -> int:
    """The table; 1 when something went wrong or is still to be played."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in played:
        groups[row["blow"]["point"] or f"random: {row['blow']['deed']}"].append(row)
    columns = ("killed at", "rounds", "acked", "old", "new", "requests", "failed", "median s", "max s", "wrong")
    print(tabulate([figures(name, group) for name, group in groups.items()], columns, floatfmt=".1f"))
    print(tabulate([figures("all", played)], columns, floatfmt=".1f") if played else "nothing was played")
    left = len(names) - len(played)
    if left:
        print(f"{left} of {len(names)} rounds are still to be played")
    return 1 if left or any(row["wrong"] for row in played) else 0


def figures(name: str, group: Sequence[Row]) -> tuple[object, ...]:
    judged = [row for row in group if "state" in row]
    seconds = [row["seconds"] for row in judged] or [0.0]
    return (
        name,
        len(group),
        sum(row["exit"] == 0 for row in judged),
        sum(row["state"] == "old" for row in judged),
        sum(row["state"] == "new" for row in judged),
        sum(row["sent"] for row in judged),
        sum(sum(row["failures"].values()) for row in judged),
        median(seconds),
        max(seconds),
        sum(bool(row["wrong"]) for row in group),
    )


if __name__ == "__main__":
    sys.exit(main())
