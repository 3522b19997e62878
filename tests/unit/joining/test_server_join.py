"""What a server's token comes to with a machine: its entry, what is looked with, what is kept, and what is refused."""

from __future__ import annotations

import base64
import dataclasses
import json
from contextlib import ExitStack
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from bootstrap.adopt.fetch import HandedOver
from bootstrap.adopt.state import OtherHere, take_over
from bootstrap.constants.paths import HANDOVER
from bootstrap.engine.lock import Patience, file_lock
from bootstrap.errors import BadUse, Refused
from bootstrap.facts.model import ClusterFacts, EtcdFacts, EtcdMemberFacts, Unreachable
from bootstrap.inventory.model import Ssh, Taint
from bootstrap.joining.node import JoiningMachine
from bootstrap.joining.server import (
    Prospect,
    entry_of,
    keep,
    kept_state_locked,
    prospect_of,
    state_to_look_with,
    used_here,
)
from bootstrap.joining.server_preflight import check_same_bundle, quorum_problems, stale_problems
from bootstrap.operations.intent import Intent, intent_of
from bootstrap.protocol.token import Token
from bootstrap.state.cluster import LIVE, ClusterState, state_folder
from bootstrap.state.handover import parse_handover
from bootstrap.state.joiner import JoinerState, require_operator, state_for_joining
from bootstrap.transport.errors import TransportError
from tests.helpers.worlds import bundle, finished_world, intent

