"""The executable is the same bytes when it is made twice, and is made for the other architecture as well.

Two minutes of two processors, so it is run by its name: scripts/test tests/by_name/test_executable_twice.py
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.image.architecture import ARCHITECTURES, Architecture
from scripts.build_executable import build


@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=lambda each: each.name)
def test_it_is_the_same_bytes_twice(tmp_path: Path, architecture: Architecture) -> None:
    first, second = (build(architecture, tmp_path / name) for name in ("first", "second"))
    assert [file.name for file in sorted(first.parent.iterdir())] == [
        each.name for each in sorted(second.parent.iterdir())
    ]
    assert {
        file.name: file.read_bytes() == (second.parent / file.name).read_bytes() for file in first.parent.iterdir()
    } == dict.fromkeys((file.name for file in first.parent.iterdir()), True)
    assert first.read_bytes()[18] == architecture.elf
