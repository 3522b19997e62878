"""A cluster's authority, and one running member."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.pki.x509 import Usage, issue, new_authority
from tests.helpers.daemons import wait_for
from tests.helpers.quorum import Place, Quorum


@pytest.fixture
def quorum(tmp_path: Path) -> Quorum:
    authority = new_authority("etcd-ca")
    operator = issue(authority, common_name="operator", usage=Usage.CLIENT)
    return Quorum(tmp_path, authority, operator)


@pytest.fixture
def member(quorum: Quorum) -> Iterator[Place]:
    """Where the only member of a cluster runs."""
    place = quorum.place("s1")
    with quorum.member(place, {}, "new"), quorum.client(place) as client:
        wait_for(client.healthy, "the member's health")
        yield place
