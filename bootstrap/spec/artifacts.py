"""What a server hands to nodes that join with nothing but a token: the payload and the container images it has itself.

The node's agent serves them (bootstrap/node/artifacts), to whom the API server lets read what joining nodes read. It is
the one service of ours that listens to strangers, and runs as a user that exists while it runs and may do nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath

from bootstrap.constants.paths import ARTIFACTS_JSON, KUBERNETES_CA, KUBERNETES_PKI
from bootstrap.constants.ports import API_PORT, ARTIFACTS_PORT
from bootstrap.machine.units import Unit, without_rights
from bootstrap.protocol.files import NodeFile
from bootstrap.spec.topology import Shape

NAME = "clusterup-artifacts.service"
# What a node that joins reads first of all, and so the right to read it is the right to join.
QUESTION = "/api/v1/namespaces/kube-system/configmaps/clusterup-agent"
CERTIFICATE, KEY = f"{KUBERNETES_PKI}/apiserver.crt", f"{KUBERNETES_PKI}/apiserver.key"
# Where systemd puts what root alone may read for the service's own user; the same for every start of a system service.
# Source: systemd.exec(5), "Credentials".
CREDENTIALS = f"/run/credentials/{NAME}"
# A hundred connections and their TLS take a quarter of it. The page cache of what is read counts too, and gives way.
MEMORY_MAX = 256 << 20
# Servers whose image is older have a thread for each connection; what bounds all of them is the memory.
TASKS_MAX = 256


def artifacts_unit(shape: Shape, pki: tuple[NodeFile, ...], artifacts: Mapping[str, str]) -> Unit:
    """The service of one server. `pki` are the API server's files, whose certificate it shows; `artifacts` are the
    paths of what there is, by SHA-256."""
    settings = {
        "address": str(shape.node.address),
        "port": ARTIFACTS_PORT,
        "certificate": f"{CREDENTIALS}/tls.crt",
        "key": f"{CREDENTIALS}/tls.key",
        "question": f"https://127.0.0.1:{API_PORT}{QUESTION}",
        "ca": f"{CREDENTIALS}/ca.crt",
        "artifacts": dict(artifacts),
    }
    config = NodeFile(ARTIFACTS_JSON, (json.dumps(settings, indent=1, sort_keys=True) + "\n").encode())
    shown = tuple(file for file in pki if file.path in (CERTIFICATE, KEY, KUBERNETES_CA))
    folders = sorted({str(PurePosixPath(path).parent) for path in artifacts.values()})
    return Unit(
        name=NAME,
        description="Payload and container images for nodes that join by themselves",
        argv=("/usr/bin/clusterup-node", "serve", f"{CREDENTIALS}/artifacts.json"),
        files=(config, *shown),
        after=("network-online.target", "kube-apiserver.service"),
        wants=("network-online.target",),
        settings=(f"MemoryMax={MEMORY_MAX}", f"TasksMax={TASKS_MAX}", "CPUWeight=50"),
        confined=_confined(folders),
    )


def _confined(folders: list[str]) -> tuple[str, ...]:
    """Its own user, who sees of /var these folders alone. Source: systemd.exec(5), "Sandboxing"."""
    return (
        "DynamicUser=yes",
        f"LoadCredential=artifacts.json:{ARTIFACTS_JSON}",
        f"LoadCredential=tls.crt:{CERTIFICATE}",
        f"LoadCredential=tls.key:{KEY}",
        f"LoadCredential=ca.crt:{KUBERNETES_CA}",
        # /var/lib/clusterup itself is root's alone.
        "TemporaryFileSystem=/var:ro",
        *(f"BindReadOnlyPaths=-{folder}" for folder in folders),
        "CapabilityBoundingSet=",
        *without_rights("AF_INET", "AF_INET6", "AF_UNIX"),
    )
