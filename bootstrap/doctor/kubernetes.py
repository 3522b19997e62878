"""What is wrong with a cluster's API servers, its Nodes, and the releases of both."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from bootstrap.doctor.findings import CLUSTER, Finding, fault, warning
from bootstrap.doctor.person import Person
from bootstrap.image.versions import numbers
from bootstrap.operations.status import ApiHealth, ClusterStatus
from bootstrap.phases.node_metadata import leaving_since
from bootstrap.releases import DEBIAN_KUBERNETES

# Conditions of a Node that are well when they are False, and what they come to.
# Source: https://kubernetes.io/docs/reference/node/node-status/#condition
PRESSURES = {
    "MemoryPressure": "its memory is used up: pods are taken away",
    "DiskPressure": "its disk is full: pods are taken away",
    "PIDPressure": "it has too many processes: pods are taken away",
    "NetworkUnavailable": "its pods have no network",
}
# How many minor versions a kubelet may be behind an API server; before 1.28 it was one less.
# Source: https://kubernetes.io/releases/version-skew-policy/#kubelet
BEHIND, BEHIND_BEFORE, SINCE = 3, 2, (1, 28)
Nodes = Mapping[str, Mapping[str, Any]]


def judged_api(status: ClusterStatus, nodes: Nodes, person: Person) -> Iterator[Finding]:
    """What is wrong with the API servers, and with the Nodes, whose objects are given by name."""
    for server in status.api:
        if not server.ready:
            yield _silent(server, person)
    for name, node in nodes.items():
        yield from _node(name, node, person)
    yield from _releases(status, person)


def _silent(server: ApiHealth, person: Person) -> Finding:
    return fault(
        server.node,
        "API server",
        "its API server is not ready",
        why=server.problem or "it says so",
        mend=f"{person.reads(server.node, 'kube-apiserver')} says why; {person.applies()} starts what is off",
    )


def _node(name: str, node: Mapping[str, Any], person: Person) -> Iterator[Finding]:
    conditions = {str(each.get("type")): each for each in node.get("status", {}).get("conditions") or ()}
    ready = conditions.get("Ready", {})
    if ready.get("status") != "True":
        unknown = ready.get("status") in (None, "Unknown")
        yield fault(
            name,
            "Node",
            "it is not Ready: no pod is started there" + (", and nothing is heard of its kubelet" if unknown else ""),
            why=_said(ready) or "its kubelet says nothing of itself",
            mend=f"{person.reads(name, 'kubelet', 'containerd', 'clusterup-network', 'clusterup-balancer')}; "
            f"{person.plans()} says what of it is not as it should be",
        )
    for kind, words in PRESSURES.items():
        if conditions.get(kind, {}).get("status") == "True":
            yield fault(
                name, "Node", words, why=_said(conditions[kind]), mend=f"kubectl describe node {shlex.quote(name)}"
            )
    if node.get("spec", {}).get("unschedulable") and not leaving_since(node):
        yield warning(
            name,
            "Node",
            "no new pods come to it",
            why="somebody cordoned it, and it is not leaving",
            mend=f"when it may take pods again: kubectl uncordon {shlex.quote(name)}",
        )


def _said(condition: Mapping[str, Any]) -> str:
    parts = condition.get("reason"), condition.get("message")
    since = condition.get("lastTransitionTime")
    said = ": ".join(str(part) for part in parts if part)
    return f"{said}, since {since}" if said and since else said


def _releases(status: ClusterStatus, person: Person) -> Iterator[Finding]:
    servers = {server.node: server.version for server in status.api if server.version}
    kubelets = {node.name: node.kubelet for node in status.nodes if node.kubelet}
    for name, release in (*servers.items(), *kubelets.items()):
        if not _is_release(release):
            yield warning(name, "releases", "what it says is no release", why=release, mend=person.reads(name))
    known = [numbers(release) for release in servers.values() if _is_release(release)]
    if not known:
        return
    oldest, newest = min(known), max(known)
    yield from _without_fixes(newest)
    if newest > (oldest[0], oldest[1] + 1):
        yield fault(
            CLUSTER, "releases", "its API servers are too far apart", why=_each(servers),
            mend=f"one minor version at most: {person.plans()}",
        )  # fmt: skip
    behind = BEHIND if newest >= SINCE else BEHIND_BEFORE
    for name, release in kubelets.items():
        if not _is_release(release):
            continue
        found = numbers(release)
        if found > oldest:
            yield fault(
                name, "releases", "its kubelet is newer than an API server, which no release supports",
                why=f"kubelet {release}; API servers: {_each(servers)}", mend=f"{person.plans()}; servers come first",
            )  # fmt: skip
        elif found[1] + behind < newest[1]:
            yield fault(
                name, "releases", f"its kubelet is more than {behind} minor versions behind an API server",
                why=f"kubelet {release}; API servers: {_each(servers)}", mend=person.applies(),
            )  # fmt: skip


def _is_release(text: str) -> bool:
    try:
        numbers(text)
    except ValueError:
        return False
    return True


def _without_fixes(newest: tuple[int, int]) -> Iterator[Finding]:
    if newest == numbers(DEBIAN_KUBERNETES):
        yield warning(
            CLUSTER,
            "releases",
            f"Kubernetes {newest[0]}.{newest[1]} gets no fixes any more",
            why="its project has not supported it since 2022: it is Debian's, for trying out",
            mend="build a bundle with a current one, for a new cluster: clusterup image build --source upstream",
        )


def _each(releases: Mapping[str, str]) -> str:
    if len(set(releases.values())) == 1:
        return next(iter(releases.values()))
    return ", ".join(f"{name} {release}" for name, release in sorted(releases.items()))
