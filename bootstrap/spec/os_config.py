"""A node's configuration: the files that its initrd lays over the image's /etc at each boot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from bootstrap.constants.paths import TRUSTED_KEYS
from bootstrap.image.disk.configuration import EtcFile
from bootstrap.inventory.model import Inventory, Node
from bootstrap.machine.render import render
from bootstrap.pki.identity import NodeIdentity


def node_etc(
    inventory: Inventory, node: Node, *, cluster_id: str, identity: NodeIdentity, authorized_keys: Sequence[str]
) -> list[EtcFile]:
    """Everything below /etc that makes the image this node. `authorized_keys` are clusterup's own public keys."""
    keys = dict.fromkeys([*authorized_keys, *node.ssh_authorized_keys])
    cluster = {"cluster": inventory.cluster.name, "id": cluster_id, "node": node.name, "role": node.role.value}
    return [
        EtcFile("hostname", f"{node.name}\n".encode()),
        EtcFile("machine-id", f"{identity.machine_id}\n".encode(), 0o444),
        EtcFile("hosts", _hosts(inventory).encode()),
        EtcFile("clusterup/cluster.json", (json.dumps(cluster, sort_keys=True) + "\n").encode()),
        EtcFile("ssh/ssh_host_ed25519_key", identity.host_key.private, 0o600),
        EtcFile("ssh/ssh_host_ed25519_key.pub", f"{identity.host_key.public}\n".encode()),
        EtcFile("ssh/authorized_keys.d/root", "".join(f"{key}\n" for key in keys).encode(), 0o600),
        *_trusted(inventory),
        *_network(node),
        *_kernel(node),
    ]


def _trusted(inventory: Inventory) -> Iterator[EtcFile]:
    if keys := inventory.os.trusted_keys:
        yield EtcFile(TRUSTED_KEYS.removeprefix("/etc/"), "".join(f"{key}\n" for key in keys).encode())


def _hosts(inventory: Inventory) -> str:
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost"]
    lines += [f"{node.address} {node.name}" for node in inventory.nodes]
    return "".join(f"{line}\n" for line in lines)


def _network(node: Node) -> Iterator[EtcFile]:
    for interface in node.interfaces:
        name = interface.mac.lower().replace(":", "")
        yield EtcFile(f"systemd/network/10-{name}.network", render("node/card.network.j2", interface=interface))
    if not node.interfaces:
        yield EtcFile("systemd/network/20-wired.network", render("node/wired.network.j2"))
    if node.dns:
        servers = "".join(f"nameserver {server}\n" for server in node.dns)
        yield EtcFile("resolv.conf", servers.encode())
    if node.ntp:
        yield EtcFile("systemd/timesyncd.conf.d/10-clusterup.conf", f"[Time]\nNTP={' '.join(node.ntp)}\n".encode())


def _kernel(node: Node) -> Iterator[EtcFile]:
    if node.sysctls:
        lines = "".join(f"{key} = {value}\n" for key, value in sorted(node.sysctls.items()))
        yield EtcFile("sysctl.d/90-clusterup.conf", lines.encode())
    if node.modules:
        yield EtcFile("modules-load.d/90-clusterup.conf", "".join(f"{name}\n" for name in node.modules).encode())
