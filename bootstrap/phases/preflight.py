"""Everything that speaks against an apply, found before anything is changed and reported together."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from bootstrap.errors import ClusterupError, Refused
from bootstrap.facts.disks import described, find_disk, human_size
from bootstrap.facts.model import ClusterFacts, NodeFacts
from bootstrap.image.architecture import ARCHITECTURES
from bootstrap.image.bundle import Bundle
from bootstrap.inventory.model import Inventory, Node, Role

GIB = 1024**3
# What the firmware and the kernel keep for themselves is not in MemTotal: a 2 GiB machine shows about 1.9.
MEMORY = {Role.SERVER: int(1.5 * GIB), Role.AGENT: int(0.75 * GIB)}
DISK = 4 * GIB
SKEW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Advice:
    """What to do next, where that depends on what the person typed: {} is the node's name."""

    no_disk: str = "set `disk:` of the node"
    other_disk: str = "set `disk:` to one of these"
    wipe: str = "--wipe {}"
    foreign: str = (
        "if another operator made this cluster: `clusterup adopt`, after moving away the state that is here; "
        "if not, take the machine out of the other cluster, or start it from the live USB stick to install it again"
    )


BY_INVENTORY = Advice()


def preflight(
    inventory: Inventory,
    world: ClusterFacts,
    *,
    cluster_id: str,
    bundle: Bundle,
    wipe: frozenset[str],
    written: Collection[str] = (),
    advice: Advice = BY_INVENTORY,
) -> list[ClusterupError]:
    """Everything that keeps the reachable nodes from being made what the inventory says.

    `bundle` is what they would be made of, `wipe` the names of nodes whose disks may be erased though they
    hold data, `written` those of nodes whose disks hold nothing but what an earlier apply wrote for them. Unreachable
    nodes are not judged.
    """
    problems = [*_same_machine_twice(world)]
    for node in inventory.nodes:
        facts = world.nodes.get(node.name)
        if facts is None:
            continue
        parts = bundle.for_architecture(node.architecture)
        problems += _machine(node, facts, parts.architecture)
        if facts.kind == "installed":
            problems += _ours(node, facts, cluster_id, advice)
        else:
            image = parts.artifact("os")
            problems += _disk(node, facts, image.raw_size or image.size, {*wipe, *written}, advice)
    return problems


def _refused(node: str, problem: str, *, got: str, hint: str) -> Refused:
    return Refused(problem, node=node, step="preflight", tried="looked before changing anything", got=got, hint=hint)


def _same_machine_twice(world: ClusterFacts) -> Iterator[ClusterupError]:
    seen: dict[str, str] = {}
    for name, facts in world.nodes.items():
        if facts.machine_id and facts.machine_id in seen:
            yield _refused(
                name,
                f"it has the machine id of {seen[facts.machine_id]}",
                got=facts.machine_id,
                hint="two addresses of one machine, or a copied system: give each node its own",
            )
        seen.setdefault(facts.machine_id, name)


def _machine(node: Node, facts: NodeFacts, architecture: str) -> Iterator[ClusterupError]:
    if facts.architecture != ARCHITECTURES[architecture].machine:
        there = next((each.name for each in ARCHITECTURES.values() if each.machine == facts.architecture), None)
        yield _refused(
            node.name,
            "what would be put on it does not run on its processor",
            got=f"{facts.architecture}, and that is for {architecture}",
            hint=f"write `architecture: {there}` for the node, and use a bundle that has it (`clusterup image build "
            f"--arch {architecture} --arch {there}`)"
            if there
            else f"use a machine that is one of {', '.join(ARCHITECTURES)}",
        )
    if not facts.uefi:
        yield _refused(
            node.name,
            "the machine was not started by UEFI firmware",
            got="no /sys/firmware/efi",
            hint="turn UEFI on (and legacy boot off) in its setup, and start it again",
        )
    least = MEMORY[node.role]
    if facts.memory < least:
        yield _refused(
            node.name,
            f"too little memory: a {node.role} needs {human_size(least)}",
            got=human_size(facts.memory),
            hint="give it more, or make it an agent" if node.role is Role.SERVER else "give it more",
        )
    if abs(facts.skew) > SKEW_SECONDS:
        word = "ahead of" if facts.skew > 0 else "behind"
        yield _refused(
            node.name,
            "its clock is wrong, so that no certificate would be valid when it should be",
            got=f"{abs(facts.skew):.0f} s {word} this machine's",
            hint="set the node's clock (date, or its firmware's setup), or this machine's",
        )


def _ours(node: Node, facts: NodeFacts, cluster_id: str, advice: Advice) -> Iterator[ClusterupError]:
    if facts.cluster_id != cluster_id:
        yield _refused(
            node.name,
            "it runs the micro OS of another cluster",
            got=f"cluster id {facts.cluster_id or 'none'}, ours is {cluster_id}",
            hint=advice.foreign,
        )


def _disk(
    node: Node, facts: NodeFacts, image_size: int, wipe: Collection[str], advice: Advice
) -> Iterator[ClusterupError]:
    there = "; ".join(described(disk) for disk in facts.disks) or "none"
    if node.disk is None:
        yield _refused(
            node.name,
            "nothing says which disk to install to",
            got=f"disks: {there}",
            hint=advice.no_disk,
        )
        return
    disk = find_disk(facts.disks, node.disk)
    if disk is None:
        yield _refused(node.name, f"it has no disk {node.disk}", got=f"disks: {there}", hint=advice.other_disk)
        return
    if disk.in_use:
        yield _refused(
            node.name,
            f"the system that it runs now uses {disk.path}",
            got=described(disk),
            hint="start the machine from the live USB stick, or name another disk",
        )
    elif disk.readonly:
        yield _refused(node.name, f"{disk.path} is read-only", got=described(disk), hint="name another disk")
    elif disk.contents and node.name not in wipe:
        yield _refused(
            node.name,
            f"{disk.path} holds data",
            got=described(disk),
            hint=f"if all of it may be lost: {advice.wipe.format(node.name)}",
        )
    least = max(DISK, image_size)
    if disk.size < least:
        yield _refused(
            node.name,
            f"{disk.path} is too small: {human_size(least)} are needed",
            got=described(disk),
            hint="name another disk",
        )
