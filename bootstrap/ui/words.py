"""Plans and reports as text that is read by a person."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from bootstrap.engine.plan import Plan, Planned
from bootstrap.engine.run import Report, State


def plan_lines(plan: Plan[Any]) -> Iterator[str]:
    """The plan, node by node: what would be done, and why."""
    if plan.empty:
        yield "nothing to do: everything is as the inventory says"
        return
    by_node: dict[str, list[Planned[Any]]] = {}
    for item in plan.items:
        by_node.setdefault(item.action.node or "cluster", []).append(item)
    for node, items in by_node.items():
        yield node
        for (why, place), together in groupby(items, key=lambda item: (item.why, item.action.wanted_by)):
            yield from (f"  {item.action.step}: {item.action.title}" for item in together)
            yield f"      because {why}" + (f" ({place})" if place else "")
    yield f"{len(plan.items)} actions on {len(by_node)} machines"


def report_lines(report: Report, again: str) -> Iterator[str]:
    """How a run ended: failures in full, the time of each step, and `again`, the command to go on with."""
    failed, skipped = report.of(State.FAILED), report.of(State.SKIPPED)
    for outcome in failed:
        yield str(outcome.error)
    for outcome in skipped:
        yield f"{outcome.action.node or 'cluster'}: not begun: {outcome.action.title} (because of {outcome.because})"
    for step, seconds in report.seconds_by_step.items():
        yield f"  {step:<12} {seconds:8.1f} s"
    done = len(report.of(State.DONE))
    yield f"{done} done, {len(failed)} failed, {len(skipped)} not begun, in {report.seconds:.1f} s"
    if failed or skipped:
        yield f"to go on: {again}"
