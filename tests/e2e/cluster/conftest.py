"""A cluster of three servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import shared
from tests.e2e.labs import Labs
from tests.e2e.operator import Operator
from tests.e2e.shapes import THREE_SERVERS


@pytest.fixture
def cluster(labs: Labs, request: pytest.FixtureRequest) -> Iterator[Operator]:
    """As it was put aside, or as the module's test before left it."""
    yield from shared(labs, THREE_SERVERS, request)
