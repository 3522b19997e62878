"""A server and an agent, bare machines: a lab for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Operator, lab_of

SERVER, AGENT = "server-1", "agent-1"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Machines with empty disks that run the live environment."""
    with lab_of(tmp_path_factory, "cut", "--servers", "1", "--agents", "1") as operator:
        yield operator
