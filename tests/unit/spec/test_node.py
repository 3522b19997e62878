"""A node as it should be is a calculation: the same inventory, bundle and credentials make the same bytes."""

from __future__ import annotations

from pathlib import Path

from bootstrap.phases.credentials import servers_credentials
from bootstrap.protocol.files import NodeFile
from bootstrap.spec.node import desired_nodes
from tests.helpers.worlds import intent


def test_the_same_input_makes_the_same_node_to_the_byte_and_nothing_is_written(tmp_path: Path) -> None:
    of = intent(tmp_path)
    own = servers_credentials(of.inventory, of.bundle.versions, of.keys.pki, of.state)
    kept = NodeFile("/var/lib/clusterup/handover.json", b"{}")
    before = sorted(tmp_path.rglob("*"))
    first, second = (desired_nodes(of.inventory, of.bundle, of.keys.pki, own, kept) for _ in range(2))
    assert first == second
    assert sorted(tmp_path.rglob("*")) == before
    assert [name for name, desired in first.items() if desired.handover == kept] == [
        server.name for server in of.inventory.servers
    ]
