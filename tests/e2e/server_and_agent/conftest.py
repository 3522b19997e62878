"""A server and an agent, bare machines."""

from __future__ import annotations

import pytest

from tests.e2e.labs import Labs
from tests.e2e.operator import Operator
from tests.e2e.shapes import TWO_BARE


@pytest.fixture(scope="module")
def lab(labs: Labs, request: pytest.FixtureRequest) -> Operator:
    """Machines with empty disks that run the live environment, which each test leaves to the next."""
    return labs.begins(TWO_BARE, request.node.nodeid)
