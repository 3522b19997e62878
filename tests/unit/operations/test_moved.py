"""What a saved plan rests on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from bootstrap.errors import ClusterupError
from bootstrap.facts.model import ClusterFacts, UnitFacts, Unreachable
from bootstrap.operations.stale_plan import about, facts_as_data
from tests.helpers.worlds import finished_world, intent


def with_node(world: ClusterFacts, name: str, **changes: Any) -> ClusterFacts:
    return dataclasses.replace(world, seen={**world.seen, name: dataclasses.replace(world.nodes[name], **changes)})


def test_what_changes_by_itself_does_not_count(tmp_path: Path) -> None:
    world = finished_world(intent(tmp_path))
    unit = world.nodes["s1"].units["etcd.service"]
    later = with_node(world, "s1", skew=3.0, boot_id="another", units={**world.nodes["s1"].units, "etcd.service": unit})
    assert facts_as_data(later) == facts_as_data(world)


def test_a_stopped_unit_an_edited_file_and_a_lost_node_count(tmp_path: Path) -> None:
    world = finished_world(intent(tmp_path))
    units = {**world.nodes["s1"].units, "etcd.service": UnitFacts("failed", None)}
    files = {**world.nodes["s1"].files, "/etc/clusterup/haproxy.cfg": "0" * 64}
    found = facts_as_data(with_node(world, "s1", units=units, files=files))["s1"]
    assert found["unit etcd.service"] == "failed "
    assert found["file /etc/clusterup/haproxy.cfg"] == "0" * 12
    away = dataclasses.replace(world, seen={"s1": Unreachable(ClusterupError("no answer", hint="is it on?"))})
    assert facts_as_data(away)["s1"] == {"the way in": "none: no answer"}


def test_a_label_that_somebody_changed_counts_and_a_sign_of_life_does_not(tmp_path: Path) -> None:
    world = finished_world(intent(tmp_path))
    assert world.api is not None
    node = world.api.objects["Node/a1"]

    def seen(**metadata: Any) -> str:
        assert world.api is not None
        objects = {**world.api.objects, "Node/a1": {**node, "metadata": {**node["metadata"], **metadata}}}
        changed = dataclasses.replace(world, api=dataclasses.replace(world.api, objects=objects))
        return facts_as_data(changed)["api"]["Node/a1"]

    assert seen() == seen(resourceVersion="77")
    assert seen() != seen(labels={"disk": "slow"})


def test_a_plan_is_for_one_inventory_one_bundle_and_one_cluster(tmp_path: Path) -> None:
    made = intent(tmp_path)
    file = tmp_path / "lab.yaml"
    before = about(made, file)
    after = about(dataclasses.replace(made, written=made.written + b"# a second thought\n"), file)
    assert [name for name in before if before[name] != after[name]] == ["the inventory's content"]
    assert before["inventory"] == str(file)
    assert before["cluster"] == made.state.cluster_id
