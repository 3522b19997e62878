"""From all actions and the facts to the ordered list of what has to be done, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import Any, Generic

from bootstrap.engine.action import Action, Facts
from bootstrap.engine.changes import NO_CHANGES, Changes, changes_as_data


@dataclass(frozen=True)
class Planned(Generic[Facts]):
    """An action that has to be done, why, the ids of planned actions that come before it, and what it changes."""

    action: Action[Facts]
    why: str
    after: tuple[str, ...]
    changes: Changes = NO_CHANGES


@dataclass(frozen=True)
class Plan(Generic[Facts]):
    """What has to be done, each after what it needs."""

    items: tuple[Planned[Facts], ...]

    @property
    def empty(self) -> bool:
        return not self.items


def make_plan(actions: Iterable[Action[Facts]], facts: Facts) -> Plan[Facts]:
    """Ask every action whether it has to be done and put those in an order that respects their needs.

    The order is otherwise that of `actions`. An action also waits for what an unplanned one in between needs.
    Raises ValueError for two actions of one id, a need that no action has, or needs that go in a circle.
    """
    by_id: dict[str, Action[Facts]] = {}
    for action in actions:
        if action.id in by_id:
            raise ValueError(f"two actions are called {action.id}")
        by_id[action.id] = action
    order = _ordered(by_id)
    reasons = {name: why for name in order if (why := by_id[name].check(facts)) is not None}
    waits = _planned_needs(by_id, order, reasons)
    return Plan(
        tuple(
            Planned(by_id[name], reasons[name], waits[name], by_id[name].changes(facts))
            for name in order
            if name in reasons
        )
    )


def plan_as_data(plan: Plan[Any]) -> list[dict[str, Any]]:
    """The plan as plain data for JSON or YAML, in order."""
    return [
        {
            "id": item.action.id,
            "node": item.action.node,
            "step": item.action.step,
            "title": item.action.title,
            "why": item.why,
            "wanted_by": item.action.wanted_by,
            "after": list(item.after),
            **({"erases": item.action.erases} if item.action.erases else {}),
            **changes_as_data(item.changes),
        }
        for item in plan.items
    ]


def _ordered(by_id: Mapping[str, Action[Facts]]) -> list[str]:
    for action in by_id.values():
        for need in action.needs:
            if need not in by_id:
                raise ValueError(f"{action.id} needs {need}, which no action is called")
    sorter = TopologicalSorter({name: action.needs for name, action in by_id.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        raise ValueError("actions need each other in a circle: " + " -> ".join(error.args[1])) from None
    rank = {name: position for position, name in enumerate(by_id)}
    ready: list[tuple[int, str]] = []
    order: list[str] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heappush(ready, (rank[name], name))
        order.append(heappop(ready)[1])
        sorter.done(order[-1])
    return order


def _planned_needs(
    by_id: Mapping[str, Action[Facts]], order: Iterable[str], reasons: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """For each action the planned ones before it, seen through those that are not planned."""
    seen: dict[str, tuple[str, ...]] = {}
    for name in order:
        found: dict[str, None] = {}
        for need in by_id[name].needs:
            found.update(dict.fromkeys((need,) if need in reasons else seen[need]))
        seen[name] = tuple(found)
    return seen
