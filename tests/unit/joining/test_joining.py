"""What a joining machine is made of, and what speaks against it."""

from __future__ import annotations

import dataclasses
import json
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path
from typing import Any

import pytest

from bootstrap.adopt.fetch import HandedOver
from bootstrap.adopt.state import OtherHere, take_over
from bootstrap.constants.objects import JOIN_MANIFEST, JOIN_MANIFEST_KEY
from bootstrap.errors import Refused
from bootstrap.facts.model import ClusterFacts, InterfaceFacts
from bootstrap.inventory.model import Interface, Ssh
from bootstrap.joining.discovery import Discovered
from bootstrap.joining.node import Joining, JoiningMachine, installation_for, joining_of, keep_identity, note_joining
from bootstrap.joining.preflight import machine_problems
from bootstrap.operations.intent import Intent
from bootstrap.phases.preflight import preflight
from bootstrap.protocol.discovery import ServerUrl
from bootstrap.protocol.join_manifest import parse_description
from bootstrap.protocol.token import Token
from bootstrap.state.cluster import ClusterState, state_folder
from bootstrap.state.handover import parse_handover
from bootstrap.state.joiner import JoinerState, require_operator, state_for_joining
from tests.helpers.worlds import facts, intent

TOKEN = Token("abcdef", "0123456789abcdef")
CARDS = (InterfaceFacts("ens3", "52:54:00:00:00:01", ("10.77.0.31/24",)),)


@pytest.fixture
def of(tmp_path: Path) -> Intent:
    return intent(tmp_path)


@pytest.fixture(autouse=True)
def joiner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state of somebody who has nothing of the cluster."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "joiner"))
    return tmp_path / "joiner" / "clusterup" / "clusters" / "lab"


def joining(of: Intent, **machine: Any) -> Joining:
    (found,) = [each for each in of.objects if each["metadata"]["name"] == JOIN_MANIFEST]
    discovered = Discovered(ServerUrl("10.77.0.11"), of.keys.pki.ca.cert_pem)
    wishes = JoiningMachine("j1", IPv4Address("10.77.0.31"), Ssh(host="10.77.0.31"), "/dev/vda")
    description = parse_description(found["data"][JOIN_MANIFEST_KEY])
    return joining_of(discovered, TOKEN, description, dataclasses.replace(wishes, **machine), of.bundle)


def live_node(machine_id: str, ready: str = "True") -> dict[str, Any]:
    return {
        "metadata": {"name": "j1"},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "nodeInfo": {"machineID": machine_id},
            "addresses": [{"type": "InternalIP", "address": "10.77.0.99"}],
        },
    }


def said(of: Joining, *, node: dict[str, Any] | None = None, **found: Any) -> list[str]:
    given = {"interfaces": CARDS, **found}
    return [str(problem) for problem in machine_problems(of, facts(**given), node)]


def test_a_joining_node_runs_with_what_the_inventory_would_give_it(of: Intent) -> None:
    mine, theirs = joining(of, name="a1", address=IPv4Address("10.77.0.21")).desired, of.nodes["a1"]
    assert [(unit.name, unit.digest) for unit in mine.units] == [(unit.name, unit.digest) for unit in theirs.units]
    assert {file.path for file in mine.files} == {file.path for file in theirs.files}


def test_labels_that_were_asked_for_are_there_from_the_node_s_beginning(of: Intent) -> None:
    files = {file.path: file.content for file in joining(of, labels={"disk": "ssd"}).desired.files}
    assert files["/etc/kubernetes/kubelet-registration"] == b"REGISTRATION=--node-labels=disk=ssd\n"


def test_an_installed_machine_lets_the_operator_in_and_who_joined_it(of: Intent, joiner: Path) -> None:
    made = joining(of)
    etc = {file.path: file.content.decode() for file in installation_for(made).etc("j1")}
    assert etc["ssh/authorized_keys.d/root"].splitlines() == [
        f"{of.state.ssh_key.public} clusterup",
        f"{made.state.ssh_key.public} clusterup",
    ]
    assert json.loads(etc["clusterup/cluster.json"]) == {
        "cluster": "lab",
        "id": of.state.cluster_id,
        "node": "j1",
        "role": "agent",
    }
    assert "10.77.0.11 s1" in etc["hosts"]
    assert "10.77.0.31 j1" in etc["hosts"]


