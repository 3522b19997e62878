"""The page about inventories knows every key."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from bootstrap.inventory import model

PAGE = (Path(__file__).parents[3] / "docs" / "inventory.md").read_text()
SECTIONS = [value for value in vars(model).values() if isinstance(value, type) and issubclass(value, model.Strict)]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_every_key_is_documented(section: type[BaseModel]) -> None:
    assert [key for key in section.model_fields if f"| `{key}` |" not in PAGE] == []
