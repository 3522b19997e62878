"""Labs whose machines have several architectures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bootstrap.errors import BadUse, Refused
from bootstrap.inventory.load import load_inventory
from bootstrap.lab.inventory import inventory_text
from bootstrap.lab.spec import LabSpec, check_same, check_spec
from bootstrap.lab.wishes import LabRequest, spec_of
from tests.unit.lab.samples import paper_lab


def test_machines_have_the_architecture_that_was_said_for_all_or_for_one() -> None:
    def arches(*typed: str) -> list[str]:
        spec = spec_of(LabRequest(servers=1, agents=1, arch=typed), None, 4)
        return [spec.arch_for(name) for name in spec.names]

    assert arches() == ["amd64", "amd64"]
    assert arches("arm64") == ["arm64", "arm64"]
    assert arches("agent-1=arm64") == ["amd64", "arm64"]
    assert arches("arm64", "server-1=amd64") == ["amd64", "arm64"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [(("riscv64",), "--arch riscv64"), (("agent-9=arm64",), "agent-9 is not"), (("arm64", "amd64"), "given twice")],
)
def test_architectures_that_no_machine_can_have_are_refused(typed: tuple[str, ...], said: str) -> None:
    with pytest.raises(BadUse, match=said):
        check_spec(spec_of(LabRequest(servers=1, agents=1, arch=typed), None, 4))


def test_a_lab_keeps_its_architectures_and_its_inventory_says_which_are_not_the_bundles_own(tmp_path: Path) -> None:
    spec = LabSpec(servers=1, agents=1, arch_of=(("agent-1", "arm64"),))
    lab = paper_lab(tmp_path, spec)
    again = spec_of(LabRequest(), lab, 4)
    assert [again.arch_for(name) for name in again.names] == ["amd64", "arm64"]
    check_same(lab, again)
    with pytest.raises(Refused, match="--arch agent-1=amd64"):
        check_same(lab, replace(again, arch_of=()))
    assert "arm64: agent-1" in lab.words
    (tmp_path / "lab.yaml").write_text(inventory_text(lab, None, 20))
    nodes = load_inventory(tmp_path / "lab.yaml").nodes
    assert [node.architecture for node in nodes] == [None, "arm64"]
