"""A machine becomes a server from an operator's machine that has nothing of the cluster."""

from __future__ import annotations

import os

import pytest

from tests.e2e.by_token import entry, from_here, made
from tests.e2e.operator import Operator
from tests.e2e.servers.quorum import nothing_is_left
from tests.e2e.shapes import SERVERS

pytestmark = [pytest.mark.e2e, pytest.mark.breaks]
TWO = SERVERS[1]


def test_a_machine_joins_as_a_server_from_elsewhere_and_who_joined_it_is_an_operator(
    shrinkable: Operator, elsewhere: Operator
) -> None:
    way = entry(shrinkable, TWO)
    shrinkable.clusterup("remove", TWO, "lab.yaml", "--wipe", "--yes")
    shrinkable.clusterup("lab", "up", "--name", shrinkable.name, "--inventory", "machines.yaml")
    token = made(shrinkable, "--role", "server", "--ttl", "1h")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "CLUSTERUP_TOKEN", token["token"])
        joined = elsewhere.runs(*from_here(shrinkable, way, token), "--inventory", "lab.yaml")
    assert joined.returncode == 0
    assert f"{TWO} is a server of the cluster {shrinkable.name}" in joined.stdout
    nothing_is_left(elsewhere)
    secret = token["token"].partition(".")[2]
    assert not [path for path in elsewhere.state.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    # The first operator hears of it.
    assert "another operator may have applied since" in shrinkable.clusterup("plan", "lab.yaml")
