"""Who makes volumes: what a plan does about it, and what it refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bootstrap.facts.model import ClusterFacts
from bootstrap.inventory.volumes import Volumes
from bootstrap.operations.intent import Intent, intent_of
from tests.helpers.worlds import bundle, finished_world, intent, new_intent, written
from tests.unit.operations.test_plans_for_names import actions, prepared, with_object

CLASS = "StorageClass/local"
OTHER = {"metadata": {"name": "local"}, "provisioner": "rancher.io/local-path"}


@pytest.fixture
def lab(tmp_path: Path) -> Intent:
    return intent(tmp_path)


def saying(lab: Intent, **said: Any) -> Intent:
    """The same cluster, whose inventory says that of volumes."""
    changed = lab.inventory.model_copy(update={"volumes": Volumes(**said)})
    return intent_of(changed, lab.state, lab.bundle, lab.kubeconfig, written=written())


def test_a_cluster_with_volumes_has_nothing_left_to_do(lab: Intent) -> None:
    assert CLASS in {f"{each['kind']}/{each['metadata']['name']}" for each in lab.objects}
    assert actions(prepared(lab, finished_world(lab)).plan) == set()


def test_where_somebody_else_is_to_make_them_the_class_is_taken_out(lab: Intent) -> None:
    other = saying(lab, by="none")
    found = actions(prepared(other, finished_world(lab)).plan)
    assert "cluster/objects" in found
    # The agents stay, and do less.
    assert not [name for name in found if name.endswith("/unwanted")]


def test_whether_it_is_the_default_class_is_kept_as_the_inventory_says(lab: Intent) -> None:
    other = saying(lab, default=False)
    assert actions(prepared(other, finished_world(lab)).plan) == {"cluster/objects"}
    assert actions(prepared(other, finished_world(other)).plan) == set()


def test_the_class_is_not_taken_from_somebody_who_has_it(lab: Intent) -> None:
    (problem,) = prepared(lab, with_object(finished_world(lab), CLASS, OTHER)).problems
    assert problem.exit_code == 4
    assert "rancher.io/local-path" in str(problem)
    assert "write `volumes: none`" in str(problem)
    other = saying(lab, by="none")
    assert prepared(other, with_object(finished_world(other), CLASS, OTHER)).problems == ()


def test_a_new_cluster_of_a_bundle_without_the_tools_is_refused(tmp_path: Path) -> None:
    of = new_intent(tmp_path)
    made = bundle(of.bundle.directory)
    payload = made.artifact("payload")
    components = {name: found for name, found in payload.components.items() if name != "quota"}
    older = {**made.artifacts, "payload": dataclasses.replace(payload, components=components)}
    of = intent_of(
        of.inventory, of.state, dataclasses.replace(made, artifacts=older), of.kubeconfig, written=of.written
    )
    (problem,) = prepared(of, ClusterFacts({})).problems
    assert "nothing to keep them within their sizes" in str(problem)
    assert prepared(saying(of, by="none"), ClusterFacts({})).problems == ()
