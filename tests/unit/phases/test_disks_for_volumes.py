"""A further disk for volumes: formatted where nothing is on it, refused where something is, left alone afterwards."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest

from bootstrap.facts.model import ClusterFacts, DiskFacts
from bootstrap.inventory.volumes import NodeVolumes
from bootstrap.operations.intent import Intent, intent_of
from bootstrap.operations.planning import prepare
from bootstrap.phases.prepared import Prepared
from bootstrap.spec.volumes import LABEL
from tests.helpers.worlds import finished_world, intent, written

SYSTEM = DiskFacts("/dev/vda", 8 << 30, serial="lab-a1", contents="partitions: vda1 vfat", in_use=True)
EMPTY = DiskFacts("/dev/vdb", 4 << 30, serial="lab-a1-b")
FORMAT = "a1/volumes.format"


@pytest.fixture
def lab(tmp_path: Path) -> Intent:
    """Three servers and an agent with a further disk for volumes."""
    return asking(intent(tmp_path), "/dev/vdb")


def asking(lab: Intent, disk: str) -> Intent:
    nodes = tuple(
        node.model_copy(update={"volumes": NodeVolumes(disk=disk)}) if node.name == "a1" else node
        for node in lab.inventory.nodes
    )
    changed = lab.inventory.model_copy(update={"nodes": nodes})
    return intent_of(changed, lab.state, lab.bundle, lab.kubeconfig, written=written())


def with_disks(lab: Intent, *disks: DiskFacts) -> ClusterFacts:
    world = finished_world(lab)
    return dataclasses.replace(world, seen={**world.seen, "a1": dataclasses.replace(world.nodes["a1"], disks=disks)})


def prepared(lab: Intent, *disks: DiskFacts) -> Prepared:
    return prepare(lab, with_disks(lab, *disks), wipe=frozenset())


def made(lab: Intent) -> DiskFacts:
    """The further disk as an apply has left it."""
    volumes = lab.nodes["a1"].volumes
    assert volumes is not None
    return dataclasses.replace(EMPTY, contents=f"a file system: ext4 clusterup-volume {volumes.uuid}", in_use=True)


@pytest.mark.parametrize("disk", ["/dev/vdb", "serial:lab-a1-b"])
def test_an_empty_disk_is_formatted_and_the_plan_says_which(lab: Intent, disk: str) -> None:
    found = prepared(asking(lab, disk), SYSTEM, EMPTY)
    (item,) = [item for item in found.plan.items if item.action.id == FORMAT]
    assert item.action.title == "format /dev/vdb (4.0 GiB, serial lab-a1-b, empty) for volumes"
    assert found.problems == ()


def test_what_was_formatted_is_left_alone_and_mounted(lab: Intent) -> None:
    found = prepared(lab, SYSTEM, made(lab))
    assert FORMAT not in {item.action.id for item in found.plan.items}
    assert found.problems == ()
    assert "clusterup-volumes.service" in {unit.name for unit in lab.nodes["a1"].units}
    assert "clusterup-volumes.service" in lab.nodes["s1"].unwanted


@pytest.mark.parametrize(
    ("disks", "said"),
    [
        ([SYSTEM, dataclasses.replace(EMPTY, contents="a file system: xfs")], "holds data"),
        ([SYSTEM, dataclasses.replace(EMPTY, contents="a file system: ext4 clusterup-volume 1-2-3")], "holds data"),
        ([SYSTEM, dataclasses.replace(EMPTY, in_use=True)], "holds data"),
        ([SYSTEM, dataclasses.replace(EMPTY, readonly=True)], "read-only"),
    ],
)
def test_another_disk_is_refused_before_anything_is_changed(lab: Intent, disks: list[DiskFacts], said: str) -> None:
    (problem,) = prepared(lab, *disks).problems
    assert problem.exit_code == 4
    assert said in str(problem)
    assert problem.node == "a1"


def test_a_disk_that_died_does_not_keep_the_cluster_from_being_looked_after(lab: Intent) -> None:
    found = prepared(lab, SYSTEM)
    assert found.problems == ()
    assert FORMAT not in {item.action.id for item in found.plan.items}


def test_a_new_machine_without_the_disk_is_refused(lab: Intent) -> None:
    world = with_disks(lab, dataclasses.replace(SYSTEM, contents="", in_use=False))
    bare = dataclasses.replace(world.nodes["a1"], kind="live")
    problems = prepare(lab, dataclasses.replace(world, seen={**world.seen, "a1": bare}), wipe=frozenset()).problems
    assert "it has no disk /dev/vdb for volumes" in "".join(map(str, problems))


def test_a_disk_is_known_under_another_name_and_no_second_one_is_formatted(lab: Intent) -> None:
    moved = dataclasses.replace(made(lab), path="/dev/vdc")
    renamed = prepared(lab, SYSTEM, moved)
    assert renamed.problems == ()
    assert FORMAT not in {item.action.id for item in renamed.plan.items}
    (problem,) = prepared(lab, SYSTEM, EMPTY, moved).problems
    assert "its volumes are on /dev/vdc, and /dev/vdb is another disk" in str(problem)


def test_the_disk_of_the_micro_os_is_no_further_one(lab: Intent) -> None:
    (problem,) = prepared(asking(lab, "/dev/vda"), SYSTEM, EMPTY).problems
    assert "is the disk of the micro OS" in str(problem)


def test_another_node_s_or_cluster_s_file_system_is_another_one(lab: Intent, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = asking(intent(tmp_path / "other"), "/dev/vdb")
    assert lab.nodes["a1"].volumes != other.nodes["a1"].volumes


def test_the_disks_of_installed_nodes_are_asked_for_where_that_counts(lab: Intent) -> None:
    assert b"\ndisks\n" in lab.nodes["a1"].wanted.stdin
    assert b"disks" not in lab.nodes["s1"].wanted.stdin


def test_the_label_is_one_that_an_ext4_can_have() -> None:
    assert len(LABEL) <= 16


@pytest.mark.parametrize("name", ["format-volumes.sh", "mount-volumes.sh"])
def test_the_scripts_are_ones(name: str) -> None:
    template = Path(__file__).parents[3] / "templates" / "node" / name
    script = template.read_text().format(disk="/dev/vdb", uuid="1", label="x", folder="/volumes")
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
