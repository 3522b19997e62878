"""A run as a picture: lanes, fates, the chain that determined the end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.engine.events import ActionDone, ActionStarted, Event, RunEnded, RunStarted
from bootstrap.engine.history import Run
from bootstrap.engine.timeline import Bar, Fate, Timeline, critical_path, in_lanes, make_timeline
from bootstrap.errors import ClusterupError, Interrupted
from tests.helpers.journals import BEGAN, began, done, ended, failed, planned, skipped, started

ERROR = ClusterupError("it broke", hint="fix it")


def timeline(*events: Event, under_way: bool = False) -> Timeline:
    first = next((event for event in events if isinstance(event, RunStarted)), None)
    last = next((event for event in events if isinstance(event, RunEnded)), None)
    run = Run("r1", BEGAN, max(event.time for event in events), first, last, under_way)
    return make_timeline(run, events)


def bar(name: str, start: float, end: float, *after: str) -> Bar:
    node, _, step = name.partition("/")
    return Bar(name, node, step, step, after=after, fate=Fate.DONE, began=start, ended=end)


def by_id(found: Timeline) -> dict[str, Bar]:
    return {bar.id: bar for bar in found.bars}


def test_a_row_a_node_in_the_plan_s_order_and_the_cluster_last() -> None:
    plan = [planned("s2/a"), planned("cluster/b"), planned("s1/a")]
    found = timeline(started(plan), *(event for action in plan for event in done(action, 0, 1)), ended(1))
    assert [row.node for row in found.rows] == ["s2", "s1", "cluster"]


def test_a_bar_says_why_it_was_there_when_it_ran_and_how_it_ended() -> None:
    plan = [planned("s1/a", why="the disk is empty"), planned("s1/b", "s1/a")]
    found = by_id(timeline(started(plan), *done(plan[0], 1, 3), *failed(plan[1], 3, 7.5, ERROR), ended(8)))
    first, second = found["s1/a"], found["s1/b"]
    assert (first.fate, first.why, first.began, first.ended) == (Fate.DONE, "the disk is empty", 1, 3)
    assert (second.fate, second.seconds, second.error) == (Fate.FAILED, 4.5, ERROR)


def test_what_was_not_begun_says_because_of_what() -> None:
    plan = [planned("s1/a"), planned("s1/b", "s1/a"), planned("s1/c")]
    found = timeline(started(plan), *failed(plan[0], 0, 1, ERROR), skipped(plan[1], 1, "s1/a"), ended(1))
    (row,) = found.rows
    assert [(bar.id, bar.because) for bar in row.not_begun] == [("s1/b", "s1/a"), ("s1/c", "")]


def test_what_a_person_stopped_has_not_failed() -> None:
    action = planned("s1/a")
    found = timeline(started([action]), *failed(action, 0, 5, Interrupted("stopped", hint="again")), ended(5))
    assert by_id(found)["s1/a"].fate is Fate.UNFINISHED


def test_a_killed_run_s_actions_end_with_its_last_word() -> None:
    plan = [planned("s1/a"), planned("s2/a"), planned("s3/a")]
    found = timeline(started(plan), began(plan[0], 1), *done(plan[1], 0, 9))
    killed = by_id(found)["s1/a"]
    assert (killed.fate, killed.began, killed.ended) == (Fate.UNFINISHED, 1, 9)
    assert by_id(found)["s3/a"].fate is Fate.NOT_BEGUN
    assert found.seconds == 9


def test_what_runs_now_is_under_way() -> None:
    action = planned("s1/a")
    assert by_id(timeline(started([action]), began(action, 0), under_way=True))["s1/a"].fate is Fate.RUNNING


def test_without_the_first_line_there_is_still_a_picture() -> None:
    found = timeline(*done(planned("s1/a"), 2, 3), *done(planned("cluster/b"), 3, 4))
    assert [(bar.node, bar.fate) for bar in found.bars] == [("s1", Fate.DONE), ("cluster", Fate.DONE)]


def test_without_the_line_of_its_beginning_an_action_began_as_long_before_its_end_as_it_took() -> None:
    action = planned("s1/a")
    _, end = done(action, 2, 10)
    assert by_id(timeline(started([action]), end))["s1/a"].began == 2


def test_when_the_clock_is_set_what_was_measured_counts() -> None:
    action = planned("s1/a")
    who: dict[str, Any] = {name: action[name] for name in ("id", "node", "step", "title")}
    for jump in (-3600.0, 3600.0):
        events = (
            ActionStarted(time=BEGAN + 10, **who),
            ActionDone(time=BEGAN + 15 + jump, **who, seconds=5.0),
        )
        found = by_id(timeline(started([action]), *events))["s1/a"]
        assert (found.began, found.ended) == (10, 15)


def test_actions_of_a_node_that_ran_at_once_are_in_different_lanes() -> None:
    found = in_lanes(
        [bar("s1/a", 0, 10), bar("s1/b", 2, 4), bar("s1/c", 4, 6), bar("s1/d", 5, 12), bar("s1/e", 10, 11)]
    )
    assert {bar.step: bar.lane for bar in found} == {"a": 0, "b": 1, "c": 1, "d": 2, "e": 0}


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=30))
def test_lanes_are_free_of_overlaps_and_as_few_as_possible(spans: list[tuple[int, int]]) -> None:
    found = in_lanes(bar(f"s1/{n}", start, start + long) for n, (start, long) in enumerate(spans))
    for number, one in enumerate(found):
        for other in found[number + 1 :]:
            assert one.lane != other.lane or one.ended <= other.began
    most = max((sum(a.began <= b.began < a.ended for a in found) for b in found), default=0)
    assert len({bar.lane for bar in found}) == most


def test_the_critical_path_is_the_chain_of_needs_that_determined_the_end() -> None:
    chain = critical_path(
        [
            bar("s1/a", 0, 5),
            bar("s2/a", 0, 9),
            bar("s1/b", 9, 10, "s1/a", "s2/a"),
            bar("s1/c", 10, 30, "s1/b"),
            bar("s3/a", 0, 29),
        ]
    )
    assert [link.bar.id for link in chain] == ["s2/a", "s1/b", "s1/c"]


def test_a_wait_for_a_free_place_is_part_of_the_critical_path() -> None:
    chain = critical_path([bar("s1/a", 2, 5), bar("s1/b", 8, 10, "s1/a")])
    assert [(link.bar.id, link.waited) for link in chain] == [("s1/a", 2), ("s1/b", 3)]
    assert sum(link.waited + link.bar.seconds for link in chain) == 10


def test_what_did_not_run_is_on_no_path() -> None:
    never = Bar("s1/b", "s1", "b", "b", after=("s1/a",))
    assert [link.bar.id for link in critical_path([bar("s1/a", 0, 1), never])] == ["s1/a"]
    assert critical_path([never]) == ()


def test_needs_that_go_in_a_circle_or_nowhere_end_the_path() -> None:
    chain = critical_path([bar("s1/a", 0, 1, "s1/b"), bar("s1/b", 1, 2, "s1/a", "s9/gone")])
    assert [link.bar.id for link in chain] == ["s1/a", "s1/b"]


def test_steps_are_summed_over_all_nodes() -> None:
    plan = [planned("s1/a"), planned("s2/a"), planned("s3/a"), planned("s1/b")]
    found = timeline(
        started(plan),
        *done(plan[0], 0, 4),
        *done(plan[1], 1, 9),
        *failed(plan[2], 2, 3, ERROR),
        *done(plan[3], 4, 5),
        ended(9),
    )
    first, second = found.steps
    assert (first.step, first.count, first.failed, first.total, first.span) == ("a", 3, 1, 13, 9)
    assert (first.median, first.longest.id) == (4, "s2/a")
    assert second.step == "b"
    assert second.total == pytest.approx(1)
