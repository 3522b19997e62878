"""Which scenario comes after which, and which of them is begun: calculations, without a file or a clock."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from statistics import median
from typing import TypeVar

from tests.scenarios.record import Record, is_vague

# Every scenario has to have passed within so many submissions, this one included; on a machine that has not the time
# for all of them in so many runs, within as many as it needs, up to the most.
WITHIN = 3
WITHIN_AT_MOST = 9
# Where no record was kept, so many commits count as one submission.
COMMITS = 15
# A scenario that no record knows is expected to take so many seconds.
UNKNOWN = 15 * 60
# How many times as long a scenario is expected to take as it had when it was ended.
MORE = 1.2
# How many times as long a run takes as its scenarios: what others find made is in no scenario's time.
LABS = 1.2
FOLDER = "tests/e2e"
# The marker of scenarios that are left out only where a machine has not the time for them, and of the one that makes
# what others begin with.
EVERY_TIME = "every_time"
MAKES_LABS = "makes_labs"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A module of end-to-end tests. `path` is that of its file, seen from the repository's root. `makes_labs`: others
    begin with what it makes, and it comes before all of them."""

    path: str
    every_time: bool = False
    makes_labs: bool = False

    @property
    def name(self) -> str:
        """As in cluster/drift."""
        return name_of(self.path)

    @property
    def room(self) -> str:
        """The folder, whose modules share a lab."""
        return str(PurePath(self.name).parent)


@dataclass(frozen=True, slots=True)
class Submission:
    """What is tested. `turn` is a number of its own, which decides between equals. `commits` are the times of commits
    that may have been submitted without a record, in seconds since the epoch."""

    commit: str
    turn: int = 0
    commits: tuple[int, ...] = ()


def name_of(path: str) -> str:
    """A scenario's name: tests/e2e/cluster/test_drift.py is cluster/drift."""
    inside = PurePath(path).relative_to(FOLDER)
    return str(inside.with_name(inside.stem.removeprefix("test_")))


def age(name: str, record: Record, submission: Submission) -> int | None:
    """How many submissions ago it passed: 0 is at this very commit, 1 since the newest submission before it. None where
    it never passed, or has failed since."""
    passed, failed = record.passed.get(name), record.failed.get(name)
    if passed is None or (failed is not None and failed.at > passed.at):
        return None
    if passed.commit == submission.commit and not is_vague(passed.commit):
        return 0
    ours = {commit for commit in (passed.commit, submission.commit) if not is_vague(commit)}
    later = [run for run in record.runs if run.at > passed.at and run.commit not in ours]
    return 1 + len(later) + len(unrecorded(submission, passed.at)) // COMMITS


def unrecorded(submission: Submission, since: int) -> list[int]:
    """The commits after `since` that may have been submitted without a record."""
    return [at for at in submission.commits if at > since]


def ordered(scenarios: Iterable[Scenario], record: Record, submission: Submission) -> list[Scenario]:
    """Those of every time first, then those that passed longest ago, never being longest; between equals by name, begun
    at another one for each submission. Within that, those of a room come after each other."""

    # Those of every time all run: that they are grouped by room counts for more than which is older.
    def key(scenario: Scenario, ago: float) -> tuple[bool, float]:
        return (False, -float(scenario.makes_labs)) if scenario.every_time else (True, -ago)

    return _in_classes(scenarios, record, submission, key)


def ordered_by_age(scenarios: Iterable[Scenario], record: Record, submission: Submission) -> list[Scenario]:
    """For a machine that has not the time for those of every time: all scenarios take turns, those that passed longest
    ago first, and of these the ones that should run every time."""
    return _in_classes(scenarios, record, submission, lambda scenario, ago: (-ago, not scenario.every_time))


def _in_classes(
    scenarios: Iterable[Scenario],
    record: Record,
    submission: Submission,
    key: Callable[[Scenario, float], tuple[float, float]],
) -> list[Scenario]:
    """Class by class, in the order of their keys, which are made of a scenario and how many submissions ago it passed;
    within a class room by room."""
    classes: dict[tuple[float, float], list[tuple[float, Scenario]]] = defaultdict(list)
    for scenario in scenarios:
        found = age(scenario.name, record, submission)
        ago = float("inf") if found is None else found
        classes[key(scenario, ago)].append((ago, scenario))
    order: list[Scenario] = []
    for each in sorted(classes):
        order += _by_room(classes[each], submission.turn, order[-1].room if order else "")
    return order


def pace(before: Mapping[str, int], now: Mapping[str, int]) -> float:
    """How many times as long as before scenarios take now: the median of those that are known of both. Never below 1:
    what was quick once says little of the others."""
    found = [now[name] / before[name] for name in now if before.get(name)]
    return max(1.0, median(found)) if found else 1.0


def within(every_time: Iterable[int], turns: Iterable[int], seconds: float) -> int:
    """Within how many submissions each scenario has to pass, where those of every time and those that take turns take
    so long, and a run has so many seconds for them and for the labs that they begin with. What runs every time leaves
    the others the rest of a run; where it would leave nothing, all of them take turns. They don't fill a run without a
    gap: one more is allowed."""
    always, others = sum(every_time), LABS * sum(turns)
    if always >= seconds:
        always, others = 0, others + LABS * always
    runs = others / (seconds - always) if seconds > 0 else 0.0
    return WITHIN if runs <= WITHIN else min(WITHIN_AT_MOST, math.ceil(runs) + 1)


def fits(took: int | None, now: float, until: float) -> bool:
    """Whether a scenario that took so many seconds the last time would be over by `until` when it is begun now."""
    return now + (UNKNOWN if took is None else took) <= until


def seconds_taken(record: Record) -> dict[str, int]:
    """How long each scenario took when it last passed; of those that a run's end came before since, how long they are
    expected to take."""
    passed = {name: seen.seconds for name, seen in record.passed.items()}
    for name, seen in record.outgrew.items():
        if name not in record.passed or record.passed[name].at < seen.at:
            passed[name] = max(passed.get(name, 0), round(seen.seconds * MORE))
    return passed


def _by_room(aged: Sequence[tuple[float, Scenario]], turn: int, last_room: str) -> list[Scenario]:
    """Room by room, that of the last scenario before them first: its lab still runs."""
    rooms: dict[str, list[tuple[float, Scenario]]] = defaultdict(list)
    for ago, scenario in aged:
        rooms[scenario.room].append((ago, scenario))
    names = _turned(sorted(rooms), turn)
    names.sort(key=lambda room: (room != last_room, -max(ago for ago, _ in rooms[room])))
    order: list[Scenario] = []
    for room in names:
        members = _turned(sorted(rooms[room], key=lambda each: each[1].name), turn)
        order += [scenario for _, scenario in sorted(members, key=lambda each: -each[0])]
    return order


def _turned(things: list[T], turn: int) -> list[T]:
    by = turn % len(things) if things else 0
    return things[by:] + things[:by]
