"""Which volumes are on the disks of nodes."""

from __future__ import annotations

from typing import Any

from bootstrap.facts.volumes import volumes_by_node


def volume(claim: str | None, *nodes: str) -> dict[str, Any]:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [*nodes]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    reference = {"claimRef": {"namespace": "default", "name": claim}} if claim else {}
    return {"spec": {"capacity": {"storage": "1Gi"}, **reference, **({"nodeAffinity": affinity} if nodes else {})}}


def test_a_volume_is_on_the_node_that_its_affinity_names() -> None:
    found = volumes_by_node([volume("b", "n1"), volume("a", "n1"), volume("c", "n2")], ["n1"])
    assert {name: [str(each) for each in volumes] for name, volumes in found.items()} == {
        "n1": ["default/a (1Gi)", "default/b (1Gi)"]
    }


def test_volumes_that_are_everywhere_and_those_of_nobody_are_left_out() -> None:
    assert volumes_by_node([volume("a"), volume(None, "n1")], ["n1"]) == {}
