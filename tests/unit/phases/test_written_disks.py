"""A disk that an interrupted apply wrote is recognised by what is on it, and what is missing is done, no more."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest

from bootstrap.engine.plan import Plan
from bootstrap.facts.model import ClusterFacts, DiskFacts
from bootstrap.facts.node import Wanted, parse_facts
from bootstrap.image.bundle import Artifact, Bundle, Partition, Segment
from bootstrap.image.disk.configuration import configuration_image
from bootstrap.operations.intent import Intent
from bootstrap.operations.planning import installation_of, prepare
from bootstrap.phases.prepared import Prepared
from tests.helpers.worlds import facts, intent, keeping

MIB = 1 << 20
HEAD = hashlib.sha256(b"head").hexdigest()
TABLE = "partitions: vda1 vfat, vda2 vfat CLUSTERUP"


@pytest.fixture
def lab(tmp_path: Path) -> Intent:
    made = intent(tmp_path)
    image = dataclasses.replace(
        made.bundle.artifact("os"),
        segments=(Segment(0, MIB, HEAD, 0, 1),),
        partitions=(Partition("CLUSTERUP", MIB, MIB),),
    )
    bundle = Bundle(made.bundle.directory, "1", {**made.bundle.artifacts, "os": image})
    return keeping(dataclasses.replace(made, bundle=bundle))


def configuration(lab: Intent, node: str, image: Artifact | None = None) -> str:
    """The hash of what stands where a node's configuration belongs."""
    image = image or lab.bundle.artifact("os")
    files = installation_of(lab).etc(node)
    return hashlib.sha256(configuration_image(files, image=image.sha256, size=MIB)).hexdigest()


def disk(lab: Intent, *, head: str = HEAD, of: str = "s1", labels: tuple[str, ...] = ()) -> DiskFacts:
    ranges = {"head": head, "CLUSTERUP": configuration(lab, of)}
    return DiskFacts("/dev/vda", 8 << 30, contents=TABLE, partitions=labels, ranges=ranges)


def with_disk(lab: Intent, disk: DiskFacts, *wipe: str) -> Prepared:
    """What is prepared for a cluster of bare machines, the first of which has that disk."""
    empty = DiskFacts("/dev/vda", 8 << 30)
    machines = {name: facts(machine_id=name, disks=(disk if name == "s1" else empty,)) for name in lab.nodes}
    return prepare(lab, ClusterFacts(machines), wipe=frozenset(wipe))


def installing(plan: Plan[ClusterFacts]) -> list[str]:
    return [item.action.id for item in plan.items if item.action.id.startswith("s1/install.")]


def test_a_disk_that_was_written_and_never_started_is_only_booted_from(lab: Intent) -> None:
    prepared = with_disk(lab, disk(lab))
    assert prepared.problems == ()
    assert installing(prepared.plan) == ["s1/install.boot"]
    (boot,) = [item for item in prepared.plan.items if item.action.id == "s1/install.boot"]
    assert boot.action.title == f"start the system on /dev/vda (8.0 GiB, {TABLE})"
    assert boot.after == ()


def test_erasing_what_may_be_erased_is_no_reason_to_write_the_same_once_more(lab: Intent) -> None:
    assert installing(with_disk(lab, disk(lab), "s1").plan) == ["s1/install.boot"]


def test_a_system_that_was_started_before_is_started_again(lab: Intent) -> None:
    prepared = with_disk(lab, disk(lab, head="changed by the first boot", labels=("esp", "CLUSTERUP")))
    assert prepared.problems == ()
    assert installing(prepared.plan) == ["s1/install.boot"]


def test_a_system_that_was_started_before_and_may_be_erased_is_installed_again(lab: Intent) -> None:
    started = disk(lab, head="changed by the first boot", labels=("esp", "CLUSTERUP"))
    assert installing(with_disk(lab, started, "s1").plan) == [
        "s1/install.image",
        "s1/install.configuration",
        "s1/install.boot",
    ]


def test_a_disk_whose_partition_table_was_torn_is_written_again_without_asking_for_wipe(lab: Intent) -> None:
    prepared = with_disk(lab, disk(lab, head="half of it"))
    assert prepared.problems == ()
    assert len(installing(prepared.plan)) == 3


@pytest.mark.parametrize("of", ["s2", "a1"])
def test_what_was_written_for_another_node_is_data(lab: Intent, of: str) -> None:
    (problem,) = with_disk(lab, disk(lab, of=of)).problems
    assert "/dev/vda holds data" in str(problem)


def test_what_was_written_with_another_image_is_data(lab: Intent) -> None:
    other = dataclasses.replace(lab.bundle.artifact("os"), sha256="e" * 64)
    ranges = {"head": HEAD, "CLUSTERUP": configuration(lab, "s1", other)}
    (problem,) = with_disk(lab, DiskFacts("/dev/vda", 8 << 30, contents=TABLE, ranges=ranges)).problems
    assert "/dev/vda holds data" in str(problem)


def test_a_configuration_is_the_same_bytes_whenever_it_is_made(lab: Intent, monkeypatch: pytest.MonkeyPatch) -> None:
    before = configuration(lab, "s1")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert configuration(lab, "s1") == before


def test_the_places_to_look_at_are_asked_for_and_their_hashes_are_those_of_their_disk() -> None:
    asked = Wanted(ranges=(("head", 0, MIB), ("CLUSTERUP", 3 * MIB, MIB))).stdin.decode().splitlines()
    assert asked == [f"range head 0 {MIB}", f"range CLUSTERUP {3 * MIB} {MIB}"]
    said = [
        "hostname\tx",
        "machine_id\t",
        "boot_id\tb",
        "clock\t0",
        "memory\t1",
        "cpus\t1",
        "architecture\tx86_64",
        "partition\t/dev/vdb\tCLUSTERUP",
        "disk\t/dev/vda\t1\t\t\t0\t\tdata\t",
        "range\t/dev/vda\thead\tabc",
        "disk\t/dev/vdb\t1\t\t\t0\t\t\t",
        "end",
    ]
    first, second = parse_facts("\n".join(said), node="s1", at=0.0).disks
    assert (first.ranges, first.partitions) == ({"head": "abc"}, ())
    assert (second.ranges, second.partitions) == ({}, ("CLUSTERUP",))
