"""What a cluster was founded with and does not change by accident: the bundle that its nodes are made of, and its
networks.

It is kept in the state of whoever applies, in the handover file on every server, and in the cluster itself, in the
objects that joining machines read. What an inventory and a bundle say is compared with the state before any node is
asked, and with the cluster as soon as an API server answers.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bootstrap.constants.objects import JOIN_MANIFEST as AGENT
from bootstrap.constants.objects import JOIN_MANIFEST_KEY as AGENT_KEY
from bootstrap.errors import ClusterupError, Refused
from bootstrap.image.architecture import ARCHITECTURES
from bootstrap.image.bundle import MANIFEST, Bundle
from bootstrap.image.finding import bundles_dir, load_bundle
from bootstrap.image.manifest import bundle_of, manifest_of
from bootstrap.image.sources import supported_minors
from bootstrap.image.versions import is_of, minor_of
from bootstrap.inventory.model import Inventory
from bootstrap.pki.store import read_note
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.join_manifest import parse_description
from bootstrap.state.cluster import ClusterState
from bootstrap.state.damage import AS_IT_IS, damaged
from bootstrap.written import write_private

STEP = "preflight"
# Name in an inventory -> the one in kubeadm's configuration.
NETWORKS = {"service_cidr": "serviceSubnet", "pod_cidr": "podSubnet", "domain": "dnsDomain"}


@dataclass(frozen=True, slots=True)
class PinnedParts:
    """What nodes are made of: the release of Kubernetes, and SHA-256 by artifact ("os", "payload", "image/pause")."""

    kubernetes: str
    sha256: Mapping[str, str]

    def other_than(self, wanted: PinnedParts) -> list[str]:
        """The artifacts that both know of and that are other ones, and images that one of them has not. The image of
        the disk, and what is for another architecture ("arm64/payload"), need not be known to both."""
        everything = {*self.sha256, *wanted.sha256}
        optional = {name for name in everything if name == "os" or name.partition("/")[0] in ARCHITECTURES}
        names = [
            *sorted(name for name in optional if name in self.sha256 and name in wanted.sha256),
            *sorted(everything - optional),
        ]
        return [name for name in names if self.sha256.get(name) != wanted.sha256.get(name)]

    def __str__(self) -> str:
        payload = self.sha256.get("payload", "")
        return f"Kubernetes {self.kubernetes} (payload {payload[:12]})"


def parts_of(bundle: Bundle) -> PinnedParts:
    """What nodes would be made of. Raises ClusterupError where the bundle has no payload."""
    return PinnedParts(
        bundle.kubernetes_version, {name: part.sha256 for name, part in bundle.for_nodes.artifacts.items()}
    )


def networks_of(inventory: Inventory) -> dict[str, str]:
    """The networks that can't change, by their names in the inventory."""
    return {name: str(getattr(inventory.cluster, name)) for name in NETWORKS}


def is_pinned(state: ClusterState, inventory: Inventory, bundle: Bundle) -> bool:
    """Whether the state says that the cluster is made of just that."""
    return _pinned_bundle(state) == manifest_of(bundle.for_nodes) and _pinned_networks(state) == networks_of(inventory)


def pin(state: ClusterState, inventory: Inventory, bundle: Bundle) -> None:
    """Remember what the cluster is made of. Raises OSError."""
    manifest = json.dumps(manifest_of(bundle.for_nodes), indent=2).encode() + b"\n"
    write_private(state.bundle_folder / MANIFEST, manifest)
    write_private(state.network_note, json.dumps(networks_of(inventory), indent=1).encode() + b"\n")


def version_problems(inventory: Inventory, bundle: Bundle, state: ClusterState) -> Iterator[ClusterupError]:
    """That the inventory wants a release of Kubernetes which the bundle does not have."""
    wanted, there = inventory.kubernetes.version, bundle.kubernetes_version
    # A cluster that was founded keeps what it has.
    if minor_of(there) not in supported_minors() and not state.founded:
        yield Refused(
            f"the bundle has Kubernetes {there}, which is not one that this clusterup supports",
            step=STEP,
            tried=f"look into the bundle in {bundle.directory}",
            got=f"supported: {', '.join(supported_minors())}",
            hint="make a bundle with one of them (docs/kubernetes.md), or use the clusterup that made this one",
        )
    if wanted is None or is_of(there, wanted):
        return
    others = _folders_with(lambda parts: is_of(parts.kubernetes, wanted))
    source = "" if inventory.kubernetes.source == "auto" else f"--source {shlex.quote(inventory.kubernetes.source)} "
    make = f"clusterup image build {source}--version {wanted}"
    yield Refused(
        f"the inventory wants Kubernetes {wanted}, and the bundle has another release",
        step=STEP,
        tried=f"compare kubernetes.version with the bundle in {bundle.directory}",
        got=f"Kubernetes {there} there",
        hint=f"name a bundle that has it (os.bundle: {others[0]})" if others
        else f"make a bundle that has it ({make}), or write kubernetes.version: {there}",
    )  # fmt: skip


