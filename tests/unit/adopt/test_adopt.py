"""Another machine: what a server hands over becomes the state there, and nothing is left to do."""

from __future__ import annotations

import base64
import dataclasses
import shutil
import stat
from pathlib import Path

import pytest

from bootstrap.adopt.fetch import HandedOver
from bootstrap.adopt.state import (
    OtherHere,
    bundle_advice,
    bundle_of_nodes,
    check_inventory_place,
    take_over,
    write_inventory,
    write_own_kubeconfig,
)
from bootstrap.engine.lock import file_lock
from bootstrap.errors import BadUse, Refused
from bootstrap.image.bundle import NoBundle
from bootstrap.operations.intent import Intent, intent_of
from bootstrap.operations.planning import prepare
from bootstrap.state.cluster import ClusterState, state_folder
from bootstrap.state.handover import parse_handover
from bootstrap.state.joiner import state_for_joining
from tests.helpers.worlds import bundle, finished_world, intent, written


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Intent:
    """What the first operator has. The environment is that of the second one, who has nothing."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "second"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "first").mkdir()
    return intent(tmp_path / "first")


def on_the_server(of: Intent) -> HandedOver:
    """The file as a server of the first operator's cluster has it."""
    file = of.nodes["s1"].handover
    assert file is not None
    return HandedOver("s1", parse_handover(file.content, node="s1"), file.sha256)


def adopted(of: Intent) -> ClusterState:
    return ClusterState(take_over(on_the_server(of), OtherHere.KEEP).folder)


def second_intent(of: Intent, folder: Path) -> Intent:
    """What the second operator's commands make of what was adopted, with no bundle on their machine."""
    state = ClusterState(state_folder("lab"))
    found = on_the_server(of).handover
    kubeconfig = write_own_kubeconfig(found, folder / "lab.yaml")
    nodes_bundle = bundle_of_nodes(None, state.folder)
    return intent_of(found.inventory, state, nodes_bundle, kubeconfig, written=found.written)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_adopted_state_wants_the_very_same_files_on_every_node(first: Intent, tmp_path: Path) -> None:
    adopted(first)
    second = second_intent(first, tmp_path)
    for name, node in first.nodes.items():
        assert second.nodes[name].files == node.files
        assert second.nodes[name].units == node.units
        assert second.nodes[name].wanted == node.wanted
        assert second.nodes[name].handover == node.handover
    assert (second.state.folder / "encryption-key").read_bytes() == (first.state.folder / "encryption-key").read_bytes()
    assert second.keys.pki.ca == first.keys.pki.ca
    assert second.keys.admin == first.keys.admin
    assert second.objects == first.objects


def test_then_the_plan_of_a_finished_cluster_is_empty(first: Intent, tmp_path: Path) -> None:
    adopted(first)
    prepared = prepare(second_intent(first, tmp_path), finished_world(first), wipe=frozenset())
    assert prepared.problems == ()
    assert prepared.plan.empty


def test_who_has_only_joined_nodes_from_here_is_not_asked_about_what_was_made_for_them(first: Intent) -> None:
    joiner = state_for_joining("lab", first.state.cluster_id)
    assert joiner.ssh_key.public
    assert joiner.identity("s2") != first.state.identity("s2")
    joiner.keep_made()
    taken = take_over(on_the_server(first), OtherHere.KEEP)
    assert "nodes/s2/machine-id" in taken.replaced
    assert ClusterState(taken.folder).identity("s2") == first.state.identity("s2")


def test_only_its_owner_can_read_what_was_adopted(first: Intent) -> None:
    folder = adopted(first).folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.rglob("*"):
        assert path.is_dir() or stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == ["lab"]


def test_an_adopted_cluster_is_never_founded_a_second_time(first: Intent) -> None:
    assert not first.state.founded
    assert adopted(first).founded


def test_adopting_a_second_time_changes_nothing(first: Intent) -> None:
    before = tree(adopted(first).folder)
    taken = take_over(on_the_server(first), OtherHere.KEEP)
    assert (taken.added, taken.replaced) == ((), ())
    assert {name: text for name, text in tree(taken.folder).items() if name not in ("lock", "keys.lock")} == before


