"""An operator whose inventory brings objects into the cluster of the real API server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bootstrap.clients import tunnel
from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.kubernetes_any import AnyKind
from bootstrap.clients.tunnel import ApiServers
from bootstrap.engine.action import Action
from bootstrap.engine.changes import ObjectChange
from bootstrap.engine.connections import Connections
from bootstrap.engine.patience import until
from bootstrap.facts import cluster as facts_of_cluster
from bootstrap.facts.cluster import read_manifests
from bootstrap.facts.model import ClusterFacts, UnitFacts
from bootstrap.inventory.manifests import ManifestSource
from bootstrap.manifests.kept import NAME, NAMESPACE
from bootstrap.manifests.sources import read_entries
from bootstrap.operations.intent import Intent
from bootstrap.phases import manifests as phase
from bootstrap.phases.manifests import manifest_actions
from tests.helpers.local_transport import LocalTransport
from tests.helpers.one_node import OneNode
from tests.helpers.worlds import facts, intent
from tests.integration.kube.servers import ApiServer

Manifest = dict[str, Any]


def config_map(name: str, namespace: str = "default", **data: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def namespace(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def deployment(name: str, namespace: str, replicas: int | None = None) -> Manifest:
    labels = {"app": name}
    spec: Manifest = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a:1"}]}},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


class Patient(OneNode):
    """As OneNode, where what is waited for may take its time."""

    def wait_until(self, condition: Callable[[], bool], *, what: str, timeout: float, every: float) -> None:
        until(lambda: condition() or None, what=what, seconds=timeout, every=min(every, 0.2))


@dataclass
class Brings:
    """Writes manifests, plans and applies them, as the commands do. `said` is what a plan tells, by titles of its
    actions: why each has to be done."""

    api: KubeClient
    of: Intent
    folder: Path
    entries: list[ManifestSource] = field(default_factory=list)

    def write(self, name: str, *objects: Mapping[str, Any], **settings: Any) -> None:
        """An entry of the inventory, or another content of it."""
        (self.folder / name).write_text("---\n".join(json.dumps(each) + "\n" for each in objects))
        self.entries = [each for each in self.entries if each.path != name]
        self.entries.append(ManifestSource(path=name, **{"wait": 30, **settings}))

    def forget(self, name: str) -> None:
        self.entries = [each for each in self.entries if each.path != name]

    def seen(self) -> tuple[Sequence[Action[ClusterFacts]], ClusterFacts]:
        nodes = {"s1": facts(units={"kube-apiserver.service": UnitFacts("active", "x")})}
        read = read_entries(self.entries, self.folder / "inventory.yaml", lambda *_: b"")
        found = read_manifests(nodes, ["s1"], Connections(LocalTransport), self.of.keys, read)
        actions = manifest_actions(read, ApiServers("lab", ("s1",), self.of.keys), {})
        return actions, ClusterFacts(nodes, manifests=found)

    def said(self) -> dict[str, str]:
        actions, world = self.seen()
        return {action.title: why for action in actions if (why := action.check(world)) is not None}

    def changes(self) -> list[ObjectChange]:
        actions, world = self.seen()
        return [change for action in actions if action.check(world) for change in action.changes(world).objects]

    def apply(self) -> None:
        actions, world = self.seen()
        for action in actions:
            if action.check(world) is not None:
                action.apply(Patient(LocalTransport("s1")))

    def get(self, api_version: str, kind: str, name: str, where: str | None = "default") -> Manifest | None:
        anything = AnyKind(self.api)
        found = anything.kind(api_version, kind)
        return anything.get(found, name, where) if found is not None else None

    def data(self, name: str, where: str = "default") -> dict[str, str] | None:
        found = self.api.get("ConfigMap", name, where)
        return None if found is None else found.get("data")


@contextmanager
def bringing(api_server: ApiServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Brings]:
    """An operator of a cluster that nobody has brought anything into; the one API server answers whichever is asked."""

    @contextmanager
    def client(*_: object) -> Iterator[KubeClient]:
        with api_server.client() as client:
            yield client

    for module in (phase, tunnel):
        monkeypatch.setattr(module, "any_api", client)
    monkeypatch.setattr(facts_of_cluster, "api_at", client)
    with api_server.client() as api:
        api.delete("ConfigMap", NAME, NAMESPACE)
        yield Brings(api, intent(folder), folder)
