"""A cluster to join, and a machine that is bare."""

from __future__ import annotations

import pytest
import yaml

from tests.e2e.by_token import Entry
from tests.e2e.labs import Labs
from tests.e2e.operator import Operator
from tests.e2e.shapes import AGENT, ONE_SERVER, SERVER_AND_AGENT


@pytest.fixture(scope="module")
def small(labs: Labs, request: pytest.FixtureRequest) -> tuple[Operator, Entry]:
    """A cluster of one server, and how the bare machine is reached that is in its lab and not in its inventory."""
    operator = labs.begins(ONE_SERVER, request.node.nodeid)
    operator.clusterup("lab", "up", "--name", operator.name, "--inventory", "machines.yaml")
    nodes: list[Entry] = yaml.safe_load((operator.folder / "machines.yaml").read_bytes())["nodes"]
    return operator, next(node for node in nodes if node["name"] == AGENT)


@pytest.fixture(scope="module")
def grown(labs: Labs, request: pytest.FixtureRequest) -> Operator:
    """A server and an agent, which each test leaves to the next."""
    return labs.begins(SERVER_AND_AGENT, request.node.nodeid)
