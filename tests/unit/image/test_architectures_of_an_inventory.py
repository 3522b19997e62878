"""`image build INVENTORY` makes what the nodes of an inventory need, whatever their processors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bootstrap.cli.images.image import _architectures_of


def written(folder: Path, *architectures: str | None) -> Path:
    """An inventory whose nodes say these architectures."""
    nodes = [
        {
            "name": f"n{number}",
            "role": "agent" if number else "server",
            "address": f"10.77.0.{number + 1}",
            "disk": "/dev/vda",
            **({"architecture": said} if said else {}),
        }
        for number, said in enumerate(architectures)
    ]
    (folder / "inventory.yaml").write_text(json.dumps({"cluster": {"name": "lab"}, "nodes": nodes}))
    return folder / "inventory.yaml"


@pytest.mark.parametrize(
    ("said", "made"),
    [
        ((None, None), ["amd64"]),
        ((None, "arm64"), ["amd64", "arm64"]),
        (("arm64", "amd64"), ["amd64", "arm64"]),
        (("arm64", "arm64"), ["arm64"]),
    ],
)
def test_it_is_for_all_that_the_nodes_have(tmp_path: Path, said: tuple[str | None, ...], made: list[str]) -> None:
    assert _architectures_of(written(tmp_path, *said)) == made


def test_without_an_inventory_it_is_for_amd64() -> None:
    assert _architectures_of(None) == ["amd64"]
