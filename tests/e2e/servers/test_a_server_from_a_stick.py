"""A server that died is replaced by a bare machine that starts from a stick."""

from __future__ import annotations

import pytest

from tests.e2e.by_token import boots_a_stick, entry, made
from tests.e2e.operator import Operator
from tests.e2e.servers.quorum import nothing_is_left, voters
from tests.e2e.shapes import SERVERS
from tests.helpers.daemons import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.breaks]
ONE, TWO, THREE = SERVERS


def test_a_dead_server_leaves_and_a_bare_machine_of_its_name_comes_from_a_stick_as_the_third_voter(
    shrinkable: Operator, elsewhere: Operator
) -> None:
    way = entry(shrinkable, THREE)
    shrinkable.clusterup("lab", "stop", THREE, "--name", shrinkable.name)
    wait_for(lambda: shrinkable.readiness().get(THREE, "True") != "True", f"{THREE}'s Node to be seen as gone", 600)
    # The quorum is two of three now: a second one may not leave.
    refused = shrinkable.runs("remove", TWO, "lab.yaml", "--yes")
    assert refused.returncode == 4
    assert f"without {TWO}: 2 members, 2 needed, 1 answers" in refused.stderr
    shrinkable.clusterup("remove", THREE, "lab.yaml", "--yes")
    assert voters(shrinkable) == {ONE, TWO}
    assert THREE not in shrinkable.readiness()

    shrinkable.edits(lambda content: content["nodes"].append(way))
    token = made(shrinkable, "--role", "server", "--node", THREE, "--ttl", "1h")
    boots_a_stick(shrinkable, way, token, elsewhere)
    wait_for(lambda: shrinkable.readiness().get(THREE) == "True", f"{THREE} to be Ready", 1800)
    assert voters(shrinkable) == set(SERVERS)
    shrinkable.clusterup("apply", "lab.yaml", "--yes")
    nothing_is_left(shrinkable)