def test_the_state_of_another_cluster_of_that_name_is_never_touched(first: Intent, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = intent(tmp_path / "other")
    folder = state_folder("lab")
    folder.parent.mkdir(parents=True)
    shutil.copytree(other.state.folder, folder)
    before = tree(folder)
    for other_here in OtherHere:
        with pytest.raises(Refused, match="a state of another cluster lab") as refused:
            take_over(on_the_server(first), other_here)
        assert str(folder) in str(refused.value)
    assert {name: text for name, text in tree(folder).items() if name != "lock"} == before


def test_what_only_the_server_has_is_added(first: Intent) -> None:
    state = adopted(first)
    shutil.rmtree(state.folder / "nodes" / "a1")
    assert take_over(on_the_server(first), OtherHere.KEEP).added == (
        "nodes/a1/machine-id",
        "nodes/a1/ssh_host_ed25519_key",
    )
    assert state.identity("a1") == first.state.identity("a1")


def test_a_lost_key_for_the_encryption_of_secrets_comes_back_from_a_server(first: Intent, tmp_path: Path) -> None:
    state = adopted(first)
    (state.folder / "encryption-key").unlink()
    with pytest.raises(Refused, match="has lost encryption-key"):
        second_intent(first, tmp_path)
    assert take_over(on_the_server(first), OtherHere.KEEP).added == ("encryption-key",)
    assert second_intent(first, tmp_path).nodes["s1"].files == first.nodes["s1"].files


def test_another_key_for_the_encryption_of_secrets_is_never_taken_over(first: Intent) -> None:
    state = adopted(first)
    other = base64.b64encode(bytes(32))
    (state.folder / "encryption-key").write_bytes(other)
    for other_here in OtherHere:
        with pytest.raises(Refused, match="a state of another cluster lab") as refused:
            take_over(on_the_server(first), other_here)
        assert "encryption-key" in str(refused.value)
    assert (state.folder / "encryption-key").read_bytes() == other


def test_what_only_this_machine_has_stays(first: Intent) -> None:
    state = adopted(first)
    mine = state.identity("a2")
    state.keep_made()
    take_over(on_the_server(first), OtherHere.REPLACE)
    assert ClusterState(state_folder("lab")).identity("a2") == mine


def test_another_certificate_or_identity_is_taken_over_only_when_asked_for(first: Intent) -> None:
    state = adopted(first)
    shutil.rmtree(first.state.pki_folder / "operator")
    shutil.rmtree(first.state.folder / "nodes" / "a1")
    renewed = intent_of(first.inventory, first.state, first.bundle, first.kubeconfig, written=written())
    before = tree(state.folder)
    with pytest.raises(Refused, match="is not the one that the server has") as refused:
        take_over(on_the_server(renewed), OtherHere.KEEP)
    assert "nodes/a1/machine-id" in str(refused.value)
    assert "--refresh" in refused.value.hint
    assert {name: text for name, text in tree(state.folder).items() if "lock" not in name} == before
    taken = take_over(on_the_server(renewed), OtherHere.REPLACE)
    assert set(taken.replaced) == {
        *(f"nodes/a1/{part}" for part in ("machine-id", "ssh_host_ed25519_key")),
        *(f"pki/operator/{name}.{kind}" for name in ("admin", "etcd") for kind in ("crt", "key")),
    }
    assert state.identity("a1") == first.state.identity("a1")


def test_nothing_is_taken_over_while_an_apply_is_at_work(first: Intent) -> None:
    state = adopted(first)
    with file_lock(state.lock, "apply lab.yaml"), pytest.raises(Refused, match="another clusterup is at work"):
        take_over(on_the_server(first), OtherHere.REPLACE)


def test_what_an_interrupted_adoption_left_is_no_state(first: Intent) -> None:
    unfinished = state_folder("lab").with_name(".lab.unfinished")
    unfinished.mkdir(parents=True)
    (unfinished / "cluster-id").write_text("something else")
    assert adopted(first).cluster_id == first.state.cluster_id
    assert not unfinished.exists()


def test_a_file_that_is_not_the_cluster_s_inventory_is_never_replaced(first: Intent, tmp_path: Path) -> None:
    place = tmp_path / "lab.yaml"
    write_inventory(place, written())
    write_inventory(place, written())
    assert place.read_bytes() == written()
    place.write_text("cluster: {name: mine}\n")
    for attempt in (check_inventory_place, write_inventory):
        with pytest.raises(Refused, match=r"lab\.yaml is there") as refused:
            attempt(place, written())
        assert "--inventory" in refused.value.hint
    assert place.read_text() == "cluster: {name: mine}\n"
    with pytest.raises(BadUse, match="can't be read or written"):
        write_inventory(place / "below" / "a.yaml", written())


def test_a_machine_without_a_bundle_is_told_which_one_the_nodes_are_made_of(first: Intent) -> None:
    advice = bundle_advice(on_the_server(first).handover)
    assert advice is not None
    assert first.bundle.artifact("payload").sha256 in advice
    assert "os.bundle" in advice


def test_a_machine_with_another_bundle_is_told_what_apply_would_do(first: Intent, tmp_path: Path) -> None:
    here = tmp_path / "cache" / "clusterup" / "bundle" / "current"
    bundle(here, b"another payload")
    advice = bundle_advice(on_the_server(first).handover)
    assert advice is not None
    assert "payload differ" in advice
    bundle(here)
    assert bundle_advice(on_the_server(first).handover) is None


def test_a_bundle_that_is_here_counts_more_than_what_was_handed_over_about_one(first: Intent, tmp_path: Path) -> None:
    folder = state_folder("lab")
    with pytest.raises(NoBundle):
        bundle_of_nodes(None, folder)
    adopted(first)
    assert bundle_of_nodes("/of/the/first/operator", folder).artifact("payload").sha256 == (
        first.bundle.artifact("payload").sha256
    )
    newer = bundle(tmp_path / "newer", b"another payload")
    assert bundle_of_nodes(str(newer.directory), folder).directory == newer.directory


def test_without_the_bundle_s_files_nothing_is_begun_that_would_need_them(first: Intent, tmp_path: Path) -> None:
    adopted(first)
    world = finished_world(first)
    agent = dataclasses.replace(world.nodes["a1"], payload=None)
    without = dataclasses.replace(world, seen={**world.seen, "a1": agent})
    (problem,) = prepare(second_intent(first, tmp_path), without, wipe=frozenset()).problems
    assert isinstance(problem, Refused)
    assert "payload.raw can't be read" in str(problem)
    assert "os.bundle" in problem.hint
