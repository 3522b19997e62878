"""The agent of a node that looks after names, and what it finds in a cluster."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bootstrap.pki.kubeconfig import client_kubeconfig, write_kubeconfig
from bootstrap.pki.x509 import Usage, issue
from bootstrap.spec.cluster_objects import base_objects
from tests.helpers.daemons import daemon
from tests.helpers.node_agent import agent
from tests.integration.kube.servers import ApiServer
from tests.integration.names.unbound_server import Unbound


@contextmanager
def running_agent(api_server: ApiServer, unbound: Unbound) -> Iterator[subprocess.Popen[bytes]]:
    """The agent of a node that has no pod network of ours, with the rights of a node."""
    node = issue(api_server.pki.ca, common_name="system:node:n1", usage=Usage.CLIENT, organizations=["system:nodes"])
    certificate = unbound.folder / "node.pem"
    certificate.write_bytes(node.cert_pem + node.key_pem)
    settings = {
        "node": "n1",
        "server": f"https://127.0.0.1:{api_server.port}",
        "ca": str(api_server.pki_folder / "ca.crt"),
        "certificate": str(certificate),
        "dns": unbound.settings,
    }
    file = unbound.folder / "network.json"
    file.write_text(json.dumps(settings))
    argv = ["env", f"PATH={unbound.folder}:{os.environ['PATH']}", *agent("network", str(file))]
    with api_server.client() as client:
        for manifest in base_objects():
            client.apply(manifest)
    with daemon(argv, unbound.folder / "agent.log") as process:
        yield process


def service(name: str, **spec: Any) -> dict[str, Any]:
    """A Service in the namespace `default`."""
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def headless(name: str) -> dict[str, Any]:
    """A Service without an address of its own."""
    return service(name, clusterIP="None", ports=[{"name": "http", "port": 8080, "protocol": "TCP"}])


def endpoints(service_name: str, pods: Mapping[str, str]) -> dict[str, Any]:
    """A slice with ready pods: addresses by host name."""
    labels = {"kubernetes.io/service-name": service_name}
    return {
        "apiVersion": "discovery.k8s.io/v1beta1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{service_name}-x", "namespace": "default", "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": 8080}],
        "endpoints": [
            {"addresses": [address], "hostname": host, "conditions": {"ready": True}} for host, address in pods.items()
        ],
    }


def apply(api_server: ApiServer, folder: Path, *manifests: Mapping[str, Any]) -> None:
    """With kubectl: clusterup itself makes no slices."""
    admin = issue(api_server.pki.ca, common_name="admin", usage=Usage.CLIENT, organizations=["system:masters"])
    url, kubeconfig = f"https://127.0.0.1:{api_server.port}", folder / "kubeconfig"
    write_kubeconfig(kubeconfig, client_kubeconfig("lab", url, api_server.pki.ca.cert_pem, "admin", admin))
    argv = [str(api_server.programs / "kubectl"), f"--kubeconfig={kubeconfig}", "apply", "-f", "-"]
    everything = {"apiVersion": "v1", "kind": "List", "items": manifests}
    subprocess.run(argv, input=json.dumps(everything).encode(), check=True, capture_output=True)
