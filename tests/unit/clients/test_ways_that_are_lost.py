"""A way that is lost while an action waits is not asked again: each question opens its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bootstrap.clients.etcd import EtcdError
from bootstrap.clients.tunnel import ApiServers
from bootstrap.errors import ClusterupError
from bootstrap.phases import control_plane as controlplane
from bootstrap.phases.etcd import membership as etcd
from bootstrap.phases.etcd.membership import Quorum
from bootstrap.protocol.learner import Member
from bootstrap.spec.etcd import peer_url
from tests.helpers.worlds import intent


class Waiting:
    """A context that asks three times, at once."""

    def on(self, node: str) -> str:
        return node

    def say(self, text: str) -> None:
        return None

    def wait_until(self, condition: Callable[[], bool], **_: Any) -> None:
        for _try in range(3):
            try:
                if condition():
                    return
            except ClusterupError:
                continue
        raise AssertionError("it never came about")


class Etcd:
    """A voter and a learner, asked over one way; what changes is lost with the way."""

    def __init__(self, members: list[Member], *, lost: bool) -> None:
        self._members = members
        self._lost = lost

    def members(self) -> tuple[Member, ...]:
        return tuple(self._members)

    def promote(self, member_id: int) -> None:
        self._change([Member(m.id, m.name, m.peer_urls, (), learner=False) for m in self._members])

    def add_learner(self, url: str) -> None:
        self._change([*self._members, Member(2, "", (url,), (), learner=True)])

    def _change(self, members: list[Member]) -> None:
        if self._lost:
            raise EtcdError("cut off", hint="again")
        self._members[:] = members


def ways_to(members: list[Member], lost: int) -> Callable[..., Any]:
    """Opens ways of which the first `lost` are lost as soon as they are open."""
    opened = iter(range(100))

    @contextmanager
    def way(*_: Any) -> Iterator[Etcd]:
        yield Etcd(members, lost=next(opened) < lost)

    return way


@pytest.fixture
def quorum(tmp_path: Path) -> Quorum:
    of = intent(tmp_path)
    return Quorum(of.inventory.servers, of.keys, None, lambda: None)


def test_a_learner_is_promoted_over_another_way(quorum: Quorum, monkeypatch: pytest.MonkeyPatch) -> None:
    members = [Member(1, "s1", ("https://s1",), (), learner=False), Member(2, "s2", ("https://s2",), (), learner=True)]
    monkeypatch.setattr(etcd, "_voter", ways_to(members, lost=2))
    context: Any = Waiting()
    etcd._promote(context, quorum.servers[1], quorum)
    assert [member.learner for member in members] == [False, False]


def test_a_member_is_added_over_another_way_and_only_once(quorum: Quorum, monkeypatch: pytest.MonkeyPatch) -> None:
    members = [Member(1, "s1", ("https://s1",), (), learner=False)]
    monkeypatch.setattr(etcd, "_voter", ways_to(members, lost=2))
    context: Any = Waiting()
    url = peer_url(quorum.servers[1].address)
    assert etcd._members_with(context, quorum.servers[1], quorum) == {"s1": "https://s1", "s2": url}
    assert len(members) == 2


def test_an_api_server_is_asked_over_another_way_until_it_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = intent(tmp_path)
    opened = iter([False, True])

    class Api:
        def __init__(self) -> None:
            self._leads_there = next(opened)

        def ready(self) -> bool:
            return self._leads_there

    @contextmanager
    def way(*_: Any) -> Iterator[Api]:
        yield Api()

    monkeypatch.setattr(controlplane, "api_at", way)
    monkeypatch.setattr(controlplane, "spare_api_server", lambda *_: None)
    started: list[str] = []
    monkeypatch.setattr(controlplane, "ensure_units", lambda _, __, units: started.extend(unit.name for unit in units))
    context: Any = Waiting()
    servers = ApiServers("lab", ("s1",), of.keys)
    controlplane.start_control_plane(context, of.nodes["s1"], servers)
    assert started == [unit.name for unit in of.nodes["s1"].control_plane]
    assert started[0] == "kube-apiserver.service"
