"""Nodes that are there for the API alone: what its servers keep of each machine of a larger cluster, about as large
as a real one's."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from bootstrap.constants.objects import KUBELET_SIGNER

Object = dict[str, Any]
SINCE = "2026-01-01T00:00:00Z"
# Of a kubelet that runs for a while: it tells of its disk, its memory and its processes too, and of its images.
CONDITIONS = (("MemoryPressure", "False"), ("DiskPressure", "False"), ("PIDPressure", "False"), ("Ready", "True"))
IMAGES = 12


def name_of(number: int) -> str:
    return f"crowd-{number}"


def crowd_node(number: int) -> Object:
    """A Node that is Ready, and has been for a while."""
    name, address = name_of(number), f"10.{100 + number // 250}.0.{number % 250 + 1}"
    capacity = {"cpu": "8", "memory": "32768000Ki", "pods": "110", "ephemeral-storage": "100000000Ki"}
    conditions = [
        {
            "type": kind,
            "status": status,
            "reason": f"Kubelet{kind}",
            "message": f"kubelet says {kind} {status}",
            "lastHeartbeatTime": SINCE,
            "lastTransitionTime": SINCE,
        }
        for kind, status in CONDITIONS
    ]
    images = [
        {"names": [f"registry.example/{name}/image-{each}@sha256:{_digest(name, each)}"], "sizeBytes": 100_000_000}
        for each in range(IMAGES)
    ]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "spec": {"podCIDR": f"10.{200 + number // 250}.{number % 250}.0/24"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": conditions,
            "images": images,
            "nodeInfo": {**dict.fromkeys(INFO, "as it is"), "kubeletVersion": "v1.20.2", "machineID": f"{number:032x}"},
        },
    }


# All of them have to be there.
INFO = (
    "architecture",
    "bootID",
    "containerRuntimeVersion",
    "kernelVersion",
    "kubeProxyVersion",
    "operatingSystem",
    "osImage",
    "systemUUID",
)


def crowd_request(number: int, user: str = "system:bootstrap:crowds") -> Object:
    """The request with which it got its certificate, within the last hour: later the API servers forget it."""
    name = name_of(number)
    # A request and a certificate of a kubelet have about these sizes.
    request, certificate = (base64.b64encode(text.encode().ljust(size, b".")).decode() for text, size in _parts(name))
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": f"node-csr-{_digest(name, 0)[:43]}", "creationTimestamp": SINCE},
        "spec": {
            "request": request,
            "signerName": KUBELET_SIGNER,
            "username": user,
            "groups": ["system:bootstrappers:kubeadm:default-node-token", "system:authenticated"],
            "usages": ["digital signature", "key encipherment", "client auth"],
        },
        "status": {
            "certificate": certificate,
            "conditions": [{"type": "Approved", "status": "True", "reason": "AutoApproved", "message": "approved"}],
        },
    }


def _parts(name: str) -> tuple[tuple[str, int], tuple[str, int]]:
    return (f"a request for {name} ", 450), (f"a certificate for {name} ", 1100)


def _digest(name: str, number: int) -> str:
    return hashlib.sha256(f"{name}/{number}".encode()).hexdigest()
