"""What speaks against making volumes on the nodes, and which of them a node takes with it when it leaves."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from bootstrap.engine.action import Action, Context
from bootstrap.errors import ClusterupError, Refused
from bootstrap.facts.disks import described, find_disk
from bootstrap.facts.model import ClusterFacts, DiskFacts, NodeFacts
from bootstrap.image.bundle import Bundle
from bootstrap.inventory.model import Inventory
from bootstrap.paths import templates_dir
from bootstrap.phases.others import CLASS_KEY, somebody_elses
from bootstrap.phases.reasons import judged
from bootstrap.spec.node import Desired, VolumesDisk
from bootstrap.spec.volumes import LABEL, provides
from bootstrap.state.cluster import ClusterState
from bootstrap.transport.base import Command

STEP = "preflight"


def volume_problems(
    state: ClusterState, objects: Mapping[str, Mapping[str, Any]], inventory: Inventory, bundle: Bundle
) -> Iterator[ClusterupError]:
    """A new cluster whose bundle has nothing to keep volumes within their sizes with, and one whose class of storage is
    somebody else's. `objects` are those that the API server has, by their keys."""
    if inventory.volumes.by != "nodes":
        return
    if not provides(inventory, bundle.versions):
        # A cluster that was founded keeps what it has.
        if not state.founded:
            yield Refused(
                "the nodes are to make volumes, and the bundle has nothing to keep them within their sizes",
                step=STEP,
                tried=f"look for the tools for disk quotas in the payload of the bundle in {bundle.directory}",
                got="there are none: an earlier clusterup made it",
                hint="make a new one: clusterup image build; or leave volumes to a manifest of yours: write "
                "`volumes: none` into the inventory",
            )
        return
    if (refusal := somebody_elses(CLASS_KEY, objects.get(CLASS_KEY))) is not None:
        yield refusal


def disk_problems(nodes: Mapping[str, Desired], world: ClusterFacts) -> Iterator[ClusterupError]:
    """What keeps further disks from being formatted for volumes: nothing that is on one is erased."""
    for name, desired in nodes.items():
        facts = world.nodes.get(name)
        if facts is None or desired.volumes is None:
            continue
        disk = find_disk(facts.disks, desired.volumes.disk)
        there = "; ".join(described(each) for each in facts.disks) or "none"
        if disk is None:
            problem, got = f"it has no disk {desired.volumes.disk} for volumes", f"disks: {there}"
        elif desired.node.disk and disk is find_disk(facts.disks, desired.node.disk):
            problem, got = f"{disk.path} is the disk of the micro OS, and no further one", f"disks: {there}"
        elif _is_made(disk, desired.volumes):
            continue
        elif disk.readonly:
            problem, got = f"{disk.path} is read-only", described(disk)
        elif disk.contents or disk.in_use:
            problem, got = f"{disk.path} is to be for volumes, and holds data", described(disk)
        else:
            continue
        yield Refused(
            problem,
            node=name,
            step=STEP,
            tried="looked before changing anything",
            got=got,
            hint="name another disk (`volumes: {disk: ...}` of the node). If all that is on it may be lost, make it "
            "empty yourself: wipefs --all DISK, on the node",
        )


def _is_made(disk: DiskFacts, wanted: VolumesDisk) -> bool:
    return disk.contents.endswith(f" {LABEL} {wanted.uuid}")


def disk_actions(desired: Desired, world: ClusterFacts) -> list[Action[ClusterFacts]]:
    """The action that makes the file system on a node's further disk."""
    volumes, name = desired.volumes, desired.node.name
    if volumes is None:
        return []
    facts = world.nodes.get(name)
    disk = find_disk(facts.disks, volumes.disk) if facts else None
    target = described(disk) if disk else volumes.disk

    def reason(facts: NodeFacts, _: ClusterFacts) -> str | None:
        found = find_disk(facts.disks, volumes.disk)
        return None if found is not None and _is_made(found, volumes) else "it has no file system for volumes"

    return [
        Action(
            id=disk_id(name),
            node=name,
            step="volumes",
            title=f"format {target} for volumes",
            check=judged(name, reason),
            apply=lambda context: _format(context, name, volumes),
            needs=(f"{name}/install.boot",),
        )
    ]


def disk_id(node: str) -> str:
    """Of the action of `disk_actions`."""
    return f"{node}/volumes.format"


def _format(context: Context, node: str, volumes: VolumesDisk) -> None:
    """Raises ClusterupError where there is something on the disk by now."""
    template = (templates_dir() / "node" / "format-volumes.sh").read_text()
    script = template.format(disk=shlex.quote(volumes.disk), uuid=volumes.uuid, label=LABEL)
    context.on(node).check(Command("format the disk for volumes", script), timeout=600)
