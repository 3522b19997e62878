"""What a node's actions would change on it: which files, which units, and what that interrupts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bootstrap.constants.paths import KEPT_ETC
from bootstrap.engine.changes import (
    NEW,
    NO_CHANGES,
    OTHER_CONTENT,
    OTHER_MODE,
    RESTARTS,
    STARTS,
    STOPS,
    Changes,
    FileChange,
    UnitChange,
)
from bootstrap.facts.model import ClusterFacts, NodeFacts
from bootstrap.machine.units import Runs
from bootstrap.phases.reasons import running
from bootstrap.protocol.files import NodeFile

OF_OTHERS = 0o077
ETCD = "etcd.service"
NO_QUORUM = "without it there is no quorum: the API does not answer until it is back; pods go on"
# What restarting a unit interrupts: where the same unit runs on other nodes, and where it is the only one.
_INTERRUPTS: dict[str, tuple[str, str]] = {
    ETCD: ("the other members keep the quorum", "the API does not answer until it is back; pods go on"),
    "kube-apiserver.service": (
        "what is connected to it connects to another one",
        "the API does not answer until it is back; pods go on",
    ),
    "kube-controller-manager.service": ("another one leads meanwhile", "nothing is replaced until it is back"),
    "kube-scheduler.service": ("another one leads meanwhile", "no new pod is placed until it is back"),
    "clusterup-approver.service": ("another server lets nodes join meanwhile", "no node joins until it is back"),
}
_ON_A_NODE: dict[str, str] = {
    "containerd.service": "pods go on; none starts or stops until it is back",
    "kubelet.service": "pods go on",
    "kube-proxy.service": "services go on; changes of them wait until it is back",
    "clusterup-balancer.service": "the node's connections to the API begin again",
    "clusterup-network.service": "pods go on; routes to new nodes and new names wait until it is back",
    "clusterup-dns.service": "pods find no names until it is back",
}


def file_changes(files: Iterable[NodeFile], node: str) -> Callable[[ClusterFacts], Changes]:
    """Which of a node's files would be written. The copy that its next boot takes counts with the file."""

    def changes(world: ClusterFacts) -> Changes:
        facts = world.nodes.get(node)
        if facts is None or facts.kind != "installed":
            return NO_CHANGES
        found = ((file, _what(file, facts)) for file in sorted(files, key=lambda file: file.path))
        return Changes(files=tuple(FileChange(file.path, what, is_secret(file)) for file, what in found if what))

    return changes


def unit_changes(units: Iterable[Runs], node: str) -> Callable[[ClusterFacts], Changes]:
    """Which of a node's units would start, or start again, in the order in which they do."""

    def changes(world: ClusterFacts) -> Changes:
        facts = world.nodes.get(node)
        if facts is None or facts.kind != "installed":
            return NO_CHANGES
        found = []
        for unit in units:
            there = facts.units.get(unit.name)
            if there is None or there.active != "active":
                found.append(UnitChange(unit.name, STARTS))
            elif there.applied != unit.digest:
                found.append(UnitChange(unit.name, RESTARTS, interrupted(unit.name, node, world)))
        return Changes(units=tuple(found))

    return changes


def stops(units: Iterable[str], node: str) -> Callable[[ClusterFacts], Changes]:
    """Which of these units would stop, because nothing asks for them any more."""

    def changes(world: ClusterFacts) -> Changes:
        facts = world.nodes.get(node)
        if facts is None or facts.kind != "installed":
            return NO_CHANGES
        return Changes(units=tuple(UnitChange(name, STOPS) for name in units if running((name,), facts)))

    return changes


def interrupted(unit: str, node: str, world: ClusterFacts) -> str:
    """What a restart of the unit on the node interrupts, in words; empty where nothing notices."""
    if unit in _ON_A_NODE:
        return _ON_A_NODE[unit]
    others = [
        name
        for name, facts in world.nodes.items()
        if name != node and (there := facts.units.get(unit)) is not None and there.active == "active"
    ]
    if unit == ETCD and others and not _is_a_quorum(len(others), world):
        return NO_QUORUM
    with_others, alone = _INTERRUPTS.get(unit, ("", ""))
    return with_others if others else alone


def _is_a_quorum(others: int, world: ClusterFacts) -> bool:
    voters = sum(not member.learner for member in world.etcd.members) if world.etcd is not None else others + 1
    return others >= voters // 2 + 1


def is_secret(file: NodeFile) -> bool:
    """Whether nobody but root may read it on the node."""
    return not file.mode & OF_OTHERS


def _what(file: NodeFile, facts: NodeFacts) -> str:
    places = (file.path, f"{KEPT_ETC}{file.path}")
    if file.path not in facts.files:
        return NEW
    if any(facts.files.get(place) != file.sha256 for place in places):
        return OTHER_CONTENT
    if any(place in facts.modes and facts.modes[place] != file.mode for place in places):
        return OTHER_MODE
    return ""
