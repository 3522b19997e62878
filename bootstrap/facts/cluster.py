"""What etcd and the API servers say of themselves, read through the servers that run them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from bootstrap.clients.etcd import healthy_voter
from bootstrap.clients.tunnel import api_at, etcd_at
from bootstrap.connect.console_login import RunsInstalled
from bootstrap.constants.objects import DNS_NAMESPACE, DNS_SERVICE, KEPT_LABEL, STORAGE_CLASS, UNWANTED
from bootstrap.engine.connections import Connections
from bootstrap.engine.gather import Gathered
from bootstrap.engine.pool import asking
from bootstrap.errors import ClusterupError
from bootstrap.facts.manifests import manifests_at
from bootstrap.facts.model import (
    ApiFacts,
    EtcdFacts,
    EtcdMemberFacts,
    NodeFacts,
    OnConsole,
    PodFacts,
    Seen,
    Unreachable,
    VolumeFacts,
)
from bootstrap.facts.pods import pods_to_move
from bootstrap.facts.volumes import volumes_by_node
from bootstrap.machine.objects import Manifest, object_key
from bootstrap.manifests.model import ManifestFacts
from bootstrap.manifests.sources import Entry
from bootstrap.protocol.nodes import is_ready
from bootstrap.state.credentials import OperatorKeys
from bootstrap.system_errors import as_error
from bootstrap.transport.base import Transport

T = TypeVar("T")
# What may be there without our mark, and matters all the same.
BY_NAME = (
    *((kind, name, None) for kind, name in UNWANTED),
    ("Service", DNS_SERVICE, DNS_NAMESPACE),
    ("StorageClass", STORAGE_CLASS, None),
)
PATIENCE_SECONDS = 10.0
"""How long an API server or a member of etcd that runs may take to answer before it counts as silent: it is away for a
moment whenever etcd chooses another leader, and a plan made in that moment would be another one."""
AGAIN_SECONDS = 1.0
ROUNDS = 2
"""How often all that run are asked at least: a slow machine may need the whole of that time for one answer."""


def all_seen(names: Sequence[str], found: Gathered[NodeFacts]) -> dict[str, Seen]:
    """What was seen of each node, over its console too, in the order of `names`."""
    return {name: _on_console(found.errors.get(name)) or reached(name, found) for name in names}


def reached(name: str, found: Gathered[NodeFacts]) -> Seen:
    """What a node said of itself over SSH, or that it was not reached."""
    return found.values.get(name) or Unreachable(found.errors[name])


def _on_console(error: ClusterupError | None) -> OnConsole | None:
    return OnConsole(error.configuration) if isinstance(error, RunsInstalled) else None


def read_etcd(
    nodes: Mapping[str, NodeFacts], servers: Sequence[str], ways: Connections, keys: OperatorKeys
) -> EtcdFacts | None:
    """The members of the quorum as the first server tells them whose etcd answers; None where none does, nor comes to
    within `PATIENCE_SECONDS`."""

    def ask(transport: Transport) -> EtcdFacts:
        with etcd_at(transport, keys) as client:
            members = client.members()
        return EtcdFacts(
            tuple(EtcdMemberFacts(member.id, member.name, member.peer_urls, member.learner) for member in members)
        )

    return _patiently(_running(nodes, servers, "etcd.service"), ways, ask)


def read_api(
    nodes: Mapping[str, NodeFacts],
    servers: Sequence[str],
    ways: Connections,
    keys: OperatorKeys,
    objects: Sequence[Manifest],
) -> ApiFacts | None:
    """The Nodes, what clusterup keeps of the kinds of `objects`, and what there is of `BY_NAME`, as the first server
    tells them whose API server is ready; None where none is, nor becomes so within `PATIENCE_SECONDS`."""

    def ask(transport: Transport) -> ApiFacts | None:
        with api_at(transport, keys) as api:
            if not api.ready():
                return None
            kinds = sorted({manifest["kind"] for manifest in objects})
            listed = {f"Node/{node['metadata']['name']}": node for node in api.list_remembered("Node")}
            found = {
                object_key({**item, "kind": kind}): item
                for kind in kinds
                for item in api.list_remembered(kind, labels=KEPT_LABEL)
            } | {
                object_key({**item, "kind": kind}): item
                for kind, name, namespace in BY_NAME
                if kinds and (item := api.remembered(kind, name, namespace)) is not None
            }
        ready = {name.removeprefix("Node/"): is_ready(node) for name, node in listed.items()}
        return ApiFacts(ready, {**listed, **found})

    return _patiently(_running(nodes, servers, "kube-apiserver.service"), ways, ask)


def read_well(
    nodes: Mapping[str, NodeFacts], servers: Sequence[str], ways: Connections, keys: OperatorKeys
) -> frozenset[str]:
    """The servers whose members of etcd have a vote and answer through the quorum."""

    def well(name: str) -> bool:
        try:
            with etcd_at(ways.on(name), keys) as client:
                return any(healthy_voter(client) for _ in range(ROUNDS))
        except Exception:
            # Whatever it answers, it is not well.
            return False

    running = _running(nodes, servers, "etcd.service")
    with asking(8, "etcd") as pool:
        return frozenset(name for name, answer in zip(running, pool.map(well, running), strict=True) if answer)


def read_manifests(
    nodes: Mapping[str, NodeFacts],
    servers: Sequence[str],
    ways: Connections,
    keys: OperatorKeys,
    entries: Sequence[Entry],
) -> ManifestFacts | None:
    """What the cluster has of the entries of an inventory's manifests, and of what left them; None where no API server
    answers. Raises ClusterupError for what is the same whoever is asked."""
    refused: list[ClusterupError] = []

    def ask(transport: Transport) -> ManifestFacts | None:
        with api_at(transport, keys) as api:
            if not api.ready():
                return None
            try:
                return manifests_at(api, entries)
            except ClusterupError as error:
                if not error.final:
                    raise
                refused.append(error)
                return ManifestFacts()

    found = _patiently(_running(nodes, servers, "kube-apiserver.service"), ways, ask)
    if refused:
        raise refused[0]
    return found


@dataclass(frozen=True, slots=True)
class OnNodes:
    """What is on nodes, by their names: pods that have to go elsewhere before they leave, and volumes that can't."""

    pods: Mapping[str, tuple[PodFacts, ...]] = field(default_factory=dict)
    volumes: Mapping[str, tuple[VolumeFacts, ...]] = field(default_factory=dict)


