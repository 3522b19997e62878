"""Commands that look leave every byte of what is kept on this machine as it was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli.operators import INVENTORY, LOOKS, code_of, has_applied, said, sits_at, state_of, tree, types
from tests.simulator.cluster import SimulatedCluster, simulated_cluster


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCluster]:
    with simulated_cluster(tmp_path, servers=1, agents=1) as made:
        sits_at(made, monkeypatch)
        yield made


@pytest.fixture
def founded(cluster: SimulatedCluster) -> SimulatedCluster:
    """A cluster whose operator has applied it."""
    has_applied(cluster)
    return cluster


@pytest.mark.parametrize("look", LOOKS)
def test_of_a_cluster_that_is_still_to_be_made(cluster: SimulatedCluster, look: str) -> None:
    said(types(*LOOKS[look]))
    assert not (cluster.folder / "state").exists()


@pytest.mark.parametrize("look", LOOKS)
def test_of_a_cluster_that_is_there(founded: SimulatedCluster, look: str) -> None:
    assert code_of(types("plan", INVENTORY)) == 0
    before = tree(founded.folder)
    said(types(*LOOKS[look]))
    assert tree(founded.folder) == before


@pytest.mark.parametrize("lost", ["ca.crt", "ca.key", "etcd/ca.crt", "front-proxy-ca.key", "sa.pub"])
@pytest.mark.parametrize("command", ["plan", "apply --dry-run", "status", "kubeconfig", "apply"])
def test_a_lost_authority_is_refused_and_never_made_again(founded: SimulatedCluster, lost: str, command: str) -> None:
    (state_of(founded) / "pki" / lost).unlink()
    before = {path: found[2] for path, found in tree(state_of(founded)).items() if path != "lock"}
    done = types(*LOOKS.get(command, ("apply", INVENTORY, "--yes")))
    assert code_of(done) == 4
    assert f"the state here has lost {Path(lost).name}" in said(done)
    assert "clusterup adopt" in said(done)
    assert {path: found[2] for path, found in tree(state_of(founded)).items() if path != "lock"} == before


@pytest.mark.parametrize(
    ("name", "other"), [("service_cidr", "10.97.0.0/16"), ("pod_cidr", "10.224.0.0/12"), ("domain", "other.example")]
)
def test_a_draft_of_another_network_is_refused_and_leaves_nothing_behind(
    founded: SimulatedCluster, name: str, other: str
) -> None:
    untouched = founded.inventory.read_text()
    lines = [line for line in untouched.splitlines() if not line.startswith(f"  {name}:")]
    founded.inventory.write_text("\n".join(lines).replace("cluster:\n", f"cluster:\n  {name}: {other}\n", 1))
    refused = types("plan", INVENTORY)
    assert code_of(refused) == 4
    assert f"cluster.{name} of a cluster that runs can't be changed" in said(refused)
    assert f"the inventory says {other}" in said(refused)
    founded.inventory.write_text(untouched)
    done = types("plan", INVENTORY)
    assert "nothing to do: everything is as the inventory says" in said(done)


def test_a_draft_of_another_endpoint_makes_no_certificate_that_the_untouched_inventory_would_bring_to_servers(
    founded: SimulatedCluster,
) -> None:
    untouched = founded.inventory.read_text()
    founded.inventory.write_text(untouched.replace("cluster:\n", "cluster:\n  endpoint: api.example:6443\n", 1))
    planned = said(types("plan", INVENTORY))
    assert "keys: keep the cluster's keys and certificates" in planned
    assert "pki/nodes/s1/apiserver.crt is to be made" in planned
    assert "s1" in planned
    founded.inventory.write_text(untouched)
    assert "nothing to do: everything is as the inventory says" in said(types("plan", INVENTORY))


def test_what_a_new_cluster_needs_is_shown_as_the_first_thing_to_do(cluster: SimulatedCluster) -> None:
    planned = said(types("plan", INVENTORY))
    assert "3 authorities, 11 certificates, 2 identities of nodes, 4 secrets of the cluster are to be made" in planned


def test_a_host_key_that_is_believed_for_a_look_is_not_kept(
    cluster: SimulatedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = cluster.inventory.read_text()
    cluster.inventory.write_text(re.sub(r"host_key: .*", "use_config: false", text))
    asked: list[str] = []

    def believes(question: str) -> bool:
        asked.append(question)
        return True

    monkeypatch.setattr("bootstrap.cli.front.person", lambda: believes)
    assert "install" in said(types("plan", INVENTORY))
    assert len(asked) == 2
    assert not (cluster.folder / "state").exists()
