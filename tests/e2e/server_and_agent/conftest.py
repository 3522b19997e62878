"""A server and an agent: bare machines, or a cluster."""

from __future__ import annotations

import pytest

from tests.e2e.labs import Labs
from tests.e2e.operator import Operator
from tests.e2e.server_and_agent.installed import Files, files_on
from tests.e2e.shapes import AGENT, INSTALLED, SERVER, SERVER_AND_AGENT, TWO_BARE


@pytest.fixture(scope="module")
def lab(labs: Labs, request: pytest.FixtureRequest) -> Operator:
    """Machines with empty disks that run the live environment, which each test leaves to the next."""
    return labs.begins(TWO_BARE, request.node.nodeid)


@pytest.fixture(scope="module")
def installed(labs: Labs, request: pytest.FixtureRequest) -> dict[str, Files]:
    """What was on each node after its installation, before they became the cluster."""
    lab = labs.begins(INSTALLED, request.node.nodeid)
    return {node: files_on(lab, node) for node in (SERVER, AGENT)}


@pytest.fixture(scope="module")
def joined(labs: Labs, installed: dict[str, Files], request: pytest.FixtureRequest) -> Operator:
    """The cluster that was made of what is `installed`, which each test leaves to the next."""
    return labs.begins(SERVER_AND_AGENT, request.node.nodeid)
