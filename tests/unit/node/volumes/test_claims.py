"""What a node's agent reads out of claims and volumes, and what it makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from bootstrap.node.volumes.keep import Task, tasks
from bootstrap.node.volumes.model import claim_of, manifest, volume_of
from tests.unit.node.volumes.objects import NAME, claim, volume


def due(claims: list[dict[str, Any]], volumes: list[dict[str, Any]], half_gone: tuple[str, ...] = ()) -> list[Task]:
    read_claims = [found for found in map(claim_of, claims) if found is not None]
    return tasks("n1", read_claims, [found for found in map(volume_of, volumes) if found is not None], half_gone)


def words(found: list[Task]) -> list[str]:
    return [f"{task.what} {task.name}" for task in found]


def test_a_claim_that_comes_to_this_node_gets_a_volume() -> None:
    assert words(due([claim()], [])) == [f"make {NAME}"]


def test_claims_of_other_nodes_of_none_and_of_other_provisioners_are_left_alone() -> None:
    others = claim()
    others["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-provisioner"] = "example.org/disks"
    assert due([claim(node="n2"), claim(node=""), others], []) == []


def test_a_claim_that_is_being_deleted_gets_none() -> None:
    going = claim()
    going["metadata"]["deletionTimestamp"] = "2026-12-01T00:00:00Z"
    assert due([going], []) == []


def test_what_was_made_is_the_volume_that_is_read_again() -> None:
    read = claim_of(claim(size="1.5Gi"))
    assert read is not None
    made = manifest(read, "n1", f"/volumes/{NAME}", "Retain")
    found = volume_of(made)
    assert found is not None
    assert (found.name, found.node, found.size, found.goes) == (NAME, "n1", 3 << 29, False)
    assert made["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert made["spec"]["accessModes"] == ["ReadWriteOnce"]


def test_nothing_is_to_do_for_a_claim_that_has_its_volume() -> None:
    assert due([claim(volume=NAME, has="1Gi")], [volume()]) == []


@pytest.mark.parametrize(
    ("claims", "volumes"),
    [
        # Somebody asks for more.
        ([claim(size="2Gi", volume=NAME, has="1Gi")], [volume()]),
        # The agent ended between the volume and the claim.
        ([claim(size="2Gi", volume=NAME, has="1Gi")], [volume(size="2Gi")]),
    ],
)
def test_a_volume_grows_with_its_claim(claims: list[dict[str, Any]], volumes: list[dict[str, Any]]) -> None:
    assert words(due(claims, volumes)) == [f"grow {NAME}"]


def test_a_volume_of_another_node_is_grown_there() -> None:
    assert due([claim(size="2Gi", node="n2", volume=NAME, has="1Gi")], [volume(node="n2")]) == []


def test_a_volume_goes_with_its_claim_where_its_class_says_so() -> None:
    assert words(due([], [volume(phase="Released")])) == [f"remove {NAME}"]
    assert due([], [volume(phase="Released", reclaim="Retain")]) == []
    assert due([], [volume(phase="Released", node="n2")]) == []
    assert due([], [volume(phase="Bound")]) == []


def test_a_removal_that_was_cut_short_goes_on() -> None:
    assert words(due([], [], (NAME,))) == [f"remove {NAME}"]
    assert words(due([], [volume(phase="Released")], (NAME,))) == [f"remove {NAME}"]


def test_a_volume_of_somebody_else_s_making_is_left_alone() -> None:
    other = volume(phase="Released")
    other["metadata"]["annotations"] = {}
    assert volume_of(other) is None


def test_a_volume_on_several_nodes_is_none_of_ours() -> None:
    odd = volume()
    odd["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]["values"].append("n2")
    with pytest.raises(ValueError, match="on no single node"):
        volume_of(odd)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"accessModes": ["ReadWriteMany"]}, "asks for ReadWriteMany"),
        ({"accessModes": ["ReadWriteOnce", "ReadOnlyMany"]}, "asks for ReadOnlyMany"),
        ({"volumeMode": "Block"}, "block device"),
        ({"selector": {"matchLabels": {"a": "b"}}}, "selects a volume"),
        ({"dataSource": {"kind": "PersistentVolumeClaim", "name": "other"}}, "asks for a copy"),
        ({"dataSourceRef": {"kind": "VolumeSnapshot", "name": "other"}}, "asks for a copy"),
        ({"accessModes": ["ReadWriteOncePod"], "volumeMode": "Filesystem"}, ""),
    ],
)
def test_what_no_directory_can_give_is_said(spec: dict[str, Any], expected: str) -> None:
    found = claim_of(claim(**spec))
    assert found is not None
    assert bool(found.problem) == bool(expected)
    assert expected in found.problem
