"""A cluster of a server and an agent that leaves it, and comes back in each way that there is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Operator, lab_of

SERVER, AGENT = "server-1", "agent-1"


@pytest.fixture(scope="package")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A server, and an agent that its operator has added to the inventory later."""
    with lab_of(tmp_path_factory, "join", "--servers", "1", "--agents", "1") as operator:
        # A lab that was left has its cluster.
        if not (operator.folder / f"{operator.name}.kubeconfig").exists():
            grow(operator)
        yield operator


def grow(operator: Operator) -> None:
    """The server alone becomes a cluster; then the agent is added."""
    whole = operator.inventory.read_text()
    operator.edits(lambda content: content.update(nodes=[n for n in content["nodes"] if n["name"] != AGENT]))
    operator.clusterup("apply", "lab.yaml", "--yes")
    operator.inventory.write_text(whole)
    operator.clusterup("apply", "lab.yaml", "--yes")
