"""What a node should hold and run: all its files, and its units in the groups in which they are started."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass

from bootstrap.constants.paths import (
    BOOTSTRAP_CONF,
    ETCD_BIRTH,
    IMAGES_FOLDER,
    KEPT_ETC,
    KUBELET_CERTIFICATE,
    PAYLOAD_FILE,
    PAYLOADS,
    WANTS_FILE,
)
from bootstrap.facts.node import Wanted
from bootstrap.facts.stretches import StretchOfDisk, stretches
from bootstrap.image.bundle import Artifact, Bundle
from bootstrap.inventory.model import Inventory, Node
from bootstrap.machine.units import Runs, Unit, all_files
from bootstrap.pki.store import ClusterPki
from bootstrap.protocol.files import NodeFile
from bootstrap.spec.agent import NAME as AGENT
from bootstrap.spec.agent import agent_unit
from bootstrap.spec.artifacts import artifacts_unit
from bootstrap.spec.certificates import ca_file, server_files
from bootstrap.spec.control_plane import api_server_unit, approver_unit, controller_manager_unit, scheduler_unit
from bootstrap.spec.credentials import ServerCredentials
from bootstrap.spec.dns import NAME as DNS
from bootstrap.spec.dns import answers, dns_unit
from bootstrap.spec.etcd import etcd_unit
from bootstrap.spec.node_services import (
    balancer_unit,
    containerd_unit,
    images_unit,
    kubelet_unit,
    proxy_unit,
)
from bootstrap.spec.topology import Shape, servers_of
from bootstrap.spec.volumes import NAME as VOLUMES
from bootstrap.spec.volumes import disk_for_volumes, file_system, volumes_unit

# Units that one inventory asks for, and another one not.
OPTIONAL = (AGENT, DNS, VOLUMES)


@dataclass(frozen=True, slots=True)
class VolumesDisk:
    """A node's further disk for volumes: how the inventory names it, and the UUID of the file system on it."""

    disk: str
    uuid: str


@dataclass(frozen=True, slots=True)
class Desired:
    """A node as it should be. `runtime`, `etcd`, `control_plane` and `kubelet` are its units, each group in the order
    in which they start; `files` everything below /etc, units included; `handover` what a server keeps for the next
    operator; `stretches` where on its disk an installation can be seen; `volumes` its further disk, if it has
    one, and `mounts` what mounts that: nothing waits for it."""

    node: Node
    runtime: tuple[Runs, ...]
    etcd: tuple[Unit, ...]
    control_plane: tuple[Unit, ...]
    kubelet: tuple[Runs, ...]
    files: tuple[NodeFile, ...]
    payload: Artifact
    images: tuple[Artifact, ...]
    handover: NodeFile | None = None
    stretches: tuple[StretchOfDisk, ...] = ()
    volumes: VolumesDisk | None = None
    mounts: tuple[Unit, ...] = ()

    @property
    def unwanted(self) -> tuple[str, ...]:
        """Units of ours that have no place on it as the inventory is now."""
        there = {unit.name for unit in self.units}
        return tuple(name for name in OPTIONAL if name not in there)

    @property
    def units(self) -> tuple[Runs, ...]:
        return (*self.runtime, *self.etcd, *self.control_plane, *self.kubelet, *self.mounts)

    @property
    def wanted(self) -> Wanted:
        """What has to be known of the node to see whether it is so."""
        kept = [f"{KEPT_ETC}{file.path}" for file in self.files]
        kept += [self.handover.path] if self.handover else []
        return Wanted(
            files=(
                *(file.path for file in self.files),
                *kept,
                *image_files(self.images),
                KUBELET_CERTIFICATE,
                BOOTSTRAP_CONF,
                ETCD_BIRTH,
            ),
            units=(*(unit.name for unit in self.units), *self.unwanted),
            ranges=self.stretches,
            disks="a further disk is for volumes" if self.volumes else "",
        )


