"""The JSON Schema, with which editors check: it refuses what a schema can, and nothing that an inventory may hold."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from bootstrap.errors import BadUse
from bootstrap.inventory.load import written_of
from bootstrap.inventory.model import Inventory
from tests.helpers.inventories import inventory
from tests.unit.inventory.reading import FILE, lab, problems

CHECKS = jsonschema.Draft202012Validator(Inventory.model_json_schema())
CARD = {"mac": "52:54:00:12:34:56"}
MANY = 600


@pytest.mark.parametrize(
    "document",
    [
        lab(labels={"a b": "1"}),
        lab(labels={"Example.org/disk": "1"}),
        lab(labels={"disk": "a b"}),
        lab(labels={"disk": 1}),
        lab(taints=["gpu"]),
        lab(taints=["gpu:Never"]),
        lab(taints=[{"key": "a b", "effect": "NoSchedule"}]),
        lab(cluster={"pod_cidr": "10.244.0.0"}),
        lab(cluster={"service_cidr": "10.96.0.0/33"}),
        lab(cluster={"pod_cidr": "10.256.0.0/16"}),
        lab(cluster={"pod_cidr": "fd00::/8"}),
        lab(cluster={"name": "Lab"}),
        lab(address="192.0.2"),
        lab(address=5),
        lab(ssh={"port": "22"}),
        lab(ssh={"port": 0}),
        lab(ssh={"port": 22.5}),
        lab(ssh={"user": "a b"}),
        lab(ssh={"jump": [{"host": "gate", "port": 70000}]}),
        lab(interfaces=[{"mac": "52:54:00:12:34"}]),
        lab(interfaces=[{**CARD, "addresses": ["192.0.2.11"]}]),
        lab(interfaces=[{**CARD, "gateway": "192.0.2.1/24"}]),
        lab(interfaces=[{**CARD, "routes": [{"to": "198.51.100.0", "via": "192.0.2.1"}]}]),
        lab(disk="sda"),
        lab(sysctls={"vm": "1"}),
        lab(modules=["nbd max_part=8"]),
        lab(schedulable="yes"),
        lab(kubernetes={"version": "v1.31.2"}),
        lab(kubernetes={"source": "ubuntu"}),
        lab(colour="red"),
    ],
    ids=lambda document: json.dumps(document)[:300],
)
def test_what_a_schema_can_refuse_it_refuses(document: dict[str, Any]) -> None:
    assert problems(document)
    assert not CHECKS.is_valid(document)


def test_what_an_inventory_may_hold_the_schema_takes() -> None:
    assert CHECKS.is_valid({**lab(taints=["gpu=:NoSchedule", "gpu:NoExecute"]), "x-own": [5]})
    right = 0
    for seed in range(MANY):
        content = inventory(seed)
        try:
            written_of(FILE, content)
        except BadUse:
            continue
        right += 1
        found = list(CHECKS.iter_errors(json.loads(content)))
        assert found == [], content
    assert right > MANY / 10
