"""Servers leave and come back in each of the four ways, under two writers that never rest."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.cli.common import intent_of_file
from tests.e2e.by_token import boots_a_stick, entry, from_here, made, typed_on
from tests.e2e.operator import Operator
from tests.e2e.shapes import SERVERS
from tests.helpers.daemons import wait_for
from tests.helpers.writer import lost, writing

pytestmark = [pytest.mark.e2e, pytest.mark.breaks]
ONE, TWO, THREE = SERVERS
SERVER = "node-role.kubernetes.io/control-plane"


@pytest.fixture
def shrinkable(cluster: Operator) -> Iterator[Operator]:
    """From three servers to one and back leads through two."""
    cluster.edits(lambda content: content["cluster"].update(allow_even_servers=True))
    cluster.clusterup("apply", "lab.yaml", "--yes")
    yield cluster


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory, cluster: Operator) -> Operator:
    """Somebody who has nothing of the cluster."""
    folder = tmp_path_factory.mktemp("elsewhere")
    return Operator(folder, folder / "state", cluster.name)


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


def test_three_servers_become_one_and_three_again_and_no_acknowledged_write_is_lost(shrinkable: Operator) -> None:
    ways = {name: entry(shrinkable, name) for name in (TWO, THREE)}
    intent = intent_of_file(shrinkable.inventory, Path(shrinkable.folder / f"{shrinkable.name}.kubeconfig"))
    planned = shrinkable.runs("remove", THREE, "lab.yaml")
    assert planned.returncode == 4
    assert f"without {THREE}: 2 members, 2 needed, 2 answer" in planned.stdout
    with writing(intent, ONE) as written:
        for name in (THREE, TWO):
            shrinkable.clusterup("remove", name, "lab.yaml", "--yes")
        assert voters(shrinkable) == {ONE}
        assert shrinkable.readiness() == {ONE: "True"}
        balancer = shrinkable.runs_on(ONE, "cat /etc/clusterup/haproxy.cfg")
        assert ONE in balancer
        assert not [name for name in (TWO, THREE) if name in balancer]

        # One by a command on itself, one by its operator.
        shrinkable.edits(lambda content: content["nodes"].append(ways[TWO]))
        joins_by_itself(shrinkable)
        shrinkable.edits(lambda content: content["nodes"].append(ways[THREE]))
        shrinkable.clusterup("apply", "lab.yaml", "--yes")
        assert voters(shrinkable) == set(SERVERS)
    for way, found in written.items():
        sys.stdout.write(
            f"{way}: {len(found.numbers)} writes acknowledged, {found.refused} not; the longest pause "
            f"{found.longest_pause:.1f} s\n"
        )
        assert found.numbers
    assert lost(intent, ONE, written) == {"api": set(), "etcd": set()}
    nothing_is_left(shrinkable)


def joins_by_itself(operator: Operator) -> None:
    """What is typed on the second server makes it one, and leaves nothing to an apply but to tell the others."""
    token = made(operator, "--role", "server", "--node", TWO)
    server = f"https://{entry(operator, ONE)['address']}:6443"
    typed = f"clusterup-node join {server} --token - --ca-cert-hash {token['ca_cert_hash']} 2>&1"
    said = typed_on(operator, TWO, typed, f"{token['token']}\n")
    sys.stdout.write(said)
    assert f"{TWO} is a Ready server of {operator.name}" in said
    assert token["token"].partition(".")[2] not in said
    assert voters(operator) == {ONE, TWO}
    assert operator.asks("get", "node", TWO, "-o", f"jsonpath={{.metadata.labels['{SERVER}']}}").returncode == 0
    planned = operator.clusterup("plan", "lab.yaml")
    assert f"{TWO}/" not in planned
    sys.stdout.write(planned)


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
