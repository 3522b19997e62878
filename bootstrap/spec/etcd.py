"""etcd on a server: mutual TLS towards peers and clients, data under /var/lib/etcd.

Which members there are when etcd starts for the first time is said once, in a file that later changes of
the membership do not touch: etcd reads it only while its data directory is empty.
Source: https://etcd.io/docs/v3.5/op-guide/configuration/
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address

from bootstrap.constants.paths import ETCD_BIRTH, ETCD_DATA, ETCD_PKI
from bootstrap.constants.ports import ETCD_CLIENT_PORT, ETCD_PEER_PORT
from bootstrap.machine.units import Unit, flags
from bootstrap.protocol.files import NodeFile
from bootstrap.protocol.learner import first_start
from bootstrap.spec.topology import Shape


def peer_url(address: IPv4Address) -> str:
    return f"https://{address}:{ETCD_PEER_PORT}"


def birth_file(members: Mapping[str, str], *, state: str) -> NodeFile:
    """The environment file of etcd's first start: `members` maps names to peer URLs, `state` is "new" for
    the first member of a cluster and "existing" for one that was added as a learner."""
    return NodeFile(ETCD_BIRTH, first_start(members, state=state).encode())


def etcd_unit(shape: Shape, pki: tuple[NodeFile, ...]) -> Unit:
    """etcd itself; `pki` are the certificates and keys below /etc/kubernetes/pki/etcd."""
    address = shape.node.address
    arguments = {
        "name": shape.node.name,
        "data-dir": ETCD_DATA,
        "listen-client-urls": f"https://127.0.0.1:{ETCD_CLIENT_PORT},https://{address}:{ETCD_CLIENT_PORT}",
        "advertise-client-urls": f"https://{address}:{ETCD_CLIENT_PORT}",
        "listen-peer-urls": peer_url(address),
        "initial-advertise-peer-urls": peer_url(address),
        "initial-cluster-token": shape.inventory.cluster.name,
        "listen-metrics-urls": "http://127.0.0.1:2381",
        "cert-file": f"{ETCD_PKI}/server.crt",
        "key-file": f"{ETCD_PKI}/server.key",
        "client-cert-auth": "true",
        "trusted-ca-file": f"{ETCD_PKI}/ca.crt",
        "peer-cert-file": f"{ETCD_PKI}/peer.crt",
        "peer-key-file": f"{ETCD_PKI}/peer.key",
        "peer-client-cert-auth": "true",
        "peer-trusted-ca-file": f"{ETCD_PKI}/ca.crt",
        "auto-compaction-retention": "8h",
        "snapshot-count": "10000",
        # Slow disks and small machines: a leader is not given up for a pause that a busy disk makes.
        "heartbeat-interval": "250",
        "election-timeout": "2500",
        "logger": "zap",
        "log-level": "warn",
    }
    return Unit(
        name="etcd.service",
        description="etcd, a member of the cluster's quorum",
        kind="notify",
        argv=("/usr/bin/etcd", *flags(arguments, shape.inventory.kubernetes.etcd_args)),
        files=pki,
        after=("network-online.target", "systemd-sysext.service", "time-sync.target"),
        wants=("network-online.target",),
        before_start=(f"/bin/mkdir -p -m 0700 {ETCD_DATA}",),
        settings=(
            f"EnvironmentFile={ETCD_BIRTH}",
            "LimitNOFILE=65536",
            "OOMScoreAdjust=-999",
            # Everything waits for the quorum: where there is too little of the processor, it comes first.
            "CPUWeight=1000",
        ),
    )
