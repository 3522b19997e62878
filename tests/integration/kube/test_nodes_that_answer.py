"""Which Nodes count as alive when a lab comes back, asked of a real API server."""

from __future__ import annotations

from bootstrap.lab.saves.health import ready_nodes
from bootstrap.protocol.nodes import is_ready
from tests.integration.kube.servers import ApiServer

# An API server asks no one there: a loopback address is no node's.
STATUS = {
    "conditions": [{"type": "Ready", "status": "True"}],
    "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
}


def test_a_node_that_was_ready_and_whose_kubelet_does_not_answer_is_not_alive(api_server: ApiServer) -> None:
    with api_server.client() as api:
        made = api.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gone"}, "status": STATUS})
        try:
            assert is_ready(made)
            assert "gone" not in ready_nodes(api)
        finally:
            api.delete("Node", "gone")
