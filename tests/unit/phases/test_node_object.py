"""Labels and taints: what is fixed on a Node, and what of others stays as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bootstrap.constants.objects import CONTROL_PLANE, GIVEN_ANNOTATION, OLD_GIVEN_ANNOTATION
from bootstrap.inventory.model import Node
from bootstrap.phases.node_metadata import differences, given_to, labels_of, node_patch

UNREACHABLE = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": "2026-11-25T10:00:00Z"}


def agent(labels: dict[str, str] | None = None, *taints: dict[str, str]) -> Node:
    return Node.model_validate({"name": "a1", "address": "10.77.0.21", "labels": labels or {}, "taints": list(taints)})


def taint(key: str, effect: str = "NoSchedule", **more: str) -> dict[str, str]:
    return {"key": key, "effect": effect, **more}


def found(labels: dict[str, str] | None = None, *taints: dict[str, str]) -> dict[str, Any]:
    """A Node that clusterup has not touched yet."""
    return {
        "metadata": {"name": "a1", "resourceVersion": "7", "labels": {"kubernetes.io/os": "linux", **(labels or {})}},
        "spec": {"podCIDR": "10.244.1.0/24", **({"taints": list(taints)} if taints else {})},
    }


def merged(into: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    whole = dict(into) if isinstance(into, dict) else {}
    for key, value in patch.items():
        if value is None:
            whole.pop(key, None)
        else:
            whole[key] = merged(whole.get(key), value)
    return whole


def fixed(node: Node, before: dict[str, Any]) -> dict[str, Any]:
    after: dict[str, Any] = merged(before, node_patch(node, before))
    assert differences(node, after) == []
    assert node_patch(node, after) == {}
    return after


def test_labels_and_taints_of_the_inventory_come_to_the_node_and_others_stay() -> None:
    after = fixed(agent({"disk": "ssd"}, taint("lab", value="yes")), found({"theirs": "1"}, UNREACHABLE))
    assert after["metadata"]["labels"] == {"kubernetes.io/os": "linux", "theirs": "1", "disk": "ssd"}
    assert after["spec"]["taints"] == [UNREACHABLE, {"key": "lab", "effect": "NoSchedule", "value": "yes"}]
    assert after["spec"]["podCIDR"] == "10.244.1.0/24"


def test_what_leaves_the_inventory_leaves_the_node_and_nothing_else_does() -> None:
    before = fixed(agent({"disk": "ssd", "arch": "x"}, taint("lab"), taint("gpu")), found({"theirs": "1"}, UNREACHABLE))
    smaller = agent({"arch": "x"}, taint("gpu"))
    assert differences(smaller, before) == [
        "has the label disk, which the inventory has no more",
        "has the taint lab:NoSchedule, which the inventory has no more",
    ]
    after = fixed(smaller, before)
    assert after["metadata"]["labels"] == {"kubernetes.io/os": "linux", "theirs": "1", "arch": "x"}
    assert after["spec"]["taints"] == [UNREACHABLE, {"key": "gpu", "effect": "NoSchedule"}]


def test_a_label_that_somebody_changed_or_removed_is_put_back() -> None:
    node = agent({"disk": "ssd"})
    before = fixed(node, found())
    before["metadata"]["labels"]["disk"] = "hdd"
    assert differences(node, before) == ["lacks the label disk=ssd"]
    assert fixed(node, before)["metadata"]["labels"]["disk"] == "ssd"
    del before["metadata"]["labels"]["disk"]
    assert fixed(node, before)["metadata"]["labels"]["disk"] == "ssd"


def test_a_taint_with_another_value_is_fixed_and_one_with_another_effect_is_another_taint() -> None:
    before = found(None, taint("lab", value="no"), taint("lab", "NoExecute"))
    node = agent(None, taint("lab", value="yes"))
    assert differences(node, before) == ["lacks the taint lab=yes:NoSchedule"]
    assert fixed(node, before)["spec"]["taints"] == [
        {"key": "lab", "effect": "NoExecute"},
        {"key": "lab", "effect": "NoSchedule", "value": "yes"},
    ]


def test_a_node_that_changed_since_it_was_looked_at_is_not_overwritten() -> None:
    assert node_patch(agent({"disk": "ssd"}), found())["metadata"]["resourceVersion"] == "7"


def test_what_came_from_the_inventory_is_written_on_the_node() -> None:
    after = fixed(agent({"b": "1", "a": "2"}, taint("lab")), found())
    assert json.loads(after["metadata"]["annotations"][GIVEN_ANNOTATION]) == {
        "labels": ["a", "b"],
        "taints": [["lab", "NoSchedule"]],
    }
    assert given_to(after).labels == ("a", "b")


@pytest.mark.parametrize("note", ["", "{", "[]", '{"labels": 1}', '{"taints": [1]}', '"x"'])
def test_a_note_that_makes_no_sense_counts_as_none_and_is_written_again(note: str) -> None:
    node = agent({"disk": "ssd"})
    before = found({"disk": "ssd"})
    before["metadata"]["annotations"] = {GIVEN_ANNOTATION: note}
    assert differences(node, before) == ["does not say which of its labels and taints came from the inventory"]
    assert given_to(fixed(node, before)).labels == ("disk",)


def test_what_an_older_version_wrote_counts_and_is_replaced() -> None:
    node = agent({"disk": "ssd"})
    before = found({"disk": "ssd", "gone": "x"})
    before["metadata"]["annotations"] = {OLD_GIVEN_ANNOTATION: json.dumps({"labels": ["disk", "gone"], "taints": []})}
    assert differences(node, before) == ["has the label gone, which the inventory has no more"]
    after = fixed(node, before)
    assert after["metadata"]["labels"] == {"kubernetes.io/os": "linux", "disk": "ssd"}
    assert set(after["metadata"]["annotations"]) == {GIVEN_ANNOTATION}
    # An operator with an older version was at work in between.
    newer = {OLD_GIVEN_ANNOTATION: json.dumps({"labels": ["disk", "theirs"], "taints": []})}
    after["metadata"]["labels"]["theirs"] = "1"
    after["metadata"]["annotations"] |= newer
    assert differences(node, after) == ["has the label theirs, which the inventory has no more"]
    after = fixed(node, after)
    both = {OLD_GIVEN_ANNOTATION: "x", **after["metadata"]["annotations"]}
    after["metadata"]["annotations"] = both
    assert differences(node, after) == ["says what came from the inventory in an older annotation (clusterup.io/given)"]
    assert set(fixed(node, after)["metadata"]["annotations"]) == {GIVEN_ANNOTATION}


def test_a_server_is_labelled_as_one() -> None:
    server = Node.model_validate({"name": "s1", "role": "server", "address": "10.77.0.11"})
    assert labels_of(server) == {CONTROL_PLANE: ""}
