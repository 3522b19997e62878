"""The class of storage of a cluster, and what the agents of its nodes may do for it."""

from __future__ import annotations

from typing import Any

import pytest

from bootstrap.image.versions import Versions
from bootstrap.inventory.volumes import Volumes
from bootstrap.machine.objects import object_key
from bootstrap.spec.agent import agent_unit
from bootstrap.spec.topology import Shape, servers_of
from bootstrap.spec.volumes import volume_objects
from tests.helpers.worlds import inventory
from tests.unit.spec.test_units import CA


def objects(minor: int = 36, *, quota: bool = True, **said: Any) -> dict[str, dict[str, Any]]:
    """Those of a cluster whose inventory says that of volumes, by key."""
    whole = inventory().model_copy(update={"volumes": Volumes(**said)})
    found = volume_objects(whole, Versions(minor, quota=quota))
    return {object_key(manifest): manifest for manifest in found}


def test_the_class_waits_for_the_pod_and_is_the_default_one() -> None:
    found = objects()["StorageClass/local"]
    assert found["volumeBindingMode"] == "WaitForFirstConsumer"
    assert found["allowVolumeExpansion"] is True
    assert found["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "true"}


def test_another_class_may_be_the_default_one() -> None:
    found = objects(default=False)["StorageClass/local"]
    assert found["metadata"]["annotations"] == {"storageclass.kubernetes.io/is-default-class": "false"}


def test_nodes_change_no_claim_and_read_no_secret() -> None:
    (role,) = (found for key, found in objects().items() if key.startswith("ClusterRole/"))
    rights = {resource: rule["verbs"] for rule in role["rules"] for resource in rule["resources"]}
    assert rights.keys() == {
        "persistentvolumes",
        "persistentvolumeclaims",
        "persistentvolumeclaims/status",
        "events",
        "storageclasses",
    }
    assert rights["persistentvolumeclaims"] == ["get", "list", "watch"]


@pytest.mark.parametrize(("minor", "there"), [(20, False), (29, False), (30, True), (36, True)])
def test_nodes_are_kept_to_their_own_volumes_where_kubernetes_can(minor: int, there: bool) -> None:
    assert any(key.startswith("ValidatingAdmissionPolicy/") for key in objects(minor)) is there
    assert any(key.startswith("ValidatingAdmissionPolicyBinding/") for key in objects(minor)) is there


def test_where_somebody_else_makes_volumes_there_is_nothing_of_it() -> None:
    assert objects(by="none") == {}
    assert objects(quota=False) == {}


@pytest.mark.parametrize(("by", "there"), [("nodes", True), ("none", False)])
def test_the_agent_of_a_node_makes_volumes_where_the_inventory_asks_for_it(by: str, there: bool) -> None:
    whole = inventory().model_copy(update={"volumes": Volumes.model_validate({"by": by})})
    unit = agent_unit(Shape(whole, whole.nodes[-1], Versions(36), servers_of(whole)), CA)
    assert unit is not None
    assert (b'"volumes"' in unit.files[0].content) is there
