"""From actions and facts to a plan."""

from __future__ import annotations

import pytest

from bootstrap.engine.action import Action, Context
from bootstrap.engine.plan import make_plan, plan_as_data

ClusterFacts = set[str]  # the ids of what is already true


def nothing(_: Context) -> None:
    return None


def action(name: str, *needs: str) -> Action[ClusterFacts]:
    def check(done: ClusterFacts) -> str | None:
        return None if name in done else f"{name} is not done"

    return Action(name, "s1", "step", f"do {name}", check, nothing, needs=needs)


def ids(actions: list[Action[ClusterFacts]], done: ClusterFacts) -> list[str]:
    return [item.action.id for item in make_plan(actions, done).items]


def test_what_is_true_already_is_not_planned() -> None:
    assert ids([action("a"), action("b")], {"a"}) == ["b"]
    assert make_plan([action("a")], {"a"}).empty


def test_an_action_comes_after_what_it_needs_and_otherwise_where_it_was_given() -> None:
    actions = [action("c", "a"), action("b"), action("a"), action("d")]
    assert ids(actions, set()) == ["b", "a", "c", "d"]


def test_an_action_waits_for_what_an_unplanned_one_in_between_needs() -> None:
    plan = make_plan([action("a"), action("b", "a"), action("c", "b")], {"b"})
    assert plan.items[1].after == ("a",)


def test_a_plan_says_why_each_action_is_there() -> None:
    (data,) = plan_as_data(make_plan([action("a")], set()))
    assert data["why"] == "a is not done"
    assert data["title"] == "do a"


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([action("a"), action("a")], "two actions are called a"),
        ([action("a", "z")], "a needs z"),
        ([action("a", "b"), action("b", "a")], "circle"),
    ],
)
def test_actions_that_contradict_each_other_are_a_mistake(actions: list[Action[ClusterFacts]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_plan(actions, set())
