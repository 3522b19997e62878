"""Three servers of which some leave and come."""

from __future__ import annotations

import pytest

from tests.e2e.operator import Operator


@pytest.fixture
def shrinkable(cluster: Operator) -> Operator:
    """From three servers to one and back leads through two."""
    cluster.edits(lambda content: content["cluster"].update(allow_even_servers=True))
    cluster.clusterup("apply", "lab.yaml", "--yes")
    return cluster


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory, cluster: Operator) -> Operator:
    """Somebody who has nothing of the cluster."""
    folder = tmp_path_factory.mktemp("elsewhere")
    return Operator(folder, folder / "state", cluster.name)
