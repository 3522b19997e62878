"""Pods that scenarios start, of an image that every node has."""

from __future__ import annotations

from tests.e2e.operator import Operator

IMAGE = "clusterup.local/busybox:1"


def phase_of(cluster: Operator, pod: str) -> str:
    """As in Running; nothing where the API does not answer."""
    return cluster.asks("get", "pod", pod, "-o", "jsonpath={.status.phase}").stdout


def logs(cluster: Operator, pod: str) -> str:
    """What a pod has said that has ended; nothing before."""
    phase = cluster.kubectl("get", "pod", pod, "-o", "jsonpath={.status.phase}")
    return cluster.kubectl("logs", pod) if phase == "Succeeded" else ""
