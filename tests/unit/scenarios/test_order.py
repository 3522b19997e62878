"""Which scenario comes after which, and how long ago one passed."""

from __future__ import annotations

from itertools import groupby

import pytest

from tests.scenarios.order import COMMITS, UNKNOWN, WITHIN, Submission, age, fits, ordered, within
from tests.scenarios.record import NO_GIT, Record, Seen, merged
from tests.unit.scenarios.samples import DAY, commit, record, scenario

TODAY = Submission(commit(9))


def names(scenarios: str, known: Record, submission: Submission = TODAY) -> list[str]:
    """The order of these scenarios, which are given in another one."""
    return [each.name for each in ordered(map(scenario, scenarios.split()), known, submission)]


def test_a_scenario_is_called_after_its_file() -> None:
    drift = scenario("cluster/drift*")
    assert (drift.path, drift.name, drift.room) == ("tests/e2e/cluster/test_drift.py", "cluster/drift", "cluster")


def test_submissions_are_whole_runs_at_other_commits() -> None:
    known = record(1, 2, 3, 9, passed={"a/at_1": 1, "a/at_2": 2, "a/at_3": 3, "a/now": 9})
    ages = {name: age(name, known, TODAY) for name in (*known.passed, "a/never")}
    assert ages == {"a/at_1": 3, "a/at_2": 2, "a/at_3": 1, "a/now": 0, "a/never": None}


def test_what_has_failed_since_it_passed_counts_as_never_passed() -> None:
    known = record(1, 2, passed={"a/broken": 1, "a/fixed": 2}, failed={"a/broken": 2, "a/fixed": 1})
    assert age("a/broken", known, TODAY) is None
    assert age("a/fixed", known, TODAY) == 1


def test_a_commit_that_exists_no_more_is_a_submission_all_the_same() -> None:
    """Rebased commits are ancestors of none: nothing but the time of a run is compared."""
    gone = Seen("f" * 40, 2 * DAY, 60)
    assert age("a/a", Record((gone,), record(passed={"a/a": 1}).passed), TODAY) == 2


def test_without_git_each_run_is_a_submission() -> None:
    known = Record((Seen(NO_GIT, 1 * DAY, 60), Seen(NO_GIT, 2 * DAY, 60)), {"a/a": Seen(NO_GIT, 1 * DAY + 600, 60)})
    assert age("a/a", known, Submission(NO_GIT)) == 2


@pytest.mark.parametrize(("commits", "expected"), [(0, 1), (COMMITS - 1, 1), (COMMITS, 2), (2 * COMMITS, 3)])
def test_where_no_record_was_kept_commits_are_counted(commits: int, expected: int) -> None:
    known = record(1, passed={"a/a": 1})
    before = tuple(range(1, 100))
    assert age("a/a", known, Submission(commit(9), commits=(*before, *range(2 * DAY, 2 * DAY + commits)))) == expected


def test_commits_are_counted_after_the_pass_where_there_was_no_whole_run() -> None:
    known = record(passed={"a/old": 1, "a/new": 5})
    today = Submission(commit(9), commits=tuple(range(2 * DAY, 2 * DAY + 2 * COMMITS)))
    assert (age("a/old", known, today), age("a/new", known, today)) == (3, 1)


def test_those_of_every_time_come_first_then_the_never_seen_then_the_longest_ago_then_by_name() -> None:
    known = record(1, 2, 3, passed={"z/old": 1, "a/new": 3, "b/new": 3, "z/important": 3})
    assert names("b/new a/new z/old m/never z/important*", known) == [
        *("z/important", "m/never", "z/old", "a/new", "b/new")
    ]


def test_those_of_a_room_stay_together_within_what_the_rule_allows() -> None:
    known = record(1, 2, passed={"a/old": 1, "b/old": 1, "a/new": 2, "b/new": 2})
    order = names("a/new b/new a/old b/old b/first* a/first* b/second*", known)
    assert order == [*("a/first", "b/first", "b/second"), *("b/old", "a/old"), *("a/new", "b/new")]


def test_the_room_of_the_last_scenario_goes_on_where_equals_follow() -> None:
    assert names("a/one b/one c/one b/first*", Record()) == ["b/first", "b/one", "a/one", "c/one"]


def test_equals_begin_at_another_one_for_each_submission_and_rooms_stay_together() -> None:
    everything = "a/one a/two b/one b/two b/three c/one"
    orders = [names(everything, Record(), Submission(commit(9), turn)) for turn in range(9)]
    assert {order[0].partition("/")[0] for order in orders} == {"a", "b", "c"}
    begun = {next(name for name in order if name.startswith("b/")) for order in orders}
    assert begun == {"b/one", "b/two", "b/three"}
    for order in orders:
        assert len([room for room, _ in groupby(order, lambda name: name.partition("/")[0])]) == 3


def test_each_scenario_runs_at_least_every_third_time_where_three_runs_have_time_for_all() -> None:
    others = [scenario(f"{room}/{number}") for room in "abc" for number in range(3)]
    known = Record()
    for day in range(1, 30):
        today = Submission(commit(day), turn=day * 7919)
        order = ordered(others, known, today)
        ran, left = [each.name for each in order[:3]], [each.name for each in order[3:]]
        ages = [age(name, known, today) for name in left]
        assert day < WITHIN or all(ago is not None and ago < WITHIN for ago in ages)
        known = merged(known, record(day, passed=dict.fromkeys(ran, day)))


@pytest.mark.parametrize(
    ("every_time", "turns", "seconds", "expected"),
    [
        ([], [60, 60], 60, 3),
        ([], [50] * 3, 60, 3),
        ([], [60] * 3, 60, 5),
        ([], [60] * 4, 60, 6),
        ([], [60] * 100, 60, 9),
        ([40], [50, 50], 100, 3),
        ([40, 20], [50] * 3, 100, 6),
        ([60, 60], [60], 60, 5),
        ([60], [60], 0, 3),
        ([], [], 60, 3),
    ],
)
def test_each_has_to_pass_within_three_submissions_or_as_many_as_a_slow_machine_needs(
    every_time: list[int], turns: list[int], seconds: float, expected: int
) -> None:
    assert within(every_time, turns, seconds) == expected


@pytest.mark.parametrize(
    ("took", "left", "expected"),
    [(60, 60, True), (60, 59, False), (None, UNKNOWN, True), (None, UNKNOWN - 1, False), (0, -1, False)],
)
def test_a_scenario_is_begun_where_it_would_be_over_in_time(took: int | None, left: int, expected: bool) -> None:
    assert fits(took, now=1000.0, until=1000.0 + left) is expected
