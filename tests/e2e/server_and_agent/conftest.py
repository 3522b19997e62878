"""A server and an agent, bare machines: a lab for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Operator, machines

SERVER, AGENT = "server-1", "agent-1"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Machines with empty disks that run the live environment."""
    folder = tmp_path_factory.mktemp("cut")
    operator = Operator(folder, folder / "state", "cut")
    with machines(operator, "--servers", "1", "--agents", "1"):
        yield operator
