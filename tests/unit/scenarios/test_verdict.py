"""What is said of a run at its end."""

from __future__ import annotations

import pytest

from tests.scenarios.order import COMMITS, Submission
from tests.scenarios.record import NO_GIT, Record, Seen
from tests.scenarios.verdict import counted, missing, table, words
from tests.unit.scenarios.samples import DAY, commit, record, scenario

TODAY = Submission(commit(9))


@pytest.mark.parametrize(
    ("name", "known", "blamed"),
    [
        ("a/a", record(7, 8, passed={"a/a": 8}), False),
        ("a/a", record(7, 8, passed={"a/a": 7}), False),
        ("a/a", record(6, 7, 8, passed={"a/a": 6}), True),
        ("a/a", record(7, 8), True),
        ("a/a", record(7, 8, passed={"a/a": 7}, failed={"a/a": 8}), True),
        ("a/a*", record(7, 8, passed={"a/a": 8}), True),
        ("a/a* left", record(7, 8, passed={"a/a": 8}), False),
        ("a/a* left", record(6, 7, 8, passed={"a/a": 6}), True),
    ],
    ids=["last-time", "two-ago", "three-ago", "never", "failed-since", "every-time", "no-time", "no-time-for-long"],
)
def test_a_scenario_that_is_left_out_may_be_so_twice_and_one_of_every_time_for_want_of_time_alone(
    name: str, known: Record, blamed: bool
) -> None:
    name, _, left = name.partition(" ")
    outcomes = {"a/a": "left out for time: it needs 60 s and 3 s were left"} if left else {}
    (found,) = missing([scenario(name)], outcomes, known, TODAY)
    assert bool(found.blamed) is blamed


def test_what_passed_is_not_missing() -> None:
    assert missing([scenario("a/a*")], {"a/a": "passed"}, Record(), TODAY) == []


def test_what_is_missing_is_named_with_what_to_do() -> None:
    known = record(6, 7, 8, passed={"a/late": 6, "a/fine": 8})
    outcomes = dict.fromkeys(("a/late", "a/fine"), "left out for time: it needs 60 s and 3 s were left")
    scenarios = [scenario(name) for name in ("a/late", "a/fine", "b/never*")]
    assert words(missing(scenarios, outcomes, known, TODAY)) == [
        "Not passed in this run, but within the last 3 submissions:",
        "  a/fine: left out for time: it needs 60 s and 3 s were left; it last passed at 00000000, on "
        "1970-01-09T00:10:00Z, 1 submission ago",
        "This run does not prove enough (exit code 8, unless something worse has another):",
        "  a/late: left out for time: it needs 60 s and 3 s were left; it last passed at 00000000, on "
        "1970-01-07T00:10:00Z, 3 submissions ago; each has to pass within 3 submissions",
        "  b/never: not run; it has never passed, as far as is recorded; it has to pass every time",
        "What to do: run those that take turns, bring the record into the repository, commit tests/e2e/record.json:",
        "  scripts/test tests/e2e/a/test_late.py",
        "  scripts/record-scenarios",
        "Those of every time have to pass in this run itself, unless they are left out for time.",
        "Where a machine is too slow for them:",
        "  CLUSTERUP_TEST_MINUTES=120 scripts/test",
    ]


def test_the_table_has_a_line_for_each_with_what_is_known_of_it() -> None:
    passed = {
        "b/now": Seen("abcdef0123" * 4, 9 * DAY, 1234),
        "a/changed": Seen("abcdef0123" * 4 + "+", 8 * DAY, 7),
        "a/archive": Seen(NO_GIT, 8 * DAY, 7),
        "a/broken": Seen(commit(1), DAY, 7),
    }
    known = Record((), passed, {"a/broken": Seen(commit(2), 2 * DAY, 9)})
    scenarios = [scenario(name) for name in ("b/now*", "a/changed", "a/archive", "a/broken", "c/never")]
    outcomes = {"b/now": "passed", "a/changed": "left out for time: it needs 7 s and 3 s were left"}
    assert table(scenarios, outcomes, known, TODAY) == [
        "scenario   this time          took    last passed at  when",
        "a/archive  -                  7 s     no-git          1970-01-09T00:00:00Z  1 submission ago",
        "a/broken   -                  7 s     00000000        1970-01-02T00:00:00Z  "
        "failed at 00000000 after 9 s, 1970-01-03T00:00:00Z",
        "a/changed  left out for time  7 s     abcdef01+       1970-01-09T00:00:00Z  1 submission ago",
        "b/now *    passed             1234 s  abcdef01        1970-01-10T00:00:00Z  now",
        "c/never    -                  -       -               never",
        "* runs every time",
    ]


def test_it_is_said_what_submissions_are_counted_by() -> None:
    assert counted(Record(), TODAY) == "0 whole runs are recorded."
    assert counted(record(1), Submission(commit(9), commits=(DAY + 1, DAY + 2))) == (
        "1 whole run is recorded, the newest at 00000000 on 1970-01-02T00:00:00Z;"
        f" 2 commits without a record, {COMMITS} of which count as a submission."
    )
