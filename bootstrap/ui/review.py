"""A plan as text that a person reviews: what would be done on which node and why, which files are written, what starts
again and what that interrupts, and, last, which disks are erased."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from bootstrap.engine.changes import DELETED, NEW, OTHER_MODE, REFUSED, RESTARTS, STAYS, STOPS, FileChange, ObjectChange
from bootstrap.engine.plan import Plan, Planned
from bootstrap.outside import on_one_line

Diffs = Mapping[tuple[str, str], Sequence[str]]
"""Lines of a diff, by the node and the path of the file."""
# Files of a node, and objects of an entry, that are named one by one; a plan that writes more of them names the first.
MOST_FILES = 40
# Values of an object that are shown.
MOST_VALUES = 20
_MARKS = {NEW: "+", OTHER_MODE: "=", DELETED: "-", STAYS: "=", REFUSED: "!"}


def plan_lines(plan: Plan[Any], unreachable: Collection[str] = (), diffs: Diffs | None = None) -> Iterator[str]:
    """The plan, node by node: what would be done, and why. `unreachable` are the machines that were not looked at,
    `diffs` what is other in files. Safe for a terminal, as all lines here are."""
    not_seen = on_one_line(f"not reached, and nothing is known of: {', '.join(unreachable)}")
    if plan.empty:
        yield (
            "nothing to do on the machines that answered"
            if unreachable
            else ("nothing to do: everything is as the inventory says")
        )
        if unreachable:
            yield not_seen
        return
    yield from map(on_one_line, _node_by_node(plan, diffs or {}))
    yield from map(on_one_line, _restarts(plan))
    yield from map(on_one_line, _stops(plan))
    yield counted(plan)
    if unreachable:
        yield not_seen
    yield from map(on_one_line, _erased(plan))


def counted(plan: Plan[Any]) -> str:
    """How much it is, as in "12 actions on 3 machines, and 2 for the cluster as a whole"."""
    machines = {item.action.node for item in plan.items if item.action.node is not None}
    of_all = sum(item.action.node is None for item in plan.items)
    on_them = len(plan.items) - of_all
    parts = []
    if on_them:
        parts.append(f"{number_of(on_them, 'action')} on {number_of(len(machines), 'machine')}")
    if of_all:
        parts.append(f"{of_all if on_them else number_of(of_all, 'action')} for the cluster as a whole")
    return ", and ".join(parts)


def number_of(count: int, thing: str) -> str:
    """So many of a thing, as in "1 fault" and "2 faults"."""
    return f"{count} {thing}" + ("" if count == 1 else "s")


def _node_by_node(plan: Plan[Any], diffs: Diffs) -> Iterator[str]:
    by_node: dict[str, list[Planned[Any]]] = {}
    for item in plan.items:
        by_node.setdefault(item.action.node or "cluster", []).append(item)
    for node, items in by_node.items():
        yield node
        for (why, place), together in groupby(items, key=lambda item: (item.why, item.action.wanted_by)):
            same = list(together)
            yield from (f"  {item.action.step}: {item.action.title}" for item in same)
            yield f"      because {why}" + (f" ({place})" if place else "")
            yield from _files([change for item in same for change in item.changes.files], node, diffs)
            yield from _objects([change for item in same for change in item.changes.objects])


def _files(changes: Sequence[FileChange], node: str, diffs: Diffs) -> Iterator[str]:
    for change in changes[:MOST_FILES]:
        about = " (secret: its content is not shown)" if change.secret else ""
        yield f"        {_MARKS.get(change.what, '~')} {change.path} ({change.what}){about}"
        yield from (f"          {line}" for line in diffs.get((node, change.path), ()))
    if len(changes) > MOST_FILES:
        yield f"        and {len(changes) - MOST_FILES} more"


def _objects(changes: Sequence[ObjectChange]) -> Iterator[str]:
    for change in changes[:MOST_FILES]:
        about = f"{change.what}: {change.why}" if change.why else change.what
        yield f"        {_MARKS.get(change.what, '~')} {change.key} ({about})"
        yield from (f"          {line}" for line in change.lines[:MOST_VALUES])
        if len(change.lines) > MOST_VALUES:
            yield f"          and {len(change.lines) - MOST_VALUES} more"
    if len(changes) > MOST_FILES:
        yield f"        and {len(changes) - MOST_FILES} more"


def _restarts(plan: Plan[Any]) -> Iterator[str]:
    """What starts again on which node, in the order in which it does."""
    by_node: dict[str, list[str]] = {}
    for item in plan.items:
        for change in item.changes.units:
            if change.does == RESTARTS:
                unit = change.unit.removesuffix(".service")
                about = f" ({change.interrupts})" if change.interrupts else ""
                by_node.setdefault(item.action.node or "cluster", []).append(f"    {unit}{about}")
    if not by_node:
        return
    yield "restarts (servers one after the other, in this order; agents at the same time):"
    for node, units in by_node.items():
        yield f"  {node}"
        yield from units


def _stops(plan: Plan[Any]) -> Iterator[str]:
    """What runs, and is to run no longer."""
    found = [
        (item.action.node or "cluster", change.unit.removesuffix(".service"))
        for item in plan.items
        for change in item.changes.units
        if change.does == STOPS
    ]
    if found:
        yield "stops, as the inventory no longer asks for it:"
    for node, unit in found:
        yield f"  {node}: {unit}"


def _erased(plan: Plan[Any]) -> Iterator[str]:
    erased = dict.fromkeys((item.action.node, item.action.erases) for item in plan.items if item.action.erases)
    if erased:
        yield "disks that are erased:"
    for node, disk in erased:
        yield f"  {node}: {disk}"