def pin_problems(
    state: ClusterState, objects: Mapping[str, Mapping[str, Any]], inventory: Inventory, bundle: Bundle
) -> Iterator[ClusterupError]:
    """What of a cluster that was founded is other than in the inventory and the bundle. What the cluster says of itself
    counts, where `objects` has it (those that the API server has, by their keys); else what the state says."""
    parts, where = _described(objects), f"the ConfigMap {AGENT} in the cluster"
    if parts is None and state.founded and (manifest := _pinned_bundle(state)) is not None:
        parts, where = parts_of(bundle_of(state.bundle_folder, manifest)), f"the state in {state.folder}"
    elif parts is not None and (manifest := _pinned_bundle(state)) is not None:
        # The cluster tells of its own architecture alone.
        noted = parts_of(bundle_of(state.bundle_folder, manifest)).sha256
        others = {name: digest for name, digest in noted.items() if name.partition("/")[0] in ARCHITECTURES}
        parts = replace(parts, sha256={**others, **parts.sha256})
    if parts is not None:
        yield from _bundle_problems(parts, bundle, where, state)
    networks, where = _configured(objects), "the ConfigMap kubeadm-config in the cluster"
    if not networks and state.founded:
        networks, where = _pinned_networks(state) or {}, f"the state in {state.folder}"
    yield from _network_problems(networks, inventory, where)


def _bundle_problems(pinned: PinnedParts, bundle: Bundle, where: str, state: ClusterState) -> Iterator[ClusterupError]:
    wanted = parts_of(bundle)
    other = pinned.other_than(wanted)
    if not other:
        return
    if pinned.kubernetes in bundle.releases and not pinned.other_than(parts_of(bundle.of_release(pinned.kubernetes))):
        yield Refused(
            "the bundle has the cluster's release of Kubernetes beside another one; a cluster that runs is not changed "
            "to another one by an apply",
            step=STEP,
            tried=f"compare {bundle.directory} with {where}",
            got=f"the cluster is made of {pinned}, an apply would take {wanted}",
            hint=f"write kubernetes.version: {pinned.kubernetes}",
        )
        return
    kept = _folders_with(lambda parts: not pinned.other_than(parts))
    yield Refused(
        "the bundle is not the one that this cluster is made of; a cluster that runs is not changed to another one "
        "by an apply",
        step=STEP,
        tried=f"compare {bundle.directory} with {where}",
        got=f"the cluster is made of {pinned}, the bundle has {wanted}; different: {', '.join(other)}",
        hint=f"name the cluster's own bundle, it is still here: os.bundle: {kept[0]}"
        if kept
        else "name the folder of the cluster's own bundle (os.bundle), copied from where it was made; what installs "
        f"nothing also works with what is known of it: os.bundle: {state.bundle_folder}. A new cluster takes the other "
        "one: clusterup down, then apply",
    )


def _network_problems(networks: Mapping[str, str], inventory: Inventory, where: str) -> Iterator[ClusterupError]:
    for name, wanted in networks_of(inventory).items():
        there = networks.get(name)
        if there is not None and there != wanted:
            yield Refused(
                f"cluster.{name} of a cluster that runs can't be changed",
                step=STEP,
                tried=f"compare the inventory with {where}",
                got=f"the cluster has {there}, the inventory says {wanted}",
                hint=f"write {name}: {there} again; for another one, make a new cluster: clusterup down, then apply",
            )


def _described(objects: Mapping[str, Mapping[str, Any]]) -> PinnedParts | None:
    text = _data(objects, f"ConfigMap/kube-system/{AGENT}", AGENT_KEY)
    if text is None:
        return None
    try:
        described = parse_description(text)
    except Failure:
        # A newer version wrote it, or it is damaged: the plan will say that it differs.
        return None
    images = {f"image/{_image_name(image.path)}": image.sha256 for image in described.images}
    version = described.payload.components.get("kubernetes", "").removeprefix("v")
    return PinnedParts(version, {"payload": described.payload.sha256, **images})


def _image_name(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".tar")


def _configured(objects: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    import yaml

    text = _data(objects, "ConfigMap/kube-system/kubeadm-config", "ClusterConfiguration")
    try:
        found = yaml.safe_load(text) if text is not None else None
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    networking = found.get("networking") if isinstance(found, dict) else None
    if not isinstance(networking, dict):
        return {}
    found_there = {name: networking.get(theirs) for name, theirs in NETWORKS.items()}
    return {name: value for name, value in found_there.items() if isinstance(value, str) and value}


def _data(objects: Mapping[str, Mapping[str, Any]], name: str, key: str) -> str | None:
    data = objects.get(name, {}).get("data")
    found = data.get(key) if isinstance(data, Mapping) else None
    return found if isinstance(found, str) else None


def _pinned_bundle(state: ClusterState) -> dict[str, Any] | None:
    path = state.bundle_folder / MANIFEST
    found = _json_in(path)
    if found is not None:
        try:
            parts_of(bundle_of(state.bundle_folder, found))
        except (ClusterupError, KeyError, ValueError, IndexError):
            raise damaged(path, "it does not say what a bundle is made of", AS_IT_IS) from None
    return found


def _pinned_networks(state: ClusterState) -> dict[str, str] | None:
    found = _json_in(state.network_note)
    if found is not None and not all(isinstance(found.get(name), str) for name in NETWORKS):
        raise damaged(state.network_note, f"it does not say {', '.join(NETWORKS)}", AS_IT_IS)
    return found


def _json_in(path: Path) -> dict[str, Any] | None:
    content = read_note(path)
    if content is None:
        return None
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise damaged(path, "no JSON", AS_IT_IS) from None
    if not isinstance(found, dict):
        raise damaged(path, "no JSON object", AS_IT_IS)
    return found


def _folders_with(wanted: Callable[[PinnedParts], bool]) -> list[Path]:
    """The bundles here that are `wanted`, the newest first."""
    found = []
    for manifest in bundles_dir().glob(f"*/{MANIFEST}"):
        folder = manifest.parent
        if folder.is_symlink():
            continue
        try:
            if wanted(parts_of(load_bundle(folder))):
                found.append(folder)
        except (ClusterupError, KeyError, ValueError, IndexError):
            continue
    return sorted(found, key=lambda folder: folder.stat().st_mtime, reverse=True)