def test_an_installed_machine_has_the_network_that_was_told(of: Intent) -> None:
    card = Interface(mac="52:54:00:00:00:01", addresses=(IPv4Interface("10.77.0.31/24"),))
    with_card, without = joining(of, interfaces=(card,)), joining(of)
    etc = {file.path: file.content.decode() for file in installation_for(with_card).etc("j1")}
    assert "Address=10.77.0.31/24" in etc["systemd/network/10-525400000001.network"]
    assert "systemd/network/20-wired.network" in [file.path for file in installation_for(without).etc("j1")]


def test_the_state_of_another_cluster_of_that_name_is_refused_and_left_alone(of: Intent, joiner: Path) -> None:
    joiner.mkdir(parents=True)
    (joiner / "cluster-id").write_text("0" * 32)
    with pytest.raises(Refused, match="a state of another cluster lab") as refused:
        joining(of)
    assert f"mv {joiner} " in refused.value.hint
    assert (joiner / "cluster-id").read_text() == "0" * 32


def test_an_operator_s_state_is_used_as_it_is(joiner: Path) -> None:
    own = ClusterState(joiner)
    known, key = own.cluster_id, own.ssh_key.public
    own.keep_made()
    assert state_for_joining("lab", known).ssh_key.public == key
    require_operator("lab")


def test_who_only_joins_is_no_operator_until_the_cluster_is_adopted(of: Intent, joiner: Path) -> None:
    state = state_for_joining("lab", of.state.cluster_id)
    assert isinstance(state, JoinerState)
    mine = state.ssh_key.public
    state.keep_made()
    with pytest.raises(Refused, match="it has none of its keys"):
        require_operator("lab")
    file = of.nodes["s1"].handover
    assert file is not None
    take_over(HandedOver("s1", parse_handover(file.content, node="s1"), file.sha256), OtherHere.KEEP)
    require_operator("lab")
    adopted = state_for_joining("lab", of.state.cluster_id)
    assert adopted.ssh_key.public == of.state.ssh_key.public != mine
    assert state_folder("lab") == joiner


def test_a_machine_that_is_as_it_should_be_has_nothing_against_it(of: Intent) -> None:
    assert said(joining(of)) == []


def test_the_name_of_a_live_node_is_refused_and_that_of_a_dead_one_is_not(of: Intent) -> None:
    made = joining(of)
    (problem,) = said(made, node=live_node("another"))
    assert "a Ready node of that name is in the cluster already" in problem
    assert "10.77.0.99" in problem
    assert said(made, node=live_node("another", ready="Unknown")) == []


def test_a_node_that_is_the_machine_itself_is_not_in_its_way(of: Intent) -> None:
    own = {"kind": "installed", "hostname": "j1", "machine_id": "m", "cluster_id": of.state.cluster_id}
    assert said(joining(of), node=live_node("m"), **own) == []
    assert said(joining(of), node=live_node("m"), machine_id="m") != []


def test_an_address_that_the_machine_does_not_have_is_refused_with_those_that_it_has(of: Intent) -> None:
    (problem,) = said(joining(of, address=IPv4Address("10.77.0.32")))
    assert "does not have the address 10.77.0.32" in problem
    assert "got: 10.77.0.31" in problem


def test_an_installed_machine_keeps_its_name(of: Intent) -> None:
    (problem,) = said(joining(of), kind="installed", hostname="j7", cluster_id=of.state.cluster_id)
    assert "--name j7" in problem


def test_a_clock_that_is_off_and_a_node_of_another_cluster_are_refused(of: Intent) -> None:
    made = joining(of)

    def problems(**found: Any) -> list[str]:
        world = ClusterFacts({"j1": facts(**found)})
        said = preflight(made.inventory, world, cluster_id=of.state.cluster_id, bundle=made.bundle, wipe=frozenset())
        return [str(each) for each in said]

    (clock,) = problems(kind="installed", cluster_id=of.state.cluster_id, skew=-7200.0)
    assert "7200 s behind this machine's" in clock
    (foreign,) = problems(kind="installed", cluster_id="0" * 32)
    assert "it runs the micro OS of another cluster" in foreign


def test_what_a_stick_installs_is_let_into_by_whoever_made_it(of: Intent, joiner: Path) -> None:
    made = joining(of)
    keep_identity(made)
    identity = made.state.identity(made.node.name)
    note_joining(made)
    later = state_for_joining("lab", of.state.cluster_id)
    assert isinstance(later, JoinerState)
    assert later.folder == joiner
    assert (later.identity(made.node.name), later.ssh_key) == (identity, made.state.ssh_key)
