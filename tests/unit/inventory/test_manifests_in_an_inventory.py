"""What an inventory says of objects to bring into the cluster."""

from __future__ import annotations

from typing import Any

import pytest

from bootstrap.inventory.load import place_of_manifests
from bootstrap.inventory.manifests import ManifestSource
from tests.unit.inventory.reading import lab, problem, read

SHA256 = "5" * 64


def test_nothing_is_brought_where_nothing_is_written() -> None:
    assert read(lab()).inventory.manifests == ()


def test_a_path_alone_is_an_entry_and_so_is_what_is_fetched_and_known_by_its_sha256() -> None:
    web = {"url": "https://example.org/web.yaml?v=1", "sha256": SHA256, "wait": 0, "take_over": True}
    found = read({**lab(), "manifests": ["apps/", web]})
    assert found.inventory.manifests == (
        ManifestSource(path="apps/"),
        ManifestSource(url="https://example.org/web.yaml?v=1", sha256=SHA256, wait=0, take_over=True),
    )
    assert found.places[place_of_manifests("apps/")].startswith(f"{found.document.file}:")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({}, "neither path nor url"),
        ({"path": "a", "url": "https://example.org/a", "sha256": SHA256}, "both path and url"),
        ("https://example.org/a.yaml", "no sha256 of https://example.org/a.yaml"),
        ({"path": "a", "sha256": SHA256}, "sha256 without a url"),
        ({"url": "https://example.org/a", "sha256": "5"}, "64 hexadecimal digits"),
        ({"url": "https://me:secret@example.org/a", "sha256": SHA256}, "without a password"),
        ({"url": "ftp://example.org/a", "sha256": SHA256}, "the address of a file"),
        ({"path": "a", "wait": -1}, "wait"),
        ({"path": "a", "prune": True}, "prune"),
        (5, "manifests"),
        (None, "manifests"),
    ],
)
def test_what_is_not_right_is_said_at_its_place(entry: Any, said: str) -> None:
    assert said in problem({**lab(), "manifests": [entry]})


def test_an_entry_is_named_once() -> None:
    assert "apps is entry 1 of manifests already" in problem({**lab(), "manifests": ["apps", "more", {"path": "apps"}]})
