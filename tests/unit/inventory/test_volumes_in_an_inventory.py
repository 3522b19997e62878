"""Who makes volumes, as an inventory says it."""

from __future__ import annotations

from typing import Any

import pytest

from bootstrap.inventory.volumes import Volumes
from tests.unit.inventory.reading import lab, problem, read


def test_the_nodes_make_them_where_nothing_is_written() -> None:
    assert read(lab()).inventory.volumes == Volumes(by="nodes", default=True)


def test_a_cluster_may_leave_its_volumes_to_somebody_else() -> None:
    assert read({**lab(), "volumes": "none"}).inventory.volumes.by == "none"


def test_another_class_may_be_the_one_that_claims_get_by_default() -> None:
    assert read({**lab(), "volumes": {"default": False}}).inventory.volumes == Volumes(default=False)


@pytest.mark.parametrize(
    ("volumes", "said"),
    [
        ("longhorn", "none, or a mapping, as in {default: false}"),
        (None, "volumes"),
        ({"by": "longhorn"}, "nodes"),
        ({"default": "no"}, "true or false"),
        ({"class": "fast"}, "class"),
    ],
)
def test_what_is_not_right_is_said_at_its_place(volumes: Any, said: str) -> None:
    assert said in problem({**lab(), "volumes": volumes})
