"""What a run proves, in words: which scenarios it ran, which it left out, and whether that may be."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.scenarios.commit import RECORD
from tests.scenarios.order import COMMITS, WITHIN, Scenario, Submission, age, unrecorded
from tests.scenarios.record import CHANGED, NO_GIT, Record, Seen, moment

# pytest has 0 to 5 for itself.
TOO_LITTLE = 8
PASSED = "passed"
FAILED = "failed"
NOT_RUN = "not run"
MORE_TIME = "  CLUSTERUP_TEST_MINUTES=120 scripts/test"
LEFT_OUT = "left out for time"


@dataclass(frozen=True, slots=True)
class Missing:
    """A scenario that did not pass in a whole run, and what is to be known of it. `blamed` is why the run may not count
    as green; nothing where it may."""

    scenario: Scenario
    outcome: str
    last: str
    blamed: str


def missing(
    scenarios: Iterable[Scenario],
    outcomes: Mapping[str, str],
    record: Record,
    submission: Submission,
    *,
    within: int = WITHIN,
) -> list[Missing]:
    """The scenarios that did not pass, by what the record knew of them when the run began. `outcomes` are in words, by
    name, of all that the run had something to do with. Each has to pass `within` so many submissions."""
    found = []
    for scenario in scenarios:
        outcome = outcomes.get(scenario.name, NOT_RUN)
        if outcome != PASSED:
            ago = age(scenario.name, record, submission)
            last, blamed = last_pass(scenario.name, record, ago), _blame(scenario, outcome, ago, within)
            found.append(Missing(scenario, outcome, last, blamed))
    return found


def last_pass(name: str, record: Record, ago: int | None) -> str:
    """When it last passed, in words."""
    passed = record.passed.get(name)
    if passed is None:
        return "it has never passed, as far as is recorded"
    words = f"it last passed at {_short(passed)}, on {moment(passed.at)}"
    if ago is None:
        return f"{words}, and has failed since"
    return f"{words}, {_ago(ago)}"


def words(left: Sequence[Missing], *, within: int = WITHIN) -> list[str]:
    """What is said at the end of a whole run of the scenarios that did not pass in it."""
    blamed = [each for each in left if each.blamed]
    kept = [each for each in left if not each.blamed]
    lines = []
    if kept:
        lines.append(f"Not passed in this run, but within the last {within} submissions:")
        if within > WITHIN:
            lines.append(
                f"  ({WITHIN}, where a machine has the time for all of them in {WITHIN} runs; this one has not)"
            )
        lines += [f"  {each.scenario.name}: {each.outcome}; {each.last}" for each in kept]
        slow = [each.scenario.name for each in kept if each.scenario.every_time]
        if slow:
            lines.append(f"Too slow a machine: {', '.join(slow)} should run every time, and take turns here.")
            lines.append("For all of them:")
            lines.append(MORE_TIME)
    if blamed:
        lines.append(f"This run does not prove enough (exit code {TOO_LITTLE}, unless something worse has another):")
        lines += [f"  {each.scenario.name}: {each.outcome}; {each.last}; {each.blamed}" for each in blamed]
        late = [each.scenario.path for each in blamed if not each.scenario.every_time]
        if late:
            lines.append(
                f"What to do: run those that take turns, bring the record into the repository, commit {RECORD}:"
            )
            lines.append(f"  scripts/test {' '.join(late)}")
            lines.append("  scripts/record-scenarios")
        if len(late) < len(blamed):
            lines.append("Those of every time have to pass in this run itself, unless they are left out for time.")
            lines.append("Where a machine is too slow for them:")
            lines.append(MORE_TIME)
    return lines


def table(
    scenarios: Collection[Scenario], outcomes: Mapping[str, str], record: Record, submission: Submission
) -> list[str]:
    """A line for each scenario: what came of it now, how long it took when it last passed, and when that was."""
    rows = [("scenario", "this time", "took", "last passed at", "when", "")]
    for scenario in sorted(scenarios, key=lambda each: each.name):
        seen = record.passed.get(scenario.name)
        ago = age(scenario.name, record, submission)
        rows.append(
            (
                scenario.name + (" *" if scenario.every_time else ""),
                outcomes.get(scenario.name, "-").partition(":")[0],
                f"{seen.seconds} s" if seen else "-",
                _short(seen) if seen else "-",
                moment(seen.at) if seen else "never",
                _note(outcomes.get(scenario.name), seen, record.failed.get(scenario.name), ago),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*lines, *(["* runs every time"] if any(each.every_time for each in scenarios) else [])]


def counted(record: Record, submission: Submission) -> str:
    """What submissions are counted by, in words."""
    runs = "1 whole run is recorded" if len(record.runs) == 1 else f"{len(record.runs)} whole runs are recorded"
    if record.runs:
        runs += f", the newest at {_short(record.runs[-1])} on {moment(record.runs[-1].at)}"
    commits = len(unrecorded(submission, 0))
    if not commits:
        return f"{runs}."
    return f"{runs}; {commits} commits without a record, {COMMITS} of which count as a submission."


def _blame(scenario: Scenario, outcome: str, ago: int | None, within: int) -> str:
    # Those of every time come first: where one is left out for time, the machine has not enough of it.
    if scenario.every_time and not outcome.startswith(LEFT_OUT):
        return "it has to pass every time"
    if ago is None or ago >= within:
        return f"each has to pass within {within} submissions"
    return ""


def _short(seen: Seen) -> str:
    if seen.commit == NO_GIT:
        return NO_GIT
    return seen.commit[:8] + (CHANGED if seen.commit.endswith(CHANGED) else "")


def _note(outcome: str | None, passed: Seen | None, failed: Seen | None, ago: int | None) -> str:
    if passed is not None and ago is not None:
        return "now" if outcome == PASSED else _ago(ago)
    if failed is None:
        return ""
    # A run that was killed in it has no time to tell.
    after = f" after {failed.seconds} s" if failed.seconds else ""
    return f"failed at {_short(failed)}{after}, {moment(failed.at)}"


def _ago(ago: int) -> str:
    if ago == 0:
        return "at this commit"
    return "1 submission ago" if ago == 1 else f"{ago} submissions ago"
