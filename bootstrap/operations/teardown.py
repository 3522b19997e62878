"""Taking a whole cluster apart: every node is cleaned, or its disk erased, and what this machine keeps of the cluster's
life is forgotten. No pod is moved and no member leaves: all of it goes.

A node is taken for one that is in use by what is on it, whichever life of the cluster that came from: one that was off
when the others were taken apart is cleaned later, when the cluster may have been made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bootstrap.constants.paths import ETCD_BIRTH, KEPT_ETC, KUBERNETES_CA
from bootstrap.engine.action import Action, Context
from bootstrap.engine.connections import Connections
from bootstrap.engine.events import Observer
from bootstrap.engine.gather import gather
from bootstrap.engine.plan import make_plan
from bootstrap.engine.run import Report, State
from bootstrap.errors import ClusterupError, Refused
from bootstrap.facts.model import ClusterFacts, NodeFacts, Seen, Unreachable
from bootstrap.facts.node import Wanted, read_node
from bootstrap.inventory.model import Inventory, Node, Role
from bootstrap.operations.connections import kept_open
from bootstrap.phases.kubeconfig import admin_kubeconfig
from bootstrap.phases.prepared import Prepared
from bootstrap.phases.reset.leftovers import knows
from bootstrap.phases.reset.reset import SystemDisk, clean_node, half_clean, is_clean, read_system_disk, wipe_node
from bootstrap.pki.kubeconfig import to_yaml
from bootstrap.pki.store import read_if_there
from bootstrap.state.cluster import ClusterState
from bootstrap.state.credentials import OperatorKeys, operator_keys
from bootstrap.transport.base import Transport

WANTED = Wanted(files=(KUBERNETES_CA, f"{KEPT_ETC}{KUBERNETES_CA}", ETCD_BIRTH), units=("etcd.service",))
CLEAN, WIPE = "down.clean", "down.wipe"


@dataclass(frozen=True)
class Teardown:
    """What is to be taken apart: the cluster of an inventory with what is kept of it here. `wipe` are the nodes whose
    disks are erased, `only` those that are looked at, where not all are; `kubeconfig` is where apply wrote it."""

    inventory: Inventory
    state: ClusterState
    kubeconfig: Path
    wipe: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()

    @property
    def nodes(self) -> list[Node]:
        return [node for node in self.inventory.nodes if not self.only or node.name in self.only]

    @cached_property
    def keys(self) -> OperatorKeys:
        """What opens the cluster's etcd."""
        return operator_keys(self.state)

    @property
    def has_keys(self) -> bool:
        return self.state.pki_folder.is_dir()


@dataclass(frozen=True)
class Survey:
    """What was found: `world`, and the system disks of nodes by name, as far as they were asked for."""

    world: ClusterFacts
    disks: Mapping[str, SystemDisk] = field(default_factory=dict)


def survey(down: Teardown, connections: Connections, *, parallel: int, observe: Observer) -> Survey:
    """Read the facts of every node at once, and which disk is to be erased. What can't be reached is in the world's
    `unreachable`."""

    def read(way: Transport) -> tuple[NodeFacts, SystemDisk | None]:
        facts = read_node(way, WANTED)
        wanted = way.node in down.wipe and facts.kind == "installed"
        return facts, read_system_disk(way) if wanted else None

    names = [node.name for node in down.nodes]
    keep = kept_open(down.inventory, ())
    found = gather(names, read, connections, parallel=parallel, observe=observe, keep=keep)
    seen: dict[str, Seen] = {name: facts for name, (facts, _) in found.values.items()}
    seen |= {name: Unreachable(error) for name, error in found.errors.items() if not down.state.was_wiped(name)}
    disks = {name: disk for name, (_, disk) in found.values.items() if disk is not None}
    return Survey(ClusterFacts({name: seen[name] for name in names if name in seen}), disks)


def plan_teardown(down: Teardown, seen: Survey) -> Prepared:
    """What would be done on which node, and what speaks against it."""
    actions = [action for node in down.nodes for action in _actions(down, node, seen)]
    return Prepared(seen.world, tuple(_refusals(down, seen.world)), make_plan(actions, seen.world))


def left_alone(down: Teardown, world: ClusterFacts) -> dict[str, str]:
    """Why nothing is done on nodes that were reached, by name."""
    found = {}
    for node in down.nodes:
        facts = world.nodes.get(node.name)
        if facts is None:
            if node.name not in world.unreachable:
                found[node.name] = "its disk was erased before, and it does not answer"
        elif facts.kind != "installed":
            found[node.name] = "the installed system does not run there"
        elif facts.cluster_id != down.state.cluster_id:
            found[node.name] = f"it belongs to another cluster ({facts.cluster_id or 'no id'})"
        elif is_clean(facts) and node.name not in down.wipe:
            found[node.name] = "it is clean: nothing is there but the installed system"
    return found