def read_pods_and_volumes(
    nodes: Mapping[str, NodeFacts], servers: Sequence[str], ways: Connections, keys: OperatorKeys, of: Sequence[str]
) -> OnNodes:
    """Those of the nodes `of`; nothing where no API server answers."""

    def ask(transport: Transport) -> OnNodes | None:
        with api_at(transport, keys) as api:
            if not api.ready():
                return None
            pods = {name: pods_to_move(api.list("Pod", fields={"spec.nodeName": name})) for name in of}
            return OnNodes(pods, volumes_by_node(api.list("PersistentVolume"), of))

    return _patiently(_running(nodes, servers, "kube-apiserver.service"), ways, ask) or OnNodes()


def _running(nodes: Mapping[str, NodeFacts], servers: Sequence[str], unit: str) -> list[str]:
    return [
        name
        for name in servers
        if name in nodes and unit in nodes[name].units and nodes[name].units[unit].active == "active"
    ]


def _patiently(running: Sequence[str], ways: Connections, ask: Callable[[Transport], T | None]) -> T | None:
    """What the first of the servers answers that does, while something runs there that may."""
    end, rounds = time.monotonic() + PATIENCE_SECONDS, 0
    while True:
        found, rounds = _first(running, ways, ask), rounds + 1
        if found is not None or not running or (rounds >= ROUNDS and time.monotonic() >= end):
            return found
        time.sleep(AGAIN_SECONDS)


def _first(servers: Sequence[str], ways: Connections, ask: Callable[[Transport], T | None]) -> T | None:
    """What the first server answers that does. Where none does, and one answered what no one expected, that is raised
    as a ClusterupError: it may be ours, and silence would hide it."""
    unexpected: ClusterupError | None = None
    for name in servers:
        try:
            answer = ask(ways.on(name))
        except ClusterupError:
            continue
        except Exception as error:
            unexpected = as_error(error, node=name, step="cluster", tried="ask what the cluster is")
            continue
        if answer is not None:
            return answer
    if unexpected is not None:
        raise unexpected
    return None
