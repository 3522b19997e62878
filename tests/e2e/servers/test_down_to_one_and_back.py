"""Servers leave and come back, by a command on themselves and by an apply, under two writers that never rest."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bootstrap.operations.reading import intent_of_file
from tests.e2e.by_token import entry, made, typed_on
from tests.e2e.operator import Operator
from tests.e2e.servers.quorum import nothing_is_left, voters
from tests.e2e.shapes import SERVERS
from tests.helpers.writer import lost, writing

pytestmark = [pytest.mark.e2e, pytest.mark.breaks]
ONE, TWO, THREE = SERVERS
SERVER = "node-role.kubernetes.io/control-plane"


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
