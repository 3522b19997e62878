"""What speaks against making volumes on the nodes, and further disks that are formatted for them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from bootstrap.constants.paths import VOLUMES
from bootstrap.engine.action import Action, Context
from bootstrap.errors import ClusterupError, Refused
from bootstrap.facts.disks import described, find_disk
from bootstrap.facts.model import ClusterFacts, DiskFacts, NodeFacts
from bootstrap.image.bundle import Bundle
from bootstrap.inventory.model import Inventory
from bootstrap.paths import templates_dir
from bootstrap.phases.changes import unit_changes
from bootstrap.phases.deploy.services import ensure_units
from bootstrap.phases.others import CLASS_KEY, somebody_elses
from bootstrap.phases.reasons import judged, not_running
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
    """What keeps further disks from being formatted for volumes: nothing that is on one is erased. A disk that is
    missing at an installed node is no reason not to look after all others: its own step fails."""
    for name, desired in nodes.items():
        facts = world.nodes.get(name)
        if facts is None or desired.volumes is None:
            continue
        if (found := _against(desired, desired.volumes, facts)) is not None:
            problem, got = found
            yield Refused(
                problem,
                node=name,
                step=STEP,
                tried="looked before changing anything",
                got=got,
                hint="name another disk (`volumes: {disk: ...}` of the node). If all that is on it may be lost, make "
                "it empty yourself: blkdiscard --force --zeroout DISK, on the node",
            )


def _against(desired: Desired, wanted: VolumesDisk, facts: NodeFacts) -> tuple[str, str] | None:
    """What speaks against the disk, and what was found."""
    disk, made = find_disk(facts.disks, wanted.disk), _made(facts, wanted)
    there = "; ".join(described(each) for each in facts.disks) or "none"
    if disk is None:
        missing = f"it has no disk {wanted.disk} for volumes", f"disks: {there}"
        return None if made or facts.kind == "installed" else missing
    if desired.node.disk and disk is find_disk(facts.disks, desired.node.disk):
        return f"{disk.path} is the disk of the micro OS, and no further one", f"disks: {there}"
    if made is not None:
        other = f"its volumes are on {made.path}, and {wanted.disk} is another disk", described(made)
        return None if made is disk else other
    if disk.readonly:
        return f"{disk.path} is read-only", described(disk)
    if disk.contents or disk.in_use:
        return f"{disk.path} is to be for volumes, and holds data", described(disk)
    return None


def _made(facts: NodeFacts, wanted: VolumesDisk) -> DiskFacts | None:
    """The disk that was formatted for this node's volumes, whatever it is called now."""
    return next((disk for disk in facts.disks if disk.contents.endswith(f" {LABEL} {wanted.uuid}")), None)


def disk_actions(desired: Desired, world: ClusterFacts) -> list[Action[ClusterFacts]]:
    """The actions that make the file system on a node's further disk, and mount it. Nothing else waits for them."""
    volumes, name = desired.volumes, desired.node.name
    if volumes is None:
        return []
    facts = world.nodes.get(name)
    disk = find_disk(facts.disks, volumes.disk) if facts else None
    target = described(disk) if disk else volumes.disk

    def reason(facts: NodeFacts, _: ClusterFacts) -> str | None:
        is_there = find_disk(facts.disks, volumes.disk) is not None or facts.kind != "installed"
        return "it has no file system for volumes" if is_there and _made(facts, volumes) is None else None

    return [
        Action(
            id=f"{name}/volumes.format",
            node=name,
            step="volumes",
            title=f"format {target} for volumes",
            check=judged(name, reason),
            apply=lambda context: _format(context, name, volumes),
            needs=(f"{name}/install.boot",),
        ),
        Action(
            id=f"{name}/volumes.mount",
            node=name,
            step="volumes",
            title="mount the disk for volumes",
            check=judged(name, lambda facts, _: not_running(desired.mounts, facts)),
            apply=lambda context: ensure_units(context, name, desired.mounts),
            changes=unit_changes(desired.mounts, name),
            needs=(f"{name}/volumes.format", f"{name}/files"),
        ),
    ]


def _format(context: Context, node: str, volumes: VolumesDisk) -> None:
    """Raises ClusterupError where there is something on the disk by now."""
    template = (templates_dir() / "node" / "format-volumes.sh").read_text()
    script = template.format(disk=shlex.quote(volumes.disk), uuid=volumes.uuid, label=LABEL, folder=VOLUMES)
    context.on(node).check(Command("format the disk for volumes", script), timeout=600)
