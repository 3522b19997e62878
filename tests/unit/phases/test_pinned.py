"""What a cluster was founded with is not changed by an apply: bundle, release, networks, authorities."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from bootstrap.errors import ClusterupError
from bootstrap.facts.model import ClusterFacts, Unreachable
from bootstrap.image.bundle import Bundle
from bootstrap.inventory.load import parse_inventory
from bootstrap.operations.intent import Intent, intent_of
from bootstrap.operations.planning import prepare
from bootstrap.phases.kubeconfig import admin_kubeconfig
from bootstrap.phases.pinned import pin
from bootstrap.pki.kubeconfig import write_kubeconfig
from bootstrap.state.cluster import ClusterState
from tests.helpers.worlds import bundle, facts, finished_world, intent, keeping, new_intent, written


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Intent:
    """A cluster that was founded and is as it should be."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = intent(tmp_path)
    made.state.note_founded()
    write_kubeconfig(made.kubeconfig, admin_kubeconfig(made.inventory, made.keys))
    return made


def with_bundle(lab: Intent, folder: Path, payload: bytes = b"payload", **cluster: object) -> Intent:
    content = written(**cluster)
    given = parse_inventory(Path("lab.yaml"), content)
    return intent_of(given, lab.state, bundle(folder, payload), lab.kubeconfig, written=content)


def against(of: Intent, world: ClusterFacts) -> list[ClusterupError]:
    return list(prepare(of, world, wipe=frozenset()).problems)


def off(lab: Intent) -> ClusterFacts:
    """No server answers."""
    return ClusterFacts({name: Unreachable(ClusterupError("off", node=name, hint="")) for name in lab.nodes})


def test_nothing_speaks_against_what_it_was_founded_with(lab: Intent) -> None:
    prepared = prepare(lab, finished_world(lab), wipe=frozenset())
    assert (prepared.problems, prepared.plan.empty) == ((), True)


@pytest.mark.parametrize("answers", ["all answer", "none answers"])
def test_another_bundle_is_refused_and_the_cluster_s_own_is_named_where_it_is_still_here(
    lab: Intent, tmp_path: Path, answers: str
) -> None:
    world = finished_world(lab) if answers == "all answer" else off(lab)
    newer = with_bundle(lab, tmp_path / "newer", b"another payload")
    (refused,) = against(newer, world)
    assert refused.exit_code == 4
    assert "different: payload" in (refused.got or "")
    assert "Kubernetes 1.20.2" in (refused.got or "")
    assert "copied from where it was made" in refused.hint
    kept = bundle(tmp_path / "cache" / "clusterup" / "bundle" / "0123").directory
    assert f"os.bundle: {kept}" in against(newer, world)[0].hint


def test_a_second_operator_without_a_note_hears_it_from_the_cluster(lab: Intent, tmp_path: Path) -> None:
    lab.state.network_note.unlink()
    (lab.state.bundle_folder / "manifest.json").unlink()
    (refused,) = against(with_bundle(lab, tmp_path / "newer", b"another payload"), finished_world(lab))
    assert "the ConfigMap clusterup-agent in the cluster" in (refused.tried or "")
    (refused,) = against(with_bundle(lab, tmp_path / "bundle", pod_cidr="10.9.0.0/16"), finished_world(lab))
    assert "the ConfigMap kubeadm-config in the cluster" in (refused.tried or "")
    assert (refused.got or "").startswith("the cluster has 10.244.0.0/16, the inventory says 10.9.0.0/16")


@pytest.mark.parametrize(
    ("name", "other"), [("service_cidr", "10.97.0.0/16"), ("pod_cidr", "10.9.0.0/16"), ("domain", "other.example")]
)
def test_another_network_is_refused_also_while_no_server_answers(
    lab: Intent, tmp_path: Path, name: str, other: str
) -> None:
    changed = with_bundle(lab, tmp_path / "bundle", b"payload", **{name: other})
    for world in (finished_world(lab), off(lab)):
        refused = [problem for problem in against(changed, world) if f"cluster.{name}" in problem.problem]
        assert [(problem.exit_code, other in (problem.got or "")) for problem in refused] == [(4, True)]
        assert f"write {name}: " in refused[0].hint


def test_before_it_was_founded_everything_may_still_be_changed(tmp_path: Path) -> None:
    lab = keeping(new_intent(tmp_path))
    bare = ClusterFacts({name: facts(machine_id=name) for name in lab.nodes})
    changed = with_bundle(lab, tmp_path / "newer", b"another payload", pod_cidr="10.9.0.0/16")
    assert not [problem for problem in against(changed, bare) if "cluster" in problem.problem]


