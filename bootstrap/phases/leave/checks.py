"""Nodes that leave the cluster: who does, what speaks against it, and what a person has to know of it beforehand."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bootstrap.errors import ClusterupError, Refused
from bootstrap.facts.disks import described
from bootstrap.facts.model import ClusterFacts, EtcdMemberFacts
from bootstrap.inventory.model import Inventory, Node, Role
from bootstrap.phases.etcd.quorum import QuorumLeft, quorums_left
from bootstrap.phases.leave.drain import require_owned
from bootstrap.phases.leave.etcd import Leaver, below_quorum
from bootstrap.spec.topology import endpoint_of
from bootstrap.state.membership import Disk, Manner, Membership, Pods

NAMED = 8
PRUNED = "it is not in the inventory any more"
ASKED = "its removal was asked for"


@dataclass(frozen=True)
class Leaving:
    """A node that is to leave, how, and why. `entry` is what the inventory said of it, None of a node that it never
    had: that one can't be reached, and all that is done is done to the cluster."""

    name: str
    entry: Node | None
    manner: Manner
    why: str

    @property
    def leaver(self) -> Leaver:
        return Leaver.of(self.name, self.entry)

    def member(self, world: ClusterFacts) -> EtcdMemberFacts | None:
        """Its member of etcd, if it is known to have one."""
        members = world.etcd.members if world.etcd else ()
        return next((each for each in members if self.leaver.is_member(each.name, each.peer_urls)), None)

    def has_node(self, world: ClusterFacts) -> bool:
        return world.api is not None and f"Node/{self.name}" in world.api.objects

    def lost(self, world: ClusterFacts) -> bool:
        """Whether its machine is taken for dead: it can't be reached, and its kubelet reports no more."""
        reports = world.api is not None and world.api.ready.get(self.name, False)
        return self.name not in world.leaving and not reports


def pruned(inventory: Inventory, roll: Membership, wipe: Collection[str]) -> tuple[Leaving, ...]:
    """The nodes that have left the inventory. How they leave was said by whoever began to remove them; the disks of
    those in `wipe` are erased in any case."""
    found = []
    for name in roll.without_entry(inventory):
        how = roll.leaving.get(name, Manner())
        manner = Manner(Disk.WIPE, how.pods, how.drain_seconds) if name in wipe else how
        found.append(Leaving(name, roll.applied.get(name), manner, ASKED if name in roll.leaving else PRUNED))
    return tuple(found)


def fate_of(each: Leaving, world: ClusterFacts) -> str:
    """What becomes of its machine, in words: which disk is erased, and what is on it."""
    facts = world.leaving.get(each.name)
    if facts is None or facts.kind != "installed":
        return "its machine is left as it is"
    if each.manner.disk is Disk.KEEP:
        return "its machine is cleaned, and keeps the installed system"
    disks = [described(disk) for disk in facts.disks if disk.in_use]
    return f"its disk is ERASED: {', '.join(disks) or 'the one that it runs from'}"


def with_entries(inventory: Inventory, leaving: Sequence[Leaving]) -> Inventory:
    """The inventory with the entries of those who leave: for the ways into all of them."""
    entries = [each.entry for each in leaving if each.entry is not None]
    return inventory.model_copy(update={"nodes": (*inventory.nodes, *entries)}) if entries else inventory


def one_by_one(leaving: Sequence[Leaving], world: ClusterFacts) -> list[Leaving]:
    """In the order in which they leave etcd: first those whose members are lost already."""
    return sorted(leaving, key=lambda each: not each.lost(world))


def arithmetic(leaving: Sequence[Leaving], world: ClusterFacts) -> Mapping[str, QuorumLeft]:
    """What would be left of the quorum after each server that leaves, by name."""
    if world.etcd is None:
        return {}
    voters = [member.name for member in world.etcd.members if not member.learner]
    return quorums_left(voters, [each.name for each in one_by_one(leaving, world)], world.etcd.well)


def leave_problems(inventory: Inventory, leaving: Sequence[Leaving], world: ClusterFacts) -> list[ClusterupError]:
    """Everything that keeps nodes from leaving, found before anything is changed."""
    problems: list[ClusterupError] = [
        below_quorum(left) for left in arithmetic(leaving, world).values() if not left.holds
    ]
    for each in leaving:
        problems += _against(each, inventory, world)
    return problems


