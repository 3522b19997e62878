"""A plan in a file: what was to be done, and what was true when it was made.

It is applied only while both are still so: a person who has read a plan gets that plan, or hears what has moved.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootstrap.engine.plan import Plan, plan_as_data
from bootstrap.errors import BadUse, Refused
from bootstrap.written import write

FORMAT = 1
NOTHING = "nothing"

SavedFacts = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A plan that was made: `about` says what for (name -> value), `actions` are those of `plan_as_data`, `facts` what
    was found, by node and name."""

    about: Mapping[str, str]
    actions: tuple[Mapping[str, Any], ...]
    facts: SavedFacts


def saved_plan(plan: Plan[Any], *, about: Mapping[str, str], facts: SavedFacts) -> SavedPlan:
    """The plan as it would be saved."""
    return SavedPlan(dict(about), tuple(plan_as_data(plan)), {name: dict(found) for name, found in facts.items()})


def write_plan(path: Path, saved: SavedPlan) -> None:
    """Write it, whole or not at all, readable by its owner alone. Raises BadUse where it can't be written."""
    data = {"format": FORMAT, "about": saved.about, "actions": saved.actions, "facts": saved.facts}
    try:
        write(path, json.dumps(data, indent=1).encode() + b"\n")
    except OSError as error:
        raise BadUse(
            f"{path} can't be written",
            step="plan",
            tried="save the plan",
            got=error.strerror or str(error),
            hint="name a file in a folder of yours",
        ) from None


def read_plan(path: Path) -> SavedPlan:
    """The plan in that file. Raises BadUse where there is none that this version understands."""
    try:
        data = json.loads(path.read_text())
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']}, this version reads {FORMAT}")
        return SavedPlan(_words(data["about"]), tuple(map(_action, data["actions"])), _facts(data["facts"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        got = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        raise BadUse(
            f"{path} is not a plan that was saved",
            step="plan",
            tried="read it",
            got=got or str(error),
            hint="make one: clusterup plan INVENTORY --out FILE",
        ) from None


def _words(found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise TypeError("names and words are expected")
    return found


def _facts(found: Any) -> dict[str, dict[str, str]]:
    if not isinstance(found, dict):
        raise TypeError("facts by node are expected")
    return {name: _words(facts) for name, facts in found.items()}


def _action(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise TypeError("an action is expected")
    return {"id": found["id"], "title": found["title"], "why": found["why"], **found}


def require_unmoved(saved: SavedPlan, now: SavedPlan, path: Path) -> None:
    """Raise Refused that names everything that is no longer as it was when the plan was saved at `path`."""
    moved = list(_moved(saved, now))
    if moved:
        raise Refused(
            f"things have moved since {path} was made; nothing was done",
            step="plan",
            tried="compare it with what is so now",
            got="\n".join(moved),
            hint="make the plan again with `clusterup plan --out`, read it, and apply that one",
        )


def _moved(saved: SavedPlan, now: SavedPlan) -> Iterator[str]:
    yield from (text for _, text in _differences({"": saved.about}, {"": now.about}))
    moved = list(_differences(saved.facts, now.facts))
    yield from (f"{node}: {text}" for node, text in moved)
    before, after = ({str(item["id"]): item for item in plan.actions} for plan in (saved, now))
    for name in [*before, *(name for name in after if name not in before)]:
        if name not in after:
            yield f"no longer to be done: {name} ({before[name]['title']})"
        elif name not in before:
            yield f"to be done as well: {name} ({after[name]['title']})"
        elif before[name] != after[name]:
            yield f"to be done for another reason: {name} ({before[name]['why']}; now: {after[name]['why']})"


def _differences(before: SavedFacts, after: SavedFacts) -> Iterator[tuple[str, str]]:
    for node in dict.fromkeys([*before, *after]):
        was, now = before.get(node, {}), after.get(node, {})
        for name in dict.fromkeys([*was, *now]):
            if was.get(name) != now.get(name):
                yield node, f"{name} was {was.get(name, NOTHING)}, is {now.get(name, NOTHING)}"