TOKEN = Token("abcdef", "0123456789abcdef")
MACHINE = JoiningMachine("s4", IPv4Address("10.77.0.14"), Ssh(host="10.77.0.14"), "/dev/vda")
PATIENCE = Patience()


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Intent:
    """What the operator has. The environment is that of somebody who has nothing, in a folder of their own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "second"))
    (tmp_path / "first").mkdir()
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    return intent(tmp_path / "first")


def handed_over(of: Intent) -> HandedOver:
    file = of.nodes["s1"].handover
    assert file is not None
    return HandedOver("10.77.0.11", parse_handover(file.content, node="s1"), file.sha256)


def prospect(of: Intent, place: Path | None = None, **machine: Any) -> Prospect:
    return prospect_of(TOKEN.id, handed_over(of), dataclasses.replace(MACHINE, **machine), place)


def kept(of: Prospect) -> ClusterState:
    """What is here when the token was used up."""
    with state_to_look_with(of, PATIENCE) as state, kept_state_locked(of, PATIENCE):
        state.host_keys.pin("s4", LIVE, KEY)
        keep(of, state)
    return ClusterState(state_folder("lab"))


KEY = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32)).decode()


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_entry_says_what_was_said_of_the_machine_and_no_more() -> None:
    assert entry_of(MACHINE) == {"name": "s4", "role": "server", "address": "10.77.0.14", "disk": "/dev/vda"}
    ssh = Ssh(host="box.example", user="admin", key="keys/mine", password_from="prompt")
    more = dataclasses.replace(MACHINE, ssh=ssh, taints=(Taint(key="a", effect="NoSchedule"),), labels={"disk": "ssd"})
    assert entry_of(more) == {
        **entry_of(MACHINE),
        "labels": {"disk": "ssd"},
        "taints": [{"key": "a", "effect": "NoSchedule"}],
        "ssh": {
            "host": "box.example",
            "user": "admin",
            "key": str(Path("keys/mine").absolute()),
            "password_from": "prompt",
        },
    }


def test_the_inventory_is_the_one_that_was_applied_with_one_entry_more(first: Intent) -> None:
    made = prospect(first)
    assert made.place == Path("lab.yaml")
    assert made.written.content.startswith(b"# Three servers and an agent.\n")
    assert [node.name for node in made.written.inventory.nodes] == ["s1", "s2", "s3", "a1", "s4"]
    assert made.node.disk == "/dev/vda"


def test_an_even_number_of_servers_is_allowed_in_the_inventory_and_said_to_be(first: Intent) -> None:
    made = prospect(first)
    assert made.written.inventory.cluster.allow_even_servers
    assert "with 4 servers 3 have to be up" in made.notes[0]
    assert "cluster.allow_even_servers: true is written into lab.yaml" in made.notes[1]


def test_where_it_is_allowed_already_nothing_is_added_to_allow_it(tmp_path: Path, first: Intent) -> None:
    (tmp_path / "other").mkdir()
    made = prospect(intent(tmp_path / "other", allow_even_servers=True))
    assert len(made.notes) == 1


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        ({"name": "a1"}, "the name a1 belongs to a node"),
        ({"name": "a1", "address": IPv4Address("10.77.0.21")}, "it is in the cluster's inventory already"),
        ({"name": "new", "address": IPv4Address("10.77.0.12")}, "the address 10.77.0.12 belongs to a node"),
    ],
)
def test_a_name_or_an_address_that_somebody_has_is_refused(first: Intent, machine: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        prospect(first, **machine)


def test_what_no_inventory_takes_is_refused_as_in_one(first: Intent) -> None:
    with pytest.raises(BadUse, match=r"lies in cluster\.pod_cidr"):
        prospect(first, address=IPv4Address("10.244.0.9"))


def test_a_file_that_is_not_what_was_handed_over_is_never_written_to(first: Intent) -> None:
    Path("lab.yaml").write_text("mine: true\n")
    with pytest.raises(Refused, match=r"lab\.yaml is there"):
        prospect(first)
    assert Path("lab.yaml").read_text() == "mine: true\n"


def test_what_is_looked_with_is_the_cluster_s_and_leaves_nothing(first: Intent, tmp_path: Path) -> None:
    made = prospect(first)
    with state_to_look_with(made, PATIENCE) as state:
        assert state.cluster_id == first.state.cluster_id
        assert state.folder != state_folder("lab")
        intent_of(made.written.inventory, state, first.bundle, tmp_path / "k", written=made.written.content)
    assert list(tree(tmp_path / "second")) == ["clusterup/clusters/.lab.joining.lock"]


def test_what_a_killed_join_left_is_not_used_and_goes_with_the_next(first: Intent) -> None:
    left = state_folder("lab").with_name(".lab.joining")
    left.mkdir(parents=True)
    (left / "cluster-id").write_text("0" * 32)
    with state_to_look_with(prospect(first), PATIENCE) as state:
        assert state.cluster_id == first.state.cluster_id
    assert not left.exists()


def test_one_join_of_a_server_at_a_time(first: Intent) -> None:
    made = prospect(first)
    with state_to_look_with(made, PATIENCE), pytest.raises(Refused, match="another clusterup"), ExitStack() as second:
        second.enter_context(state_to_look_with(made, PATIENCE))


def test_what_is_kept_makes_this_machine_an_operator_s(first: Intent, tmp_path: Path) -> None:
    made = prospect(first)
    state = kept(made)
    assert Path("lab.yaml").read_bytes() == made.written.content
    assert state.founded
    assert state.host_keys.pinned("s4") == {LIVE: KEY}
    second = intent_of(made.written.inventory, state, first.bundle, tmp_path / "k", written=made.written.content)
    assert second.keys.pki.ca == first.keys.pki.ca
    assert second.state.cluster_id == first.state.cluster_id
    assert {path.stat().st_mode & 0o077 for path in state.folder.rglob("*") if path.is_file()} == {0}


def test_the_second_time_it_is_said_what_goes_on_and_what_takes_it_back(first: Intent) -> None:
    assert used_here(TOKEN.id) is None
    kept(prospect(first))
    said = used_here(TOKEN.id)
    assert said is not None
    assert "the token was used up" in said.problem
    assert f"clusterup apply {Path('lab.yaml').absolute()} goes on" in said.hint
    assert f"clusterup remove s4 {Path('lab.yaml').absolute()} takes it back" in said.hint
    assert used_here("fedcba") is None


def test_an_operator_s_own_state_and_inventory_are_used_and_nothing_in_them_is_replaced(first: Intent) -> None:
    take_over(handed_over(first), OtherHere.KEEP)
    folder = state_folder("lab")
    (folder / "pki" / "nodes" / "s1" / "apiserver.crt").write_bytes(b"a newer one")
    Path("lab.yaml").write_bytes(first.written)
    before = tree(folder)
    made = prospect(first)
    kept(made)
    after = tree(folder)
    changed = {name for name in before if after[name] != before[name]}
    assert changed <= {"hostkeys.json", "lock"}
    assert Path("lab.yaml").read_bytes() == made.written.content


def test_who_has_joined_agents_from_here_before_is_an_operator_now(first: Intent) -> None:
    assert isinstance(state_for_joining("lab", first.state.cluster_id), JoinerState)
    kept(prospect(first))
    require_operator("lab")
    assert state_for_joining("lab", first.state.cluster_id).ssh_key.public == first.state.ssh_key.public


def test_what_was_made_here_for_a_stick_gives_way_to_what_the_cluster_made_of_the_machine(first: Intent) -> None:
    joiner = state_for_joining("lab", first.state.cluster_id)
    assert joiner.ssh_key.public
    stick = joiner.identity("s2")
    state = kept(prospect(first))
    assert state.identity("s2") == first.state.identity("s2") != stick


def test_the_state_of_another_cluster_is_refused_and_left_alone(first: Intent, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = intent(tmp_path / "other")
    take_over(handed_over(other), OtherHere.KEEP)
    before = tree(state_folder("lab"))
    with pytest.raises(Refused, match="a state of another cluster lab"), state_to_look_with(prospect(first), PATIENCE):
        raise AssertionError
    assert tree(state_folder("lab")) == before


def test_a_state_that_somebody_works_with_is_waited_for_or_refused(first: Intent) -> None:
    take_over(handed_over(first), OtherHere.KEEP)
    made = prospect(first)
    lock = file_lock(ClusterState(state_folder("lab")).lock, "apply")
    with lock, pytest.raises(Refused, match="another clusterup"), ExitStack() as second:
        second.enter_context(kept_state_locked(made, PATIENCE))


def test_a_bundle_that_would_change_every_node_is_refused(first: Intent, tmp_path: Path) -> None:
    check_same_bundle(handed_over(first).handover, first.bundle)
    with pytest.raises(Refused, match="not the one that the cluster's nodes are made of") as refused:
        check_same_bundle(handed_over(first).handover, bundle(tmp_path / "other", payload=b"newer"))
    assert "payload" in str(refused.value.got)


def against(world: ClusterFacts, of: Intent, *well: str) -> list[str]:
    return [str(each) for each in quorum_problems("s4", of.inventory.networked_servers, world, well)]


def test_a_whole_quorum_takes_one_more(first: Intent) -> None:
    assert against(finished_world(first), first, "s1", "s2", "s3") == []


def test_a_member_that_is_missing_is_named_and_what_to_do(first: Intent) -> None:
    world = finished_world(first)
    (said,) = against(world, first, "s1", "s3")
    assert "s2 is a member of etcd and not healthy" in said
    assert "clusterup remove" in said
    assert "the token was not used up" in said


def test_a_learner_that_waits_is_named(first: Intent) -> None:
    world = finished_world(first)
    assert world.etcd is not None
    waits = EtcdMemberFacts(9, "", ("https://10.77.0.19:2380",), learner=True)
    (said,) = against(dataclasses.replace(world, etcd=EtcdFacts((*world.etcd.members, waits))), first, "s1", "s2", "s3")
    assert "https://10.77.0.19:2380 waits for its vote" in said


def test_a_member_that_no_inventory_has_is_named(first: Intent) -> None:
    world = finished_world(first)
    assert world.etcd is not None
    old = EtcdMemberFacts(9, "old", (), learner=False)
    (said,) = against(dataclasses.replace(world, etcd=EtcdFacts((*world.etcd.members, old))), first, "s1", "s2", "s3")
    assert "old is a member of etcd and not healthy" in said
    assert "not in the cluster's inventory" in said


def test_where_no_etcd_answers_it_is_said_who_was_not_reached(first: Intent) -> None:
    away = TransportError("it does not answer", node="s1", step="connect", hint="start it")
    there = finished_world(first)
    world = dataclasses.replace(there, etcd=None, seen={**there.seen, "s1": Unreachable(away)})
    (said,) = against(world, first)
    assert "no member of the cluster's etcd answers" in said
    assert "s1: it does not answer" in said


def test_who_has_applied_since_the_token_was_made_is_not_overruled(first: Intent) -> None:
    world, found = finished_world(first), handed_over(first)
    servers = first.inventory.networked_servers
    assert list(stale_problems(found, servers, world)) == []
    newer = dataclasses.replace(world.nodes["s2"], files={**world.nodes["s2"].files, HANDOVER: "newer"})
    (said,) = stale_problems(found, servers, dataclasses.replace(world, seen={**world.seen, "s2": newer}))
    assert "is not what was applied last" in said.problem
    assert "another one on s2" in str(said.got)


def test_nothing_of_what_was_handed_over_shows_in_a_prospect_s_words(first: Intent) -> None:
    made = prospect(first)
    assert "PRIVATE KEY" not in repr(made.found)
    kept(made)
    note = json.loads((state_folder("lab") / "joined-with" / TOKEN.id).read_text())
    assert set(note) == {"node", "inventory"}
