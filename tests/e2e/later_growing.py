"""One server becomes three and three become one again, under two writers that never rest.

A lab of its own, by name: `scripts/test tests/e2e/later_growing.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bootstrap.cli.common import intent_of_file
from tests.e2e.conftest import SERVERS, Operator, machines
from tests.helpers.writer import lost, writing

pytestmark = pytest.mark.e2e
ONE, TWO, THREE = SERVERS


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    folder = tmp_path_factory.mktemp("grow")
    operator = Operator(folder, folder / "state", "grow")
    with machines(operator, "--servers", str(len(SERVERS)), "--agents", "0"):
        yield operator


def voters(lab: Operator) -> set[str]:
    return {member["name"] for member in lab.status()["etcd"] if member["voter"]}


def test_growing_to_three_servers_and_back_loses_no_acknowledged_write(lab: Operator) -> None:
    later: list[Any] = []

    def first_alone(content: dict[str, Any]) -> None:
        later.extend(content["nodes"][1:])
        del content["nodes"][1:]

    lab.edits(first_alone)
    lab.clusterup("apply", "lab.yaml", "--yes")
    assert voters(lab) == {ONE}
    intent = intent_of_file(lab.inventory, Path(lab.folder / f"{lab.name}.kubeconfig"))
    with writing(intent, ONE) as written:
        lab.edits(lambda content: content["nodes"].extend(later))
        lab.clusterup("apply", "lab.yaml", "--yes")
        assert voters(lab) == {ONE, TWO, THREE}
        for name in (THREE, TWO):
            lab.clusterup("remove", name, "lab.yaml", "--yes")
        assert voters(lab) == {ONE}
    for way, found in written.items():
        sys.stdout.write(
            f"{way}: {len(found.numbers)} writes acknowledged, {found.refused} not; the longest pause "
            f"{found.longest_pause:.1f} s\n"
        )
        assert found.numbers
    assert lost(intent, ONE, written) == {"api": set(), "etcd": set()}
    assert "nothing to do" in lab.clusterup("plan", "lab.yaml")
    assert lab.status()["healthy"]
