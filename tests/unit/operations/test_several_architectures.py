"""A cluster of machines of several architectures: each is made of what runs on it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from bootstrap.errors import Refused
from bootstrap.facts.model import ClusterFacts, DiskFacts
from bootstrap.image.bundle import Bundle
from bootstrap.image.finding import load_bundle
from bootstrap.image.manifest import write_manifest
from bootstrap.inventory.load import parse_inventory
from bootstrap.operations.intent import Intent, intent_of
from bootstrap.operations.planning import prepare
from bootstrap.phases.pinned import parts_of, pin, pin_problems
from bootstrap.state.cluster import ClusterState
from tests.helpers.worlds import bundle, facts, keeping

DISK = DiskFacts("/dev/vda", 8 << 30)


@pytest.fixture
def both(tmp_path: Path) -> Bundle:
    """A bundle for two architectures, with two releases of Kubernetes for each."""
    folder = tmp_path / "bundle"
    made, other = bundle(folder), bundle(folder / "arm64", payload=b"for arm64")
    parts = {**made.artifacts, **{f"arm64/{name}": part for name, part in other.artifacts.items()}}
    for name in ("payload", "arm64/payload"):
        older = {**parts[name].components, "kubernetes": "1.19.0"}
        parts[f"{name}/1.19.0"] = dataclasses.replace(parts[name], sha256=f"{len(name):064x}", components=older)
    named = {name: dataclasses.replace(part, name=name) for name, part in parts.items()}
    write_manifest(dataclasses.replace(made, artifacts=named))
    return load_bundle(folder)


def lab(tmp_path: Path, of: Bundle) -> Intent:
    """A server, and an agent with another processor."""
    (tmp_path / "state").mkdir(mode=0o700, exist_ok=True)
    document = {
        "cluster": {"name": "lab"},
        "defaults": {"disk": "/dev/vda"},
        "nodes": [
            {"name": "s1", "role": "server", "address": "10.77.0.11"},
            {"name": "a1", "address": "10.77.0.21", "architecture": "arm64"},
        ],
    }
    written = json.dumps(document).encode()
    made = parse_inventory(Path("lab.yaml"), written)
    return keeping(intent_of(made, ClusterState(tmp_path / "state"), of, tmp_path / "lab.kubeconfig", written=written))


def bare(lab: Intent, **machines: str) -> ClusterFacts:
    return ClusterFacts(
        {name: facts(machine_id=name, disks=(DISK,), architecture=machines[name]) for name in lab.nodes}
    )


def test_each_node_is_made_of_what_is_for_its_architecture(tmp_path: Path, both: Bundle) -> None:
    of = lab(tmp_path, both)
    prepared = prepare(of, bare(of, s1="x86_64", a1="aarch64"), wipe=frozenset())
    assert prepared.problems == ()
    uses = {item.action.id: item.action.uses for item in prepared.plan.items if item.action.uses}
    assert uses == {
        "s1/install.image": ("os",),
        "s1/payload": ("payload",),
        "s1/images": ("image/pause",),
        "a1/install.image": ("arm64/os",),
        "a1/payload": ("arm64/payload",),
        "a1/images": ("arm64/image/pause",),
    }
    payloads = [of.nodes[name].payload.sha256 for name in ("s1", "a1")]
    assert payloads == [both.artifact(name).sha256 for name in ("payload", "arm64/payload")]


def test_images_lie_at_the_same_place_on_every_node(tmp_path: Path, both: Bundle) -> None:
    wanted = [lab(tmp_path, both).nodes[name].wanted.files for name in ("s1", "a1")]
    assert ["/var/lib/clusterup/images/pause.tar" in files for files in wanted] == [True, True]


def test_a_file_of_the_other_architecture_that_is_damaged_is_named_before_anything_is_done(
    tmp_path: Path, both: Bundle
) -> None:
    both.artifact("arm64/payload").file.write_bytes(b"damaged")
    of = lab(tmp_path, both)
    (problem,) = prepare(of, bare(of, s1="x86_64", a1="aarch64"), wipe=frozenset()).problems
    assert "payload.raw is not the one its manifest names" in problem.problem


def test_machines_that_are_not_what_their_entries_say_are_refused(tmp_path: Path, both: Bundle) -> None:
    of = lab(tmp_path, both)
    found = prepare(of, bare(of, s1="aarch64", a1="x86_64"), wipe=frozenset()).problems
    assert [(problem.node, problem.got) for problem in found] == [
        ("s1", "aarch64, and that is for amd64"),
        ("a1", "x86_64, and that is for arm64"),
    ]


def test_a_bundle_that_has_nothing_for_a_node_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="clusterup image build --arch amd64 --arch arm64"):
        lab(tmp_path, bundle(tmp_path / "bundle"))


def test_a_running_cluster_is_not_changed_to_another_payload_of_its_other_architecture(
    tmp_path: Path, both: Bundle
) -> None:
    of = lab(tmp_path, both)
    of.state.note_founded()
    pin(of.state, of.inventory, both)
    changed = dataclasses.replace(both.artifact("arm64/payload"), sha256="f" * 64)
    other = dataclasses.replace(both, artifacts={**both.artifacts, "arm64/payload": changed})
    objects = {
        f"ConfigMap/{each['metadata']['namespace']}/{each['metadata']['name']}": each
        for each in of.objects
        if each["kind"] == "ConfigMap"
    }
    (problem,) = pin_problems(of.state, objects, of.inventory, other)
    assert "arm64/payload" in str(problem)


def test_a_release_is_chosen_for_all_architectures_at_once(both: Bundle) -> None:
    older = both.of_release("1.19")
    assert older.kubernetes_version == "1.19.0"
    assert older.for_architecture("arm64").kubernetes_version == "1.19.0"
    assert both.for_architecture("arm64").kubernetes_version == "1.20.2"


def test_a_cluster_goes_on_with_a_bundle_that_has_one_more_architecture_and_not_with_another_payload(
    both: Bundle, tmp_path: Path
) -> None:
    alone = parts_of(bundle(tmp_path / "alone"))
    assert alone.other_than(parts_of(both)) == []
    changed = dataclasses.replace(both.artifact("arm64/payload"), sha256="f" * 64)
    other = dataclasses.replace(both, artifacts={**both.artifacts, "arm64/payload": changed})
    assert parts_of(both).other_than(parts_of(other)) == ["arm64/payload"]
