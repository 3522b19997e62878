"""What is remembered of the scenarios: when each passed, when it failed, and which whole runs there were.

The same form stands in the repository (tests/e2e/record.json, which developers commit) and in the user's cache
(scenarios.json, which every run writes). docs/testing.md says what it is for.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bootstrap.locks import waiting_lock

FORMAT = 1
# Whole runs that are remembered; a verdict looks at fewer.
RUNS = 12
# A tree without git has no commit: each of its runs stands for itself.
NO_GIT = "no-git"
# Follows the commit of a tree that had changes.
CHANGED = "+"

# Clocks of two machines differ by less, in seconds; what is later than that is from the future.
SKEW = 3600
LONGEST = 7 * 24 * 3600
LARGEST = 1 << 20

COMMIT = re.compile(r"[0-9a-f]{7,64}\+?|no-git")
NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}(/[A-Za-z0-9_.-]{1,100}){0,5}")


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that happened at a commit. `at` is in seconds since the epoch: of a scenario when it was over, of a run
    when it began. `seconds` is how long it took."""

    commit: str
    at: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Record:
    """Whole runs at distinct commits, oldest first. By the scenario's name, when it last passed, when it last failed,
    and when it was last ended because the time of a run was over."""

    runs: tuple[Seen, ...] = ()
    passed: Mapping[str, Seen] = field(default_factory=dict)
    failed: Mapping[str, Seen] = field(default_factory=dict)
    outgrew: Mapping[str, Seen] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file held, and in words what of it was of no use."""

    record: Record
    complaints: tuple[str, ...] = ()


def merged(*records: Record) -> Record:
    """Of each scenario and of each run's commit the newest; the newest `RUNS` runs."""
    runs = {_key(run): run for run in sorted((run for each in records for run in each.runs), key=_age)}
    return Record(
        tuple(sorted(runs.values(), key=_age)[-RUNS:]),
        _newest(each.passed for each in records),
        _newest(each.failed for each in records),
        _newest(each.outgrew for each in records),
    )


def is_vague(commit: str) -> bool:
    """Whether trees that are called so may differ."""
    return commit == NO_GIT or commit.endswith(CHANGED)


def without(record: Record, existing: Iterable[str]) -> Record:
    """The record without scenarios that do not exist any more."""
    names = set(existing)
    return Record(
        record.runs,
        {name: seen for name, seen in record.passed.items() if name in names},
        {name: seen for name, seen in record.failed.items() if name in names},
        {name: seen for name, seen in record.outgrew.items() if name in names},
    )


def read(path: Path, now: float) -> Reading:
    """The record in that file; an empty one where there is none. What is damaged or later than `now` is left out, with
    a complaint. Raises nothing."""
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST} bytes")
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise ValueError(f"it has no format {FORMAT}")
    except FileNotFoundError:
        return Reading(Record())
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return Reading(Record(), (f"{path} can't be used, and counts as empty: {why}",))
    complaints: list[str] = []
    runs = tuple(_all(path, _list(content.get("runs")), now, complaints))
    maps = (_named(path, content.get(key), now, complaints) for key in ("passed", "failed", "outgrew"))
    return Reading(merged(Record(runs, *maps)), tuple(complaints))


def text(record: Record) -> str:
    """As it stands in a file: sorted, the same text for the same record."""
    content = {
        "format": FORMAT,
        "runs": [_data(run) for run in record.runs],
        "passed": {name: _data(seen) for name, seen in sorted(record.passed.items())},
        "failed": {name: _data(seen) for name, seen in sorted(record.failed.items())},
        "outgrew": {name: _data(seen) for name, seen in sorted(record.outgrew.items())},
    }
    return json.dumps(content, indent=2) + "\n"


def write(path: Path, record: Record) -> None:
    """Write it, whole or not at all. Raises OSError."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("w") as handle:
            handle.write(text(record))
            handle.flush()
            os.fsync(handle.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def add(path: Path, seen: Record, now: float) -> None:
    """Add what was seen to the record in that file. Several processes may do so at once. Raises OSError."""
    with waiting_lock(path.with_suffix(".lock")):
        write(path, merged(read(path, now).record, seen))


def take_back_failure(path: Path, name: str, seen: Seen, before: Seen | None, now: float) -> None:
    """Take out of the record in that file that a scenario failed, if it is that failure, and put back the one `before`
    it. Raises OSError."""
    with waiting_lock(path.with_suffix(".lock")):
        record = read(path, now).record
        if record.failed.get(name) == seen:
            failed = {each: was for each, was in record.failed.items() if each != name}
            write(path, replace(record, failed=failed if before is None else {**failed, name: before}))


def moment(at: int) -> str:
    """A time as it stands in the file: 2026-11-29T00:14:40Z."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _newest(maps: Iterable[Mapping[str, Seen]]) -> dict[str, Seen]:
    return dict(sorted((pair for each in maps for pair in each.items()), key=_by_age))


def _by_age(pair: tuple[str, Seen]) -> tuple[int, int, str]:
    return _age(pair[1])


def _age(seen: Seen) -> tuple[int, int, str]:
    return seen.at, seen.seconds, seen.commit


def _key(run: Seen) -> str:
    """What makes it another run: of trees that may differ each one is."""
    return f"{run.commit} {run.at}" if is_vague(run.commit) else run.commit


def _data(seen: Seen) -> dict[str, Any]:
    return {"commit": seen.commit, "at": moment(seen.at), "seconds": seen.seconds}


def _list(content: Any) -> list[Any]:
    return content if isinstance(content, list) else []


def _named(path: Path, content: Any, now: float, complaints: list[str]) -> dict[str, Seen]:
    pairs = list(content.items()) if isinstance(content, dict) else []
    found = {}
    for name, entry in pairs:
        for seen in _all(path, [entry] if NAME.fullmatch(name) else [None], now, complaints):
            found[name] = seen
    return found


def _all(path: Path, entries: Iterable[Any], now: float, complaints: list[str]) -> Iterable[Seen]:
    for entry in entries:
        try:
            seen = _seen(entry)
        except (KeyError, TypeError, ValueError, OverflowError):
            complaints.append(f"{path}: an entry that can't be understood is left out")
            continue
        if seen.at > now + SKEW:
            complaints.append(f"{path}: an entry of {moment(seen.at)}, which is in the future, is left out")
            continue
        yield seen


def _seen(entry: Any) -> Seen:
    commit, seconds = entry["commit"], entry["seconds"]
    at = datetime.fromisoformat(entry["at"])
    if not COMMIT.fullmatch(commit) or at.tzinfo is None or isinstance(seconds, bool):
        raise ValueError
    if not math.isfinite(seconds) or not 0 <= seconds <= LONGEST:
        raise ValueError
    return Seen(commit, int(at.timestamp()), round(seconds))
