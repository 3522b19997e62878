"""What is asked of three servers in the end."""

from __future__ import annotations

from tests.e2e.operator import Operator
from tests.e2e.shapes import SERVERS
from tests.helpers.daemons import wait_for


def voters(operator: Operator) -> set[str]:
    """The voters, all of which answer; a learner or a member that does not would be an error."""
    members = operator.status()["etcd"]
    assert all(member["voter"] and not member["problem"] for member in members), members
    return {member["name"] for member in members}


def nothing_is_left(operator: Operator) -> None:
    """Three servers, Ready and healthy, and a plan that is empty."""
    wait_for(lambda: bool(operator.status()["healthy"]), "the cluster to be healthy", 300)
    assert voters(operator) == set(SERVERS)
    assert operator.readiness() == dict.fromkeys(SERVERS, "True")
    assert "nothing to do" in operator.clusterup("plan", "lab.yaml", "--prune")
