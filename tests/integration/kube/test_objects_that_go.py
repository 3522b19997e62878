"""What no cluster is to have is planned, and taken out, by an apply: against a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bootstrap.clients import tunnel as ways
from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.tunnel import ApiServers
from bootstrap.engine.connections import Connections
from bootstrap.facts import cluster as observe
from bootstrap.facts.cluster import read_api
from bootstrap.facts.model import ClusterFacts, UnitFacts
from bootstrap.operations.intent import Intent
from bootstrap.phases import control_plane as controlplane
from bootstrap.phases.control_plane import object_actions
from tests.helpers.local_transport import LocalTransport
from tests.helpers.one_node import OneNode
from tests.helpers.worlds import facts, intent
from tests.integration.kube.servers import ApiServer

NAME = "kubeadm:node-autoapprove-bootstrap"
RBAC = "rbac.authorization.k8s.io"


@pytest.fixture
def of(api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Intent:
    """What an operator keeps in the cluster; the one API server answers whichever is asked."""

    @contextmanager
    def client(*_: object) -> Iterator[KubeClient]:
        with api_server.client() as client:
            yield client

    for module in (controlplane, ways):
        monkeypatch.setattr(module, "any_api", client)
    monkeypatch.setattr(observe, "api_at", client)
    with api_server.client() as api:
        # As the controller manager makes it.
        api.apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "kube-system"}}
        )
    return intent(tmp_path)


def test_the_binding_that_gave_any_name_to_any_token_is_planned_and_taken_out(
    api_server: ApiServer, of: Intent
) -> None:
    # The description of this cluster is other tests' own.
    objects = [manifest for manifest in of.objects if manifest["metadata"]["name"] != "cluster-info"]
    (action,) = object_actions(objects, ApiServers("lab", ("s1",), of.keys), ["s1"])

    def reason() -> str | None:
        nodes = {"s1": facts(units={"kube-apiserver.service": UnitFacts("active", "x")})}
        found = read_api(nodes, ["s1"], Connections(LocalTransport), of.keys, objects)
        return action.check(ClusterFacts(nodes, api=found))

    action.apply(OneNode(LocalTransport("s1")))
    assert reason() is None
    with api_server.client() as api:
        # As `kubeadm init` makes it, without a label of clusterup's.
        role = "system:certificates.k8s.io:certificatesigningrequests:nodeclient"
        group = {"apiGroup": RBAC, "kind": "Group", "name": "system:bootstrappers:kubeadm:default-node-token"}
        api.apply(
            {
                "apiVersion": f"{RBAC}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": NAME},
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
                "subjects": [group],
            }
        )
        assert reason() == f"ClusterRoleBinding/{NAME} lets any token take the name of any node"
        action.apply(OneNode(LocalTransport("s1")))
        assert api.get("ClusterRoleBinding", NAME) is None
        assert api.get("ClusterRoleBinding", "kubeadm:node-autoapprove-certificate-rotation") is not None
    assert reason() is None
