"""A quorum that is slow for a moment: nothing is refused, and nothing done without its lock, because of one answer."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import grpc
import pytest

from bootstrap.clients.etcd import EtcdClient, EtcdError, EtcdSlow
from bootstrap.clients.failover import Way
from bootstrap.engine.action import Action
from bootstrap.engine.connections import Connections
from bootstrap.engine.context import RunContext
from bootstrap.engine.events import unobserved
from bootstrap.engine.lock import Patience
from bootstrap.errors import Refused
from bootstrap.facts import cluster as observe
from bootstrap.facts.model import EtcdFacts, UnitFacts
from bootstrap.lock.guard import Guard
from bootstrap.node.joining import turn
from bootstrap.phases.etcd.quorum import QuorumLeft, quorums_left
from bootstrap.phases.leave import etcd as leave_etcd
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.learner import Member
from bootstrap.protocol.lease_lock import Busy, LeaseLock
from bootstrap.state.credentials import OperatorKeys
from tests.helpers.local_transport import LocalTransport
from tests.helpers.worlds import facts, inventory

KEYS = cast(OperatorKeys, None)
SILENT = EtcdError("no member of etcd answers", hint="wait")


def context() -> RunContext:
    action: Action[Any] = Action("s3/leave.etcd", "s3", "leave", "leave", lambda _: None, lambda _: None)
    return RunContext(action, Connections(LocalTransport), unobserved, {}, threading.Event())


def left(*well: str) -> QuorumLeft:
    return quorums_left(["s1", "s2", "s3"], ["s3"], well)["s3"]


def counted(monkeypatch: pytest.MonkeyPatch, *answers: QuorumLeft) -> Iterator[QuorumLeft]:
    """What is counted in turn, the last of it for ever."""
    found = itertools.chain(answers, itertools.repeat(answers[-1]))
    monkeypatch.setattr(leave_etcd, "quorum_without", lambda *_: next(found))
    return found


def test_a_member_that_answers_a_moment_later_counts_when_another_one_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    counted(monkeypatch, left("s1"), left("s1", "s2"))
    leave_etcd._require_quorum(context(), (), "s3", ["s1", "s2"], KEYS)


def test_one_that_stays_silent_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leave_etcd, "COUNTED_SECONDS", 0.0)
    counted(monkeypatch, left("s1"))
    with pytest.raises(Refused, match="etcd would have no quorum") as refused:
        leave_etcd._require_quorum(context(), (), "s3", ["s1", "s2"], KEYS)
    assert "2 needed, 1 answers" in str(refused.value.got)


def attempts(monkeypatch: pytest.MonkeyPatch, *outcomes: EtcdError | Busy | None, seconds: float) -> Callable[[], Any]:
    """The attempts at a lock of somebody who bears with etcd for half a minute; each takes so many seconds."""
    clock, found = [0.0], iter(outcomes)
    monkeypatch.setattr("bootstrap.lock.guard.time.monotonic", lambda: clock[0])

    class Lock:
        def attempt(self) -> Busy | None:
            clock[0] += seconds
            outcome = next(found)
            if isinstance(outcome, EtcdError):
                raise outcome
            return outcome

    def no_way(server: str) -> Way:
        raise AssertionError(server)

    hold = Guard(inventory(), "apply", Patience(0.0, lambda _: None), way=no_way, noted=lambda: None)
    return hold._patient(cast(LeaseLock, Lock()))


def test_a_slow_etcd_is_asked_for_its_lock_again_though_its_silence_took_all_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert attempts(monkeypatch, SILENT, None, seconds=40.0)() is None


def test_an_etcd_that_stays_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EtcdError, match="no member"):
        attempts(monkeypatch, SILENT, SILENT, seconds=40.0)()


def test_a_server_that_waits_for_the_lock_goes_on_waiting_when_etcd_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "EVERY_SECONDS", 0.0)
    slow = Failure("etcd does not do what it was asked", hint="again", passing=True)
    answers = iter([Busy("anna"), slow, slow, Busy("anna"), None])

    class Slow:
        def attempt(self) -> Busy | None:
            answer = next(answers)
            if isinstance(answer, Failure):
                raise answer
            return answer

    said: list[str] = []
    turn.wait_for(cast(LeaseLock, Slow()), said.append)
    assert said == ["waiting for the cluster's lock, held by anna"]


def test_one_slow_answer_does_not_make_a_plan_without_etcd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(observe, "PATIENCE_SECONDS", 0.0)
    asked = itertools.count(1)

    class Client:
        def members(self) -> tuple[Member, ...]:
            if next(asked) == 1:
                raise SILENT
            return (Member(1, "s1", ("https://s1",), (), learner=False),)

    @contextmanager
    def etcd_at(*_: object) -> Iterator[Client]:
        yield Client()

    monkeypatch.setattr(observe, "etcd_at", etcd_at)
    running = {"s1": facts(units={"etcd.service": UnitFacts("active", "x")})}
    found = observe.read_etcd(running, ["s1"], Connections(LocalTransport), KEYS)
    assert isinstance(found, EtcdFacts)
    assert [member.name for member in found.members] == ["s1"]
    assert observe.read_etcd({"s1": facts()}, ["s1"], Connections(LocalTransport), KEYS) is None
    assert next(asked) == 3


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", EtcdSlow),
        (grpc.StatusCode.UNAVAILABLE, "etcdserver: request timed out", EtcdSlow),
        (grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses", EtcdError),
    ],
)
def test_silence_of_etcd_is_told_from_one_that_is_not_there(
    code: grpc.StatusCode, details: str, kind: type[EtcdError]
) -> None:
    class Failure(grpc.RpcError):  # type: ignore[misc]
        def code(self) -> grpc.StatusCode:
            return code

        def details(self) -> str:
            return details

    def fails() -> None:
        raise Failure

    client = EtcdClient.__new__(EtcdClient)
    client._where, client._node = "127.0.0.1:2379", "s1"
    with pytest.raises(EtcdError) as failed:
        client._guarded(fails, "Status")
    assert type(failed.value) is kind
