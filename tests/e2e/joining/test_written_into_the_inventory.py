"""A machine that the cluster has never seen is written into the inventory, and an apply makes it a node."""

from __future__ import annotations

import pytest

from tests.e2e.by_token import Entry
from tests.e2e.operator import Operator
from tests.e2e.shapes import AGENT, SERVER

pytestmark = pytest.mark.e2e


def test_a_bare_machine_that_is_written_into_the_inventory_later_is_a_ready_node(small: tuple[Operator, Entry]) -> None:
    operator, machine = small
    operator.edits(lambda content: content["nodes"].append(machine))
    planned = operator.clusterup("plan", "lab.yaml")
    assert f"{AGENT}, empty" in planned
    operator.clusterup("apply", "lab.yaml", "--yes")
    assert operator.states() == {SERVER: "Ready", AGENT: "Ready"}
    assert "nothing to do" in operator.clusterup("plan", "lab.yaml")