def desired_nodes(
    inventory: Inventory, bundle: Bundle, pki: ClusterPki, own: Mapping[str, ServerCredentials], handover: NodeFile
) -> dict[str, Desired]:
    """Every node of the inventory as it should be, by name. `own` are the credentials of its servers, `handover` is
    what each of them keeps.

    Raises ClusterupError for a bundle that lacks a part, Refused for one that has nothing for a node's architecture.
    """
    servers = servers_of(inventory)
    found = {}
    for node in inventory.nodes:
        parts = bundle.for_architecture(node.architecture)
        shape = Shape(inventory, node, parts.versions, servers)
        found[node.name] = desired_node(shape, parts, pki, own.get(node.name), handover)
    return found


def desired_node(
    shape: Shape,
    bundle: Bundle,
    pki: ClusterPki,
    own: ServerCredentials | None = None,
    handover: NodeFile | None = None,
) -> Desired:
    """One node as it should be; `node` of it has all its taints, the one of its role among them. A server has
    credentials of its `own`, and keeps the `handover` file."""
    payload = bundle.artifact("payload")
    inventory = shape.inventory
    node = shape.node.model_copy(update={"taints": inventory.taints_of(shape.node)})
    shape = dataclasses.replace(shape, node=node)
    # Every unit runs out of the payload: another one restarts them.
    release = NodeFile(PAYLOAD_FILE, f"{payload.sha256}\n".encode())
    ca = ca_file(pki)

    def of_payload(*units: Unit) -> tuple[Unit, ...]:
        return tuple(dataclasses.replace(unit, files=(*unit.files, release)) for unit in units)

    runtime = of_payload(containerd_unit(shape), _images(shape, bundle), balancer_unit(shape, ca))
    etcd: tuple[Unit, ...] = ()
    control_plane: tuple[Unit, ...] = ()
    if own is not None:
        files = server_files(shape, pki, own)
        etcd = of_payload(etcd_unit(shape, files.etcd))
        control_plane = of_payload(
            api_server_unit(shape, files.api_server),
            controller_manager_unit(shape, files.controller_manager),
            scheduler_unit(shape, files.scheduler),
            approver_unit(shape, files.approver),
            artifacts_unit(shape, files.api_server, _on_servers(bundle)),
        )
    kubelet = of_payload(kubelet_unit(shape, ca), proxy_unit(shape, ca))
    if (agent := agent_unit(shape, ca)) is not None:
        kubelet = (*kubelet, *of_payload(agent))
    if answers(inventory, shape.versions):
        runtime = (*runtime, *of_payload(dns_unit(shape)))
    further = disk_for_volumes(shape)
    # Not of the payload: its programs are the micro OS's.
    mounts = (volumes_unit(shape, ca),) if further is not None else ()
    units = (*runtime, *etcd, *control_plane, *kubelet, *mounts)
    return Desired(
        node,
        runtime,
        etcd,
        control_plane,
        kubelet,
        (*all_files(units), _wants(units)),
        payload,
        bundle.images,
        handover if own is not None else None,
        stretches=stretches(bundle.artifact("os")),
        volumes=VolumesDisk(further, str(file_system(ca, node.name))) if further else None,
        mounts=mounts,
    )


def image_files(images: tuple[Artifact, ...]) -> Mapping[str, Artifact]:
    """Where the container images lie on a node."""
    return {f"{IMAGES_FOLDER}/{image.name.rpartition('image/')[2]}.tar": image for image in images}


def _on_servers(bundle: Bundle) -> dict[str, str]:
    """What of the bundle lies on every server, by SHA-256."""
    payload = bundle.artifact("payload")
    found = {payload.sha256: f"{PAYLOADS}/{payload.sha256}.raw"}
    return found | {image.sha256: path for path, image in image_files(bundle.images).items()}


def _images(shape: Shape, bundle: Bundle) -> Unit:
    """The import of the images, made again when they change."""
    hashes = {image.reference: image.sha256 for image in bundle.images}
    listed = NodeFile("/etc/clusterup/images.json", (json.dumps(hashes, indent=1, sort_keys=True) + "\n").encode())
    unit = images_unit(shape)
    return dataclasses.replace(unit, files=(*unit.files, listed))


def _wants(units: tuple[Unit, ...]) -> NodeFile:
    """What is started at boot: a file, where `systemctl enable` would make links that a boot forgets."""
    names = " ".join(unit.name for unit in units)
    return NodeFile(WANTS_FILE, f"[Unit]\nWants={names}\n".encode())