def _against(each: Leaving, inventory: Inventory, world: ClusterFacts) -> Iterator[ClusterupError]:
    if world.api is None or world.etcd is None:
        missing = "etcd" if world.etcd is None else "API server"
        yield _refused(
            each,
            f"no {missing} answers on the servers that stay, and the cluster has to know that it leaves",
            got="nothing answers there",
            hint="apply without --prune first, to fix them; to take the whole cluster apart: clusterup down",
        )
        return
    if each.entry is not None and inventory.cluster.endpoint and endpoint_of(inventory)[0] == str(each.entry.address):
        yield _refused(
            each,
            "cluster.endpoint is its address",
            got=inventory.cluster.endpoint,
            hint="name another endpoint in the inventory (or none: then it is the first server's address)",
        )
    if each.manner.pods is Pods.DELETE:
        return
    if not each.lost(world):
        try:
            require_owned(each.name, world.api.pods.get(each.name, ()), each.manner.pods)
        except Refused as error:
            yield error
    if each.name not in world.leaving and world.api.ready.get(each.name, False):
        away = world.away.get(each.name)
        yield _refused(
            each,
            "its kubelet is alive and its machine can't be reached, so that it would come back after its removal",
            got=away.problem if away else "the inventory never said how it is reached",
            hint="fix the way in, or switch the machine off; to remove it all the same: clusterup remove --force",
        )


def _nowhere(inventory: Inventory, leaving: Sequence[Leaving], world: ClusterFacts) -> bool:
    """Whether pods have to go elsewhere, and neither a node of the inventory nor one that joined with a token would
    run them."""
    if world.api is None or not any(world.api.pods.get(each.name) for each in leaving):
        return False
    others = {*world.api.ready} - {each.name for each in leaving} - {node.name for node in inventory.nodes}
    return not others and not any(inventory.runs_pods(node) for node in inventory.nodes)


def _refused(each: Leaving, problem: str, *, got: str, hint: str) -> Refused:
    return Refused(problem, node=each.name, step="leave", tried="looked before changing anything", got=got, hint=hint)


def _volumes_lost(each: Leaving, world: ClusterFacts) -> Iterator[str]:
    """What is on its disk and nowhere else."""
    found = world.api.volumes.get(each.name, ()) if world.api is not None else ()
    if found:
        named = [str(volume) for volume in found[:NAMED]]
        more = [f"{len(found) - NAMED} more"] if len(found) > NAMED else []
        claims = f"the claim{'' if len(found) == 1 else 's'} {', '.join((*named, *more))}"
        yield (
            f"the data of {claims} is on {each.name}'s disk and nowhere else: it goes with the node. Pods that use it "
            "wait until you delete their claims; copy first what is to last (a further disk for volumes is not "
            "erased)"
        )


def notes(inventory: Inventory, leaving: Sequence[Leaving], world: ClusterFacts, kubeconfig: bytes) -> Iterator[str]:
    """What a person has to know of it that no action says. `kubeconfig` is the one that is there now."""
    if _nowhere(inventory, leaving, world):
        yield (
            "no node is left that runs pods: the servers are `schedulable: false`. What has to go elsewhere waits "
            "until an agent joins, and a disruption budget may hold up the rest"
        )
    for each in leaving:
        yield from _volumes_lost(each, world)
        if each.lost(world) and (each.has_node(world) or each.member(world)):
            away = world.away.get(each.name)
            why = f" ({away.problem})" if away else ""
            yield (
                f"{each.name} can't be reached{why}: its pods are given up and started elsewhere, and its machine is "
                "not cleaned. Be sure that it is off, and erase its disk before it is started again"
            )
        elif each.name not in world.leaving:
            yield f"{each.name} is not cleaned: no way leads into its machine"
        if each.entry is None or each.entry.role is not Role.SERVER or inventory.cluster.endpoint:
            continue
        if f"https://{each.entry.address}:".encode() in kubeconfig:
            host, port = endpoint_of(inventory)
            yield (
                f"the cluster's endpoint was {each.name}: it is https://{host}:{port} now. The kubeconfig is written "
                "again; copies of it elsewhere have to be replaced"
            )
