"""A server that joins by itself takes the lock of the cluster that an operator's clusterup takes."""

from __future__ import annotations

import ssl
import threading
from pathlib import Path

import pytest

from bootstrap.node.joining import turn as own_turn
from bootstrap.node.joining.gateway import Etcd
from bootstrap.node.joining.turn import turn
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.holder import Holder
from bootstrap.protocol.lease_lock import KEY, Lease
from tests.helpers.daemons import wait_for
from tests.helpers.quorum import Place, Quorum
from tests.integration.etcd.test_cluster_lock import lock_of
from tests.integration.etcd.test_joining_by_itself import gateway

DOING = "s2 becomes a server by itself"


@pytest.fixture
def etcd(quorum: Quorum, member: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Etcd:
    monkeypatch.setattr(own_turn, "EVERY_SECONDS", 0.1)
    return gateway(quorum, tmp_path, member.client_port)


def test_an_operator_is_told_who_is_at_work_until_it_has_ended(quorum: Quorum, member: Place, etcd: Etcd) -> None:
    with lock_of(quorum, member) as operators:
        with turn(etcd, DOING, print) as still_ours:
            still_ours()
            busy = operators.attempt()
            assert busy is not None
            assert busy.holder.startswith("root on ")
            assert busy.holder.endswith(f": {DOING}")
        assert operators.attempt() is None


def test_it_waits_for_an_operator_and_says_for_whom(quorum: Quorum, member: Place, etcd: Etcd) -> None:
    said: list[str] = []
    inside = threading.Event()

    def joins() -> None:
        with turn(etcd, DOING, said.append):
            inside.set()

    with lock_of(quorum, member) as operators:
        assert operators.attempt() is None
        thread = threading.Thread(target=joins)
        thread.start()
        wait_for(lambda: bool(said), "a word about who holds it")
        assert said == [
            "waiting for the cluster's lock, held by anna on desk (process 4711) since 2024-05-01T10:00:00+00:00: "
            "apply lab.yaml"
        ]
        assert not inside.is_set()
    thread.join()
    assert inside.is_set()


def test_whoever_waits_too_long_is_told_who_holds_it(
    quorum: Quorum, member: Place, etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_turn, "WAIT_SECONDS", 0.5)
    with lock_of(quorum, member) as operators:
        assert operators.attempt() is None
        with pytest.raises(Failure, match="another clusterup is at work") as told, turn(etcd, DOING, print):
            pass
    assert "anna on desk" in str(told.value)
    assert told.value.passing


def test_its_lease_is_kept_alive_and_without_it_the_work_ends(
    quorum: Quorum, member: Place, etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_turn, "LEASE_SECONDS", 3)
    with quorum.client(member) as client, turn(etcd, DOING, print) as still_ours:
        held = client.entry(KEY)
        assert held is not None
        wait_for(lambda: client.seconds_left(held.lease) < 2, "time to pass")
        wait_for(lambda: client.seconds_left(held.lease) >= 2, "the lease to be renewed")
        still_ours()
        etcd.ask("/v3/lease/revoke", {"ID": str(held.lease)})

        def lost() -> bool:
            try:
                still_ours()
            except Failure as failure:
                return "the cluster's lock was lost" in str(failure)
            return False

        wait_for(lost, "the loss to be seen")


def test_a_renewal_that_fails_inside_of_a_good_answer_is_trouble_that_passes() -> None:
    with pytest.raises(Failure, match="no leader") as told:
        SaysAnError().keep_alive(Lease(7, 30))
    assert told.value.passing


class SaysAnError(Etcd):
    """An etcd whose stream of renewals fails, as it does while it has no leader."""

    def __init__(self) -> None:
        super().__init__([], ssl.create_default_context())

    def ask(self, path: str, body: object) -> object:
        return {"error": {"grpc_code": 14, "message": "etcdserver: no leader"}}


def test_the_work_of_one_who_dies_is_free_for_others_with_its_lease(quorum: Quorum, member: Place, etcd: Etcd) -> None:
    # As one who took it and never came back.
    assert etcd.create(KEY, Holder.now(DOING).note(), etcd.grant(3)) is None
    with lock_of(quorum, member) as operators:
        wait_for(lambda: operators.attempt() is None, "the lock to be free", 60)
