"""unbound as nodes run it, for the tests here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bootstrap.image.versions import Versions
from bootstrap.inventory.model import Inventory
from tests.integration.names.unbound_server import ASKS_THIS_MACHINE, Unbound, running_unbound
from tests.integration.names.upstream import name_server

OUTSIDE = {
    "www.example.com.": "A 192.0.2.53",
    "nas.home.arpa.": "A 192.168.1.5",
    "5.1.168.192.in-addr.arpa.": "PTR nas.home.arpa.",
}
CORPORATE = {"git.corp.example.": "A 10.1.2.9"}


def inventory(dns: Mapping[str, Any]) -> Inventory:
    node = {"name": "s1", "role": "server", "address": "10.77.0.11"}
    return Inventory.model_validate({"cluster": {"name": "lab"}, "dns": dns, "nodes": [node]})


def versions() -> Versions:
    return Versions(20, (1, 7))


@pytest.fixture
def unbound(tmp_path: Path) -> Iterator[Unbound]:
    """Just started for the first time."""
    with running_unbound(tmp_path, inventory({}), versions(), ASKS_THIS_MACHINE) as found:
        yield found


@pytest.fixture
def outside() -> Iterator[str]:
    """A name server that knows `OUTSIDE`."""
    with name_server(OUTSIDE) as place:
        yield place
