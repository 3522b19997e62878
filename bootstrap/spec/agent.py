"""The agent of a node: keeps the pod network, the cluster's names and its volumes on it (bootstrap/node/agent)."""

from __future__ import annotations

import json
from typing import Any

from bootstrap.constants.paths import (
    DNS_CONTROL_CONF,
    DNS_KNOWN,
    DNS_LOADED,
    DNS_SOCKET,
    KUBELET_CERTIFICATE,
    KUBERNETES_CA,
    NETWORK_JSON,
    VOLUMES,
)
from bootstrap.constants.ports import LOCAL_API_PORT
from bootstrap.machine.units import Unit
from bootstrap.protocol.files import NodeFile
from bootstrap.spec.dns import answers
from bootstrap.spec.node_services import UNTIL_JOINED
from bootstrap.spec.topology import Shape
from bootstrap.spec.volumes import NAME as VOLUMES_UNIT
from bootstrap.spec.volumes import disk_for_volumes, provides

NAME = "clusterup-network.service"


def agent_unit(shape: Shape, ca: NodeFile) -> Unit | None:
    """The agent, or None where the cluster's network, its DNS and its volumes are all somebody else's."""
    settings: dict[str, Any] = {
        "node": shape.node.name,
        "server": f"https://127.0.0.1:{LOCAL_API_PORT}",
        "ca": KUBERNETES_CA,
        "certificate": KUBELET_CERTIFICATE,
    }
    network, dns = shape.inventory.cluster.cni == "bridge", answers(shape.inventory, shape.versions)
    volumes = provides(shape.inventory, shape.versions)
    if not (network or dns or volumes):
        return None
    if network:
        settings |= {"pods": str(shape.pod_cidr), "services": str(shape.service_cidr)}
    if dns:
        settings["dns"] = {
            "domain": shape.inventory.cluster.domain,
            "address": str(shape.dns_service),
            "control": DNS_CONTROL_CONF,
            "socket": DNS_SOCKET,
            "known": DNS_KNOWN,
            "loaded": DNS_LOADED,
        }
    if volumes:
        mounted_by = "" if disk_for_volumes(shape) is None else VOLUMES_UNIT
        settings["volumes"] = {"folder": VOLUMES, "mounted_by": mounted_by}
    config = NodeFile(NETWORK_JSON, (json.dumps(settings, indent=1, sort_keys=True) + "\n").encode())
    return Unit(
        name=NAME,
        description="Pod network between the nodes, names of the cluster, and volumes",
        argv=("/usr/bin/clusterup-node", "network", NETWORK_JSON),
        files=(config, ca),
        # Not after the kubelet, which waits for an API server: names are looked after as soon as there is one.
        after=("systemd-sysext.service", "clusterup-balancer.service", VOLUMES_UNIT),
        before_start=(UNTIL_JOINED,),
    )
