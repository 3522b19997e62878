"""What tests of inventories start from: one that is right, and what is said of one that isn't."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bootstrap.inventory.load import InventoryErrors, ReadInventory, written_of

FILE = Path("lab.yaml")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEZlZWRiZWVmRmVlZGJlZWZGZWVkYmVlZkZlZWRiZWVm"


def lab(*, cluster: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A server, and what else it has. `others` are more nodes; `cluster`, `kubernetes`, `os` and `defaults` are these
    sections."""
    node = {"name": "server-1", "role": "server", "address": "192.0.2.11"}
    others: dict[str, Any] = {key: more.pop(key) for key in ("kubernetes", "os", "defaults", "others") if key in more}
    nodes = [{**node, **more}, *others.pop("others", [])]
    return {"cluster": {"name": "lab", **(cluster or {})}, **others, "nodes": nodes}


def read(document: dict[str, Any]) -> ReadInventory:
    """The document as an inventory."""
    return written_of(FILE, json.dumps(document).encode())


def problems(document: dict[str, Any] | str) -> list[str]:
    """All that is said of an inventory that is not right, each without the file's name."""
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(InventoryErrors) as wrong:
        written_of(FILE, text.encode("utf-8", "surrogatepass"))
    assert wrong.value.exit_code == 2
    assert str(wrong.value).replace("\n", "").isprintable()
    return [str(problem).removeprefix(f"{FILE}:") for problem in wrong.value.problems]


def problem(document: dict[str, Any] | str) -> str:
    """The only thing that is said of it."""
    (said,) = problems(document)
    return said
