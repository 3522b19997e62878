"""Records and scenarios as tests need them. Time is counted in days: small numbers of them are easier to read."""

from __future__ import annotations

from collections.abc import Mapping

from tests.scenarios.order import Scenario
from tests.scenarios.record import Record, Seen

DAY = 24 * 3600


def commit(day: int) -> str:
    """The commit that was submitted on that day."""
    return f"{day:040x}"


def seen(day: int, seconds: int = 60) -> Seen:
    """Something of that day's run."""
    return Seen(commit(day), day * DAY, seconds)


def after(run: Seen) -> Seen:
    """What passed in that run: it was over later than the run began."""
    return Seen(run.commit, run.at + 600, 60)


def record(*runs: int, passed: Mapping[str, int] | None = None, failed: Mapping[str, int] | None = None) -> Record:
    """Whole runs of those days, and in which of them a scenario passed or failed."""
    return Record(
        tuple(seen(day, 3600) for day in runs),
        {name: after(seen(day)) for name, day in (passed or {}).items()},
        {name: after(seen(day)) for name, day in (failed or {}).items()},
    )


def scenario(name: str) -> Scenario:
    """The scenario of that name. One of every time has a star."""
    room, _, module = name.strip("*").rpartition("/")
    return Scenario(f"tests/e2e/{room}/test_{module}.py", name.endswith("*"))