@pytest.mark.parametrize(("wanted", "fine"), [("1.20.2", True), ("1.20", True), ("1.31.2", False), ("1.2", False)])
def test_a_release_that_the_bundle_does_not_have_is_refused_for_a_new_cluster_too(
    tmp_path: Path, wanted: str, fine: bool
) -> None:
    document = json.loads(written().decode().partition("\n")[2])
    content = json.dumps({**document, "kubernetes": {"source": "upstream", "version": wanted}}).encode()
    given = parse_inventory(Path("lab.yaml"), content)
    of = intent_of(
        given, ClusterState(tmp_path / "state"), bundle(tmp_path / "b"), tmp_path / "lab.kubeconfig", written=content
    )
    found = [problem for problem in against(of, off(of)) if "the inventory wants Kubernetes" in problem.problem]
    assert [problem.exit_code for problem in found] == ([] if fine else [4])
    if not fine:
        assert found[0].got == "Kubernetes 1.20.2 there"
        assert f"clusterup image build --source upstream --version {wanted}" in found[0].hint


def in_bundle(lab: Intent, made: Bundle) -> Intent:
    return intent_of(lab.inventory, lab.state, made, lab.kubeconfig, written=lab.written)


def test_a_new_cluster_of_a_release_that_is_not_supported_is_refused_and_one_that_runs_is_kept_up(
    lab: Intent, tmp_path: Path
) -> None:
    other = bundle(tmp_path / "other")
    other.artifact("payload").components["kubernetes"] = "1.31.2"
    (tmp_path / "new").mkdir()
    new = in_bundle(new_intent(tmp_path / "new"), other)
    said = "Kubernetes 1.31.2, which is not one that this clusterup supports"
    assert any(said in each.problem for each in against(new, off(new)))
    assert not any(said in each.problem for each in against(in_bundle(lab, other), off(lab)))


def test_a_bundle_with_the_cluster_s_release_beside_a_newer_one_is_to_be_told_which(
    lab: Intent, tmp_path: Path
) -> None:
    """Where the inventory names none, nodes would get the other one."""
    newer = bundle(tmp_path / "newer", b"another payload")
    newer.artifact("payload").components["kubernetes"] = "1.36.2"
    own = newer.directory / "payload-1.20.2.raw"
    newer.artifacts["payload/1.20.2"] = dataclasses.replace(lab.bundle.artifact("payload"), file=own)
    (refused,) = against(in_bundle(lab, newer), off(lab))
    assert refused.hint == "write kubernetes.version: 1.20.2"
    assert against(in_bundle(lab, newer.of_release("1.20")), off(lab)) == []


def test_a_node_that_believes_other_authorities_is_refused_before_anything_is_written(lab: Intent) -> None:
    world = finished_world(lab)
    other = {
        path: "0" * 64 if path.endswith("/pki/ca.crt") else digest for path, digest in world.nodes["a1"].files.items()
    }
    strange = dataclasses.replace(world.nodes["a1"], files=other)
    (refused,) = against(lab, dataclasses.replace(world, seen={**world.seen, "a1": strange}))
    assert (refused.node, refused.exit_code) == ("a1", 4)
    assert "believes other authorities than those in the state here" in refused.problem
    assert "clusterup adopt" in refused.hint


def test_an_authority_s_file_that_is_damaged_on_a_node_is_brought_back(lab: Intent) -> None:
    world = finished_world(lab)
    damaged = dataclasses.replace(
        world.nodes["s2"], files={**world.nodes["s2"].files, "/etc/kubernetes/pki/ca.crt": "0"}
    )
    prepared = prepare(lab, dataclasses.replace(world, seen={**world.seen, "s2": damaged}), wipe=frozenset())
    assert prepared.problems == ()
    assert [item.action.id for item in prepared.plan.items] == ["s2/files"]


def test_where_state_and_cluster_differ_the_cluster_counts_and_the_note_is_renewed(lab: Intent, tmp_path: Path) -> None:
    pin(lab.state, lab.inventory, bundle(tmp_path / "older", b"an older payload"))
    prepared = prepare(lab, finished_world(lab), wipe=frozenset())
    assert prepared.problems == ()
    (item,) = prepared.plan.items
    assert (item.action.id, item.why) == ("cluster/keys", "what the cluster is made of is not noted yet")
    nothing: Any = None
    item.action.apply(nothing)
    assert prepare(lab, finished_world(lab), wipe=frozenset()).plan.empty


def test_of_a_founded_cluster_without_a_note_nothing_is_noted_while_it_can_t_be_asked(lab: Intent) -> None:
    lab.state.network_note.unlink()
    silent = dataclasses.replace(finished_world(lab), api=None)
    planned = [item.action.id for item in prepare(lab, silent, wipe=frozenset()).plan.items]
    assert "cluster/keys" not in planned
    assert "cluster/objects" in planned