def what_is_left(node: Node) -> str:
    """In words: what is on a node that was not reached."""
    own = "etcd's data with all of the cluster's secrets, keys of its authorities, " if node.role is Role.SERVER else ""
    return f"{own}the data of its pods, a kubelet that starts with the machine"


def forget(down: Teardown, report: Report | None, seen: Survey) -> Iterator[str]:
    """Forget what has become of no use, and say what. Nothing is forgotten where nothing was taken apart, where
    something is left of what could be reached, or where only some nodes were asked for."""
    outcomes = report.outcomes if report else ()
    done = {outcome.action.node for outcome in outcomes if outcome.state is State.DONE}
    nothing_left = all(outcome.state is State.DONE for outcome in outcomes)
    if down.only or not nothing_left:
        return
    if done or down.state.ending_note.exists():
        if down.has_keys:
            yield from _forget_kubeconfig(down)
        down.state.forget_life()
        yield "the cluster's authorities are forgotten: applying again makes a new cluster"
    if not down.state.founded and _no_node_left(down, seen.world):
        down.state.forget_all_but_the_journal()
        yield f"no node of it is left: nothing is kept but what happened, in {down.state.journal}"


def _no_node_left(down: Teardown, world: ClusterFacts) -> bool:
    """Whether nothing runs the cluster's system any more, and disks were erased for that."""
    ours = [name for name, facts in world.nodes.items() if facts.cluster_id == down.state.cluster_id]
    wiped = [node.name for node in down.nodes if down.state.was_wiped(node.name)]
    return bool(wiped) and not world.unreachable and set(ours) <= set(wiped)


def _forget_kubeconfig(down: Teardown) -> Iterator[str]:
    kept = read_if_there(down.kubeconfig)
    if kept is None:
        return
    try:
        made = to_yaml(admin_kubeconfig(down.inventory, down.keys))
    except ClusterupError as error:
        yield f"{down.kubeconfig} stays, and is of no use: whether clusterup wrote it is not known ({error.problem})"
        return
    if kept == made:
        down.kubeconfig.unlink()
        yield f"{down.kubeconfig} was of no use any more, and is removed"
    else:
        yield f"{down.kubeconfig} is not as clusterup wrote it, and stays: what it says of this cluster is of no use"


def _actions(down: Teardown, node: Node, seen: Survey) -> Iterator[Action[ClusterFacts]]:
    name = node.name
    if name in left_alone(down, seen.world):
        return
    if name in down.wipe:
        disk = seen.disks.get(name)
        yield Action(
            id=f"{name}/{WIPE}",
            node=name,
            step="wipe",
            title=f"erase {disk or 'its disk'} and restart the machine",
            check=lambda world: _why(world, name, "its disk is to be erased"),
            apply=lambda context: _wipe(context, name, down.state),
            erases=str(disk or "its disk"),
        )
        return
    yield Action(
        id=f"{name}/{CLEAN}",
        node=name,
        step="clean",
        title="stop everything, remove from /var all that came after the installation, and restart the machine",
        check=lambda world: _why(world, name, ""),
        apply=lambda context: clean_node(context, name),
    )


def _wipe(context: Context, name: str, state: ClusterState) -> None:
    wipe_node(context, name)
    state.note_wiped(name)


def _why(world: ClusterFacts, name: str, otherwise: str) -> str | None:
    facts = world.nodes.get(name)
    if facts is None:
        return None
    if half_clean(facts):
        return "its cleaning was begun and did not end"
    if facts.etcd_data:
        return "it has a member of etcd, and what pods keep there"
    if facts.traces:
        return f"there is {facts.traces[0]}" + (f" and {len(facts.traces) - 1} more" if facts.traces[1:] else "")
    return otherwise or None


def _refusals(down: Teardown, world: ClusterFacts) -> Iterator[ClusterupError]:
    """Single nodes are only asked for when they are not part of a cluster that lives, as far as is known here."""
    if not (down.only and down.state.founded and down.has_keys):
        return
    own = hashlib.sha256(down.keys.pki.ca.cert_pem).hexdigest()
    for name, facts in world.nodes.items():
        authority = knows(facts)
        if half_clean(facts) or authority is None or authority in down.state.past_lives:
            continue
        yield Refused(
            "it is part of the cluster as it is now" if authority == own else "it is part of a cluster not known here",
            node=name,
            step="down",
            tried="look whose authority it knows",
            got="this cluster's" if authority == own else "neither this cluster's nor that of an earlier life of it",
            hint=f"take one node out of a cluster with clusterup remove {name}; all of it: without --only"
            if authority == own
            else "if another operator made the cluster again: move the state away that is here, and clusterup adopt",
        )
