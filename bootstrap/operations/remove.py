"""Removing one node by its name: its entry leaves the inventory first, and then the node leaves the cluster.

The order makes the end of it certain: before the inventory is edited, the entry and the way in which the node is to
leave are written down beside the state, and stay there until it has left. Whatever interrupts it, the same command goes
on from there, and so does `apply --prune`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bootstrap.engine.lock import Patience
from bootstrap.errors import BadUse, Refused
from bootstrap.facts.model import ClusterFacts
from bootstrap.inventory.load import InventoryErrors, ReadInventory, read_inventory, written_of
from bootstrap.inventory.model import Role
from bootstrap.inventory.taking_out import replace_file, without_node
from bootstrap.operations.apply import Applying, applying
from bootstrap.operations.intent import Intent, leaves
from bootstrap.operations.program import Program
from bootstrap.operations.reading import intent_of_written, membership_of
from bootstrap.operations.session import Finished, Session
from bootstrap.phases.leave.checks import ASKED, Leaving
from bootstrap.phases.prepared import Prepared
from bootstrap.state.cluster import ClusterState, cluster_state, state_to_look_at
from bootstrap.state.membership import Disk, Manner, Membership, Pods, note_applied, note_leaving, read_membership


@dataclass(frozen=True)
class RemovalRequest:
    """How a person wants a node to leave; None where they did not say: then as they said before, if they did."""

    disk: Disk | None = None
    pods: Pods | None = None
    drain_seconds: float | None = None

    def manner(self, before: Manner | None) -> Manner:
        """All of it."""
        known = before or Manner()
        return Manner(
            self.disk or known.disk,
            self.pods or known.pods,
            known.drain_seconds if self.drain_seconds is None else self.drain_seconds,
        )


@dataclass(frozen=True)
class Removal:
    """A node that is to leave, and the inventory without it. `before` is what the inventory's file says now."""

    leaving: Leaving
    written: ReadInventory
    before: bytes


def removal_of(path: Path, written: ReadInventory, roll: Membership, name: str, asked: RemovalRequest) -> Removal:
    """What is to be done to remove the node `name`. One whose entry has left the inventory already goes on leaving; one
    that nothing is known of here may be known to the cluster.

    Raises Refused for the last server, BadUse where its entry can't be taken out of the inventory.
    """
    manner = asked.manner(roll.leaving.get(name))
    inventory = written.inventory
    entry = next((node for node in inventory.nodes if node.name == name), None)
    if entry is None:
        return Removal(Leaving(name, roll.applied.get(name), manner, ASKED), written, written.content)
    if entry.role is Role.SERVER and len(inventory.servers) == 1:
        raise Refused(
            "the last server takes the cluster with it",
            node=name,
            step="leave",
            tried="count the servers that would be left",
            got="none",
            hint="to take the cluster apart: clusterup down; to replace the server: add another one first, and apply",
        )
    left = without_node(path, written.content, name)
    try:
        shorter = written_of(path, left)
    except InventoryErrors as error:
        raise _no_good(path, name, error) from None
    return Removal(Leaving(name, entry, manner, ASKED), shorter, written.content)


@dataclass
class Removing:
    """What is at work on a removal. `left` is since when the node has left (ISO 8601), where it has before."""

    removal: Removal
    work: Applying
    path: Path
    roll: Membership
    left: str | None = None

    @property
    def session(self) -> Session:
        """See `bootstrap.operations.session`."""
        return self.work.session

    @property
    def intent(self) -> Intent:
        """What is wanted: the cluster without the node."""
        return self.work.intent

    def prepared(self) -> Prepared | None:
        """What is there and what would be done; None where the node has left before. Raises BadUse that names the nodes
        there are, where there is none of that name."""
        prepared, name = self.work.prepared(), self.removal.leaving.name
        if is_known(self.removal, self.roll, prepared.world):
            return prepared
        self.left = self.roll.left.get(name)
        if self.left is None:
            raise no_such_node(name, self.removal, self.roll, prepared.world)
        return None

    def carry_out(self, prepared: Prepared) -> Finished:
        """Begin, and do what was prepared. Raises BadUse where somebody has edited the inventory meanwhile."""
        begin(self.removal, self.path, self.work.intent.state)
        return self.work.act(prepared)


@contextmanager
def removing(
    path: Path,
    name: str,
    asked: RemovalRequest,
    program: Program,
    patience: Patience,
    *,
    doing: str,
    again: str,
    kubeconfig: Path | None = None,
) -> Iterator[Removing]:
    """Have the cluster of the inventory at `path` to oneself, to take the node `name` out of it. Raises what
    `removal_of` and `applying` do."""
    written = read_inventory(path)
    roll = read_membership(state_to_look_at(written.inventory.cluster.name))
    if roll is None and all(name != each.name for each in written.inventory.nodes):
        roll = membership_of(intent_of_written(path, written, kubeconfig))
    roll = roll or Membership()
    removal = removal_of(path, written, roll, name, asked)

    def read() -> Intent:
        return leaves(intent_of_written(path, removal.written, kubeconfig, cluster_state), removal.leaving)

    with applying(read, program, patience, doing=doing, again=again) as work:
        yield Removing(removal, work, path, roll)


def begin(removal: Removal, path: Path, state: ClusterState) -> None:
    """Write down that the node leaves, then take its entry out of the inventory's file. Raises BadUse where somebody
    has edited that meanwhile."""
    note_applied(state, removal.written.inventory.nodes)
    leaving = removal.leaving
    note_leaving(state, leaving.name, leaving.entry, leaving.manner)
    if removal.written.content != removal.before:
        replace_file(path, removal.before, removal.written.content)


def is_known(removal: Removal, roll: Membership, world: ClusterFacts) -> bool:
    """Whether the node is in the inventory, on the roll, or in the cluster."""
    leaving = removal.leaving
    return (
        leaving.entry is not None
        or leaving.name in roll.leaving
        or leaving.has_node(world)
        or leaving.member(world) is not None
    )


def no_such_node(name: str, removal: Removal, roll: Membership, world: ClusterFacts) -> BadUse:
    """That there is none of that name, and which there are."""
    there = [node.name for node in removal.written.inventory.nodes]
    there += [*roll.applied, *(world.api.ready if world.api else ())]
    return BadUse(
        f"there is no node {name}",
        step="leave",
        tried="look for it in the inventory, among those that left it, and in the cluster",
        got=f"nodes: {_listed(dict.fromkeys(there))}",
        hint="name one of these",
    )


def _no_good(path: Path, name: str, error: InventoryErrors) -> BadUse:
    even = any("servers:" in problem.found for problem in error.problems)
    return BadUse(
        f"without {name} the inventory is no good; nothing was done",
        step="leave",
        tried=f"read {path} without its entry",
        got="; ".join(f"{problem.found}; allowed: {problem.allowed}" for problem in error.problems),
        hint=f"if that is wanted, write `allow_even_servers: true` below `cluster:` in {path}, then run this again"
        if even
        else f"fix {path}, then run this again",
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
