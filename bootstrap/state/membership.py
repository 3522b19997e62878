"""Who belongs to the cluster, as far as this machine knows: the nodes that were applied, those that are to leave it and
how, and those that have left.

A node that was applied stays on it until it has left, whatever the inventory says by then: that is how an inventory
that lost an entry is known from one that never had it, and what a node is reached by that has no entry any more. It is
written by whoever holds the lock beside the state.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from bootstrap.errors import ClusterupError
from bootstrap.inventory.model import Inventory, Node
from bootstrap.inventory.words import problems_in_words
from bootstrap.pki.store import read_if_there, read_note
from bootstrap.state.cluster import ClusterState
from bootstrap.state.damage import damaged
from bootstrap.written import write_private

DRAIN_SECONDS = 600.0
# What the cluster does without it, after {move}.
FORGETS = (
    "{move}run the same command again. The next apply writes it again; nodes that left the inventory and were not "
    "removed yet are then removed by their names: clusterup remove NODE"
)


class Pods(StrEnum):
    """What becomes of pods that do not go by themselves."""

    WAIT = "wait"
    DELETE = "delete"


class Disk(StrEnum):
    """What becomes of the disk of a node that leaves."""

    KEEP = "keep"
    WIPE = "wipe"


@dataclass(frozen=True, slots=True)
class Manner:
    """How a node leaves: `drain_seconds` is how long its pods may take to go."""

    disk: Disk = Disk.KEEP
    pods: Pods = Pods.WAIT
    drain_seconds: float = DRAIN_SECONDS


@dataclass(frozen=True)
class Membership:
    """Nodes by name: `applied` as they stood in the inventory, `leaving` how, `left` when (ISO 8601)."""

    applied: dict[str, Node] = field(default_factory=dict)
    leaving: dict[str, Manner] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    def without_entry(self, inventory: Inventory) -> list[str]:
        """The nodes that belong to the cluster and have no entry in the inventory any more."""
        has = {node.name for node in inventory.nodes}
        return [name for name in dict.fromkeys([*self.applied, *self.leaving]) if name not in has]


def read_membership(state: ClusterState) -> Membership | None:
    """What is known; None where nothing was ever applied from here. Raises Refused where that is damaged."""
    content = read_note(_file(state))
    if content is None:
        return None
    try:
        data = json.loads(content)
        return Membership(
            {name: _entry(state, name, entry) for name, entry in data["applied"].items()},
            {
                name: Manner(Disk(how["disk"]), Pods(how["pods"]), float(how["drain_seconds"]))
                for name, how in data["leaving"].items()
            },
            {str(name): str(when) for name, when in data["left"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise damaged(_file(state), "it does not say which nodes were applied", FORGETS) from None


def _entry(state: ClusterState, name: str, entry: Mapping[str, Any]) -> Node:
    """A node as it was applied. Where that holds something that inventories may not hold any more, the rest of it: its
    way in and its role are what is needed of a node that has no entry."""
    from pydantic import ValidationError

    try:
        return Node.model_validate(entry)
    except ValidationError:
        kept = {key: entry[key] for key in ("name", "role", "address", "ssh", "console", "disk") if key in entry}
    try:
        return Node.model_validate(kept)
    except ValidationError as error:
        raise ClusterupError(
            "what was applied from here has something that this clusterup doesn't take",
            node=name,
            step="inventory",
            tried=f"read {_file(state)}",
            got="; ".join(problems_in_words(error, ("nodes", 0))[:3]),
            hint="correct it there as in the inventory; where the node has left for good, take its entry out",
        ) from None


def note_applied(state: ClusterState, nodes: Iterable[Node]) -> None:
    """Remember nodes as they are applied. Whoever is applied neither leaves nor has left."""
    roll = read_membership(state) or Membership()
    here = {node.name: node for node in nodes}
    _write(
        state,
        Membership(
            {**roll.applied, **here},
            {name: how for name, how in roll.leaving.items() if name not in here},
            {name: when for name, when in roll.left.items() if name not in here},
        ),
    )


def note_leaving(state: ClusterState, name: str, entry: Node | None, manner: Manner) -> None:
    """Remember that a node is to leave, how, and the entry that it had in the inventory, if it had one."""
    roll = read_membership(state) or Membership()
    applied = {**roll.applied, name: entry} if entry is not None else roll.applied
    _write(state, Membership(applied, {**roll.leaving, name: manner}, roll.left))


def note_left(state: ClusterState, name: str) -> None:
    """Remember that a node has left, and no more of it."""
    roll = read_membership(state) or Membership()
    when = datetime.now(UTC).isoformat(timespec="seconds")
    _write(
        state,
        Membership(
            {other: node for other, node in roll.applied.items() if other != name},
            {other: how for other, how in roll.leaving.items() if other != name},
            {**roll.left, name: when},
        ),
    )


def _file(state: ClusterState) -> Path:
    return state.roll


def _write(state: ClusterState, roll: Membership) -> None:
    data: dict[str, Any] = {
        "applied": {
            name: node.model_dump(mode="json", exclude_defaults=True) | {"name": name, "address": str(node.address)}
            for name, node in roll.applied.items()
        },
        "leaving": {
            name: {"disk": how.disk.value, "pods": how.pods.value, "drain_seconds": how.drain_seconds}
            for name, how in roll.leaving.items()
        },
        "left": roll.left,
    }
    content = (json.dumps(data, indent=1) + "\n").encode()
    if read_if_there(_file(state)) != content:
        write_private(_file(state), content)
