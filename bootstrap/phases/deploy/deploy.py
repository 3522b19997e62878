"""What every node gets before anything is started: the payload, the container images and all its files; and what every
node runs before it is part of a cluster: the container runtime and the balancer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from bootstrap.constants.paths import KEPT_ETC, PAYLOADS
from bootstrap.engine.action import Action, Context
from bootstrap.facts.model import ClusterFacts, NodeFacts
from bootstrap.phases.changes import file_changes, stops, unit_changes
from bootstrap.phases.deploy import commands
from bootstrap.phases.deploy.services import ensure_units, put_files
from bootstrap.phases.reasons import differing, judged, not_running, readable_by_others, running
from bootstrap.protocol.files import NodeFile
from bootstrap.spec.node import Desired, image_files

T = TypeVar("T")


def deploy_actions(desired: Desired, world: ClusterFacts) -> list[Action[ClusterFacts]]:
    """The actions that bring one node's payload, images and files, and start its runtime."""
    name = desired.node.name
    facts = world.nodes.get(name)
    return [
        Action(
            id=f"{name}/payload",
            node=name,
            step="payload",
            title=f"bring the payload: {_components(desired)}",
            check=judged(name, lambda facts, _: _payload_reason(desired, facts)),
            apply=lambda context: bring_payload(context, desired),
            uses=(desired.payload.name,),
            needs=(f"{name}/install.boot",),
        ),
        Action(
            id=f"{name}/images",
            node=name,
            step="payload",
            title="bring the container images",
            check=judged(name, lambda facts, _: differing(_image_hashes(desired), facts.files)),
            apply=lambda context: bring_images(context, desired),
            uses=tuple(image.name for image in desired.images),
            needs=(f"{name}/install.boot",),
        ),
        Action(
            id=f"{name}/files",
            node=name,
            step="files",
            title="write certificates, settings and units",
            check=judged(name, lambda facts, _: _reason(desired.files, facts)),
            apply=lambda context: put_files(context, name, _other_files(desired, facts)),
            changes=file_changes(desired.files, name),
            needs=(f"{name}/install.boot",),
        ),
        Action(
            id=f"{name}/runtime",
            node=name,
            step="runtime",
            title="start the container runtime and the balancer",
            check=judged(name, lambda facts, _: not_running(desired.runtime, facts)),
            apply=lambda context: ensure_units(context, name, desired.runtime),
            restarts=tuple(unit.name for unit in desired.runtime),
            changes=unit_changes(desired.runtime, name),
            needs=(f"{name}/payload", f"{name}/images", f"{name}/files"),
        ),
        *_stop_actions(desired, facts),
    ]


def _stop_actions(desired: Desired, facts: NodeFacts | None) -> list[Action[ClusterFacts]]:
    """Stop what an earlier inventory asked for, and this one does not."""
    if facts is None or running(desired.unwanted, facts) is None:
        return []
    name = desired.node.name
    return [
        Action(
            id=f"{name}/unwanted",
            node=name,
            step="runtime",
            title="stop what the inventory no longer asks for",
            check=judged(name, lambda facts, _: running(desired.unwanted, facts)),
            apply=lambda context: _stop(context, name, desired.unwanted),
            changes=stops(desired.unwanted, name),
            # What the next boot starts stands in a file.
            needs=(f"{name}/files",),
        )
    ]


def _stop(context: Context, node: str, units: Sequence[str]) -> None:
    """Stop units. Raises ClusterupError."""
    context.on(node).check(commands.stop_units(units), timeout=120)


def bring_payload(context: Context, desired: Desired) -> None:
    """Upload the payload, checked on arrival, and merge it into /usr. Raises ClusterupError."""
    transport = context.on(desired.node.name)
    path = f"{PAYLOADS}/{desired.payload.sha256}.raw"
    with context.limit("transfer"):
        transport.upload(
            desired.payload.content, path, sha256=desired.payload.sha256, mode=0o644, progress=context.progress
        )
    context.say("merging it into /usr")
    transport.check(commands.use_payload(path), timeout=120)


def bring_images(context: Context, desired: Desired) -> None:
    """Upload the container images. Raises ClusterupError."""
    transport = context.on(desired.node.name)
    for path, image in image_files(desired.images).items():
        transport.upload(image.content, path, sha256=image.sha256, mode=0o644, progress=context.progress)


def _components(desired: Desired) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(desired.payload.components.items()))


def _payload_reason(desired: Desired, facts: NodeFacts) -> str | None:
    if facts.payload == desired.payload.sha256:
        return None
    return "it has none" if facts.payload is None else f"it has another one ({facts.payload[:12]})"


def _other_files(desired: Desired, facts: NodeFacts | None) -> tuple[NodeFile, ...]:
    """The files that are not on the node as they should be. The others are not written again: there are services that
    watch theirs, and start again when one is written with what was in it before."""
    if facts is None or facts.kind != "installed":
        return desired.files
    return tuple(file for file in desired.files if _reason([file], facts) is not None)


def _reason(files: Sequence[NodeFile], facts: NodeFacts) -> str | None:
    hashes = {file.path: file.sha256 for file in files}
    modes = {file.path: file.mode for file in files}
    return differing(hashes | _kept(hashes), facts.files) or readable_by_others(modes | _kept(modes), facts.modes)


def _kept(by_path: Mapping[str, T]) -> dict[str, T]:
    """The same of the copies that the next boot takes."""
    return {f"{KEPT_ETC}{path}": value for path, value in by_path.items()}


def _image_hashes(desired: Desired) -> dict[str, str]:
    return {path: image.sha256 for path, image in image_files(desired.images).items()}
