"""What keeps an apply from beginning: every refusal, with its message."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bootstrap.errors import ClusterupError
from bootstrap.facts.model import ClusterFacts, DiskFacts, NodeFacts
from bootstrap.facts.node import parse_facts
from bootstrap.image.bundle import Artifact, Bundle
from bootstrap.inventory.model import Inventory
from bootstrap.phases.preflight import GIB, preflight

EMPTY = DiskFacts("/dev/vda", 8 * GIB, serial="lab-s1", aliases=("/dev/disk/by-id/virtio-lab-s1",))
IMAGE = Artifact("os", Path("os.raw.zst"), 1, "0" * 64, raw_size=GIB)
BUNDLE = Bundle(Path(), "1", {"os": IMAGE})
BOTH = Bundle(Path(), "1", {"os": IMAGE, "arm64/os": dataclasses.replace(IMAGE, name="arm64/os", raw_size=6 * GIB)})
GOOD = NodeFacts(
    hostname="s1",
    kind="live",
    machine_id="a" * 32,
    boot_id="b",
    skew=0.2,
    memory=2 * GIB,
    cpus=2,
    architecture="x86_64",
    uefi=True,
    disks=(EMPTY,),
)


def inventory(**node: Any) -> Inventory:
    settings = {"name": "s1", "role": "server", "address": "10.0.0.1", "disk": "serial:lab-s1", **node}
    return Inventory.model_validate({"cluster": {"name": "lab"}, "nodes": [settings]})


def problems(facts: NodeFacts, wipe: frozenset[str] = frozenset(), **node: Any) -> list[ClusterupError]:
    return preflight(inventory(**node), ClusterFacts({"s1": facts}), cluster_id="ours", bundle=BUNDLE, wipe=wipe)


def changed(**fields: Any) -> NodeFacts:
    return dataclasses.replace(GOOD, **fields)


def disk(**fields: Any) -> NodeFacts:
    return changed(disks=(dataclasses.replace(EMPTY, **fields),))


@pytest.mark.parametrize("name", ["/dev/vda", "/dev/disk/by-id/virtio-lab-s1", "serial:lab-s1"])
def test_a_bare_machine_is_fine_whatever_its_disk_is_called(name: str) -> None:
    assert problems(GOOD, disk=name) == []


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (disk(contents="partitions: vda1 ext4 data"), "/dev/vda holds data"),
        (disk(in_use=True), "the system that it runs now uses /dev/vda"),
        (disk(readonly=True), "/dev/vda is read-only"),
        (disk(size=2 * GIB), "too small: 4.0 GiB are needed"),
        (disk(serial="other"), "it has no disk serial:lab-s1"),
        (changed(memory=GIB), "too little memory: a server needs 1.5 GiB"),
        (changed(skew=-7200.0), "7200 s behind this machine's"),
        (changed(architecture="aarch64"), "does not run on its processor"),
        (changed(uefi=False), "not started by UEFI"),
        (changed(kind="installed", cluster_id="theirs"), "it runs the micro OS of another cluster"),
    ],
)
def test_each_refusal_says_what_was_found_and_what_to_do(facts: NodeFacts, message: str) -> None:
    (problem,) = problems(facts)
    assert problem.exit_code == 4
    assert problem.node == "s1"
    assert message in str(problem)
    assert "\n  next: " in str(problem)


def test_a_disk_that_is_not_there_is_answered_with_those_that_are() -> None:
    (problem,) = problems(GOOD, disk="/dev/sdz")
    assert "/dev/vda (8.0 GiB, serial lab-s1, empty)" in str(problem)


def test_a_disk_that_the_running_system_uses_is_not_called_empty() -> None:
    (problem,) = problems(disk(in_use=True))
    assert "/dev/vda (8.0 GiB, serial lab-s1, in use)" in str(problem)


def test_no_disk_in_the_inventory_is_answered_with_those_that_are_there() -> None:
    (problem,) = problems(GOOD, disk=None)
    assert "nothing says which disk" in str(problem)
    assert "/dev/vda" in str(problem)


def test_a_disk_with_data_is_accepted_for_the_node_that_wipe_names() -> None:
    used = disk(contents="partitions: vda1")
    assert problems(used, frozenset({"s1"})) == []
    assert "--wipe s1" in str(problems(used, frozenset({"s2"}))[0])


def test_an_agent_needs_less_memory_than_a_server() -> None:
    assert problems(changed(memory=GIB), role="agent") == []


def test_our_own_installed_node_is_asked_for_no_disk() -> None:
    assert problems(changed(kind="installed", cluster_id="ours", disks=())) == []


def test_everything_is_reported_together() -> None:
    assert len(problems(changed(memory=GIB, skew=500.0, disks=()))) == 3


def test_one_machine_under_two_names_is_noticed() -> None:
    twice = Inventory.model_validate(
        {
            "cluster": {"name": "lab"},
            "nodes": [
                {"name": name, "role": "server", "address": f"10.0.0.{number}", "disk": "/dev/vda"}
                for number, name in enumerate(("s1", "s2", "s3"), 1)
            ],
        }
    )
    world = ClusterFacts({"s1": GOOD, "s2": changed(machine_id="c" * 32), "s3": GOOD})
    (problem,) = preflight(twice, world, cluster_id="ours", bundle=BUNDLE, wipe=frozenset())
    assert "s3: preflight: it has the machine id of s1" in str(problem)


def of_both(facts: NodeFacts, **node: Any) -> list[str]:
    world = ClusterFacts({"s1": facts})
    found = preflight(inventory(**node), world, cluster_id="ours", bundle=BOTH, wipe=frozenset())
    return [str(problem) for problem in found]


def test_a_machine_of_another_architecture_is_fine_where_the_bundle_has_it_and_its_entry_says_so() -> None:
    large = changed(architecture="aarch64", disks=(dataclasses.replace(EMPTY, size=8 * GIB),))
    assert of_both(large, architecture="arm64") == []
    (without,) = of_both(large)
    assert "aarch64, and that is for amd64" in without
    assert "write `architecture: arm64` for the node" in without


def test_a_disk_has_to_be_large_enough_for_the_image_of_its_own_architecture() -> None:
    small = changed(architecture="aarch64", disks=(dataclasses.replace(EMPTY, size=5 * GIB),))
    (problem,) = of_both(small, architecture="arm64")
    assert "too small: 6.0 GiB are needed" in problem


def test_an_answer_that_was_cut_short_is_no_set_of_facts() -> None:
    with pytest.raises(ClusterupError, match="cut short"):
        parse_facts("hostname\ts1\n", node="s1", at=0.0)
