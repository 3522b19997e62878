"""etcd has one learner at a time: no one waits for it to take another while there is one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bootstrap.engine.action import Action
from bootstrap.engine.connections import Connections
from bootstrap.engine.context import RunContext
from bootstrap.engine.events import unobserved
from bootstrap.errors import ClusterupError
from bootstrap.phases.etcd import membership as etcd
from bootstrap.phases.etcd.membership import Quorum
from bootstrap.protocol.learner import Member
from bootstrap.spec.etcd import peer_url
from tests.helpers.local_transport import LocalTransport
from tests.helpers.worlds import intent


class Voter:
    """A member that knows two others: a voter, and a learner whose server's action failed."""

    def __init__(self, learner: Member) -> None:
        self._members = (Member(1, "s1", ("https://10.77.0.11:2380",), (), learner=False), learner)

    def members(self) -> tuple[Member, ...]:
        return self._members


@pytest.mark.parametrize("name", ["s2", ""], ids=["it has started", "it has never started"])
def test_a_server_says_at_once_whose_vote_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    of = intent(tmp_path)
    servers = of.inventory.servers
    voter = Voter(Member(2, name, (peer_url(servers[1].address),), (), learner=True))

    @contextmanager
    def ask(*_: Any) -> Iterator[Voter]:
        yield voter

    monkeypatch.setattr(etcd, "_voter", ask)
    quorum = Quorum(servers, of.keys, None, lambda: None)
    # Whoever waited would be interrupted.
    stopped = threading.Event()
    stopped.set()
    action: Action[Any] = Action("s3/etcd.member", "s3", "etcd", "join", lambda _: None, lambda _: None)
    context = RunContext(action, Connections(LocalTransport), unobserved, {}, stopped)
    with pytest.raises(ClusterupError, match="it can't join etcd before s2 has its vote") as refusal:
        etcd._members_with(context, servers[2], quorum)
    assert "see that s2 is up" in refusal.value.hint
