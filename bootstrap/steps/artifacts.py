"""What a server hands to nodes that join with nothing but a token: the payload and the container images it has itself.

The node's agent serves them (bootstrap/node/serve.py), to whom the API server lets read what joining nodes read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from bootstrap.steps.controlplane_units import PKI
from bootstrap.steps.layout import NodeFile, Unit
from bootstrap.steps.node_units import CA
from bootstrap.steps.shape import API_PORT, ARTIFACTS_PORT, Shape

SETTINGS = "/etc/clusterup/artifacts.json"
# What a node that joins reads first of all, and so the right to read it is the right to join.
QUESTION = "/api/v1/namespaces/kube-system/configmaps/clusterup-agent"
CERTIFICATE, KEY = f"{PKI}/apiserver.crt", f"{PKI}/apiserver.key"


def artifacts_unit(shape: Shape, pki: tuple[NodeFile, ...], artifacts: Mapping[str, str]) -> Unit:
    """The service of one server. `pki` are the API server's files, whose certificate it shows; `artifacts` are the
    paths of what there is, by SHA-256."""
    settings = {
        "address": str(shape.node.address),
        "port": ARTIFACTS_PORT,
        "certificate": CERTIFICATE,
        "key": KEY,
        "question": f"https://127.0.0.1:{API_PORT}{QUESTION}",
        "ca": CA,
        "artifacts": dict(artifacts),
    }
    config = NodeFile(SETTINGS, (json.dumps(settings, indent=1, sort_keys=True) + "\n").encode())
    shown = tuple(file for file in pki if file.path in (CERTIFICATE, KEY, CA))
    return Unit(
        name="clusterup-artifacts.service",
        description="Payload and container images for nodes that join by themselves",
        argv=("/usr/bin/clusterup-node", "serve", SETTINGS),
        files=(config, *shown),
        after=("network-online.target", "kube-apiserver.service"),
        wants=("network-online.target",),
    )
