"""The page about inventories knows every key, its default, and an example that an inventory takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from bootstrap.inventory import manifests, model, software, volumes

PAGE = (Path(__file__).parents[3] / "docs" / "inventory.md").read_text()
SECTIONS = [
    value
    for value in (vars(model) | vars(software)).values()
    if isinstance(value, type) and issubclass(value, software.Strict)
]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_key_is_documented(section: type[BaseModel]) -> None:
    assert [key for key in section.model_fields if f"| `{key}` |" not in PAGE] == []


# Which model each table of the page is about, by its heading.
TABLES: dict[str, type[BaseModel]] = {
    "The file": model.Inventory,
    "cluster": model.Cluster,
    "kubernetes": software.Kubernetes,
    "os": software.OperatingSystem,
    "defaults, and every node": model.NodeSettings,
    "nodes[]": model.Node,
    "ssh": model.Ssh,
    "ssh.jump[]": model.Jump,
    "console": model.Console,
    "volumes": volumes.Volumes,
    "manifests": manifests.ManifestSource,
    "nodes[].volumes": volumes.NodeVolumes,
    "nodes[].interfaces[]": model.Interface,
    "nodes[].interfaces[].routes[]": model.CardRoute,
    "taints[]": model.Taint,
}
ROW = re.compile(r"^\| `(\w+)` \| .* \| ([^|]+) \| `([^|]+)` \|$", re.MULTILINE)


def rows() -> Iterator[tuple[type[BaseModel], str, str, str]]:
    """Model, key, default and example of every row."""
    for heading, section in TABLES.items():
        text = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
        for key, default, example in ROW.findall(text):
            yield section, key, default, example


def plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value if isinstance(value, str | int) else str(value)


def test_each_key_stands_in_the_table_of_its_place() -> None:
    there = {(section, key) for section, key, _, _ in rows()}
    own = {section: set(section.model_fields) for section in TABLES.values()}
    own[model.Node] -= own[model.NodeSettings]
    assert there == {(section, key) for section, keys in own.items() for key in keys}


def test_defaults_are_those_of_an_inventory() -> None:
    for section, key, default, _ in rows():
        field: FieldInfo = section.model_fields[key]
        if field.is_required():
            assert default == "required", key
        elif default.startswith("`"):
            assert yaml.safe_load(default.strip("`")) == plain(field.get_default()), key
        else:
            # Words say what takes the place of what is not written.
            assert default != "required" and not plain_default(field), key


def plain_default(field: FieldInfo) -> bool:
    """Whether what is not written has a value of its own that words would hide."""
    found = field.get_default(call_default_factory=True)
    return isinstance(found, str | int | Enum) and found != "" and not isinstance(found, BaseModel)


def test_every_example_is_taken() -> None:
    for section, key, _, example in rows():
        document = yaml.safe_load(example)
        assert list(document) == [key]
        field = section.model_fields[key]
        kind: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        TypeAdapter(kind).validate_python(document[key])
