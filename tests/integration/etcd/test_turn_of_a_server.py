"""A server that joins by itself takes the lock of the cluster that an operator's clusterup takes."""

from __future__ import annotations

import ssl
import sys
import threading
from pathlib import Path

import pytest

import bootstrap
from bootstrap.pki.x509 import Usage, issue
from tests.helpers.daemons import wait_for
from tests.helpers.quorum import Place, Quorum
from tests.integration.etcd.test_cluster_lock import lock_of

sys.path.insert(0, str(Path(bootstrap.__file__).parent / "node"))

import turn as own_turn
from quorum import Etcd
from trouble import Trouble
from trust import Server
from turn import turn

DOING = "s2 becomes a server by itself"


@pytest.fixture
def etcd(quorum: Quorum, member: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Etcd:
    monkeypatch.setattr(own_turn, "EVERY_SECONDS", 0.1)
    pair = issue(quorum.authority, common_name="kube-apiserver-etcd-client", usage=Usage.CLIENT)
    (tmp_path / "pair.pem").write_bytes(pair.cert_pem + b"\n" + pair.key_pem)
    context = ssl.create_default_context(cadata=quorum.authority.cert_pem.decode())
    context.load_cert_chain(tmp_path / "pair.pem")
    return Etcd([Server("127.0.0.1", member.client_port)], context)


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
        with pytest.raises(Trouble, match="another clusterup is at work") as told, turn(etcd, DOING, print):
            pass
    assert "anna on desk" in str(told.value)
    assert told.value.passing


def test_its_lease_is_kept_alive_and_without_it_the_work_ends(
    quorum: Quorum, member: Place, etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_turn, "LEASE_SECONDS", 3)
    with quorum.client(member) as client, turn(etcd, DOING, print) as still_ours:
        held = client.entry(own_turn.KEY)
        assert held is not None
        wait_for(lambda: client.seconds_left(held.lease) < 2, "time to pass")
        wait_for(lambda: client.seconds_left(held.lease) >= 2, "the lease to be renewed")
        still_ours()
        etcd.ask("/v3/lease/revoke", {"ID": str(held.lease)})

        def lost() -> bool:
            try:
                still_ours()
            except Trouble as trouble:
                return "the cluster's lock was lost" in str(trouble)
            return False

        wait_for(lost, "the loss to be seen")


def test_the_work_of_one_who_dies_is_free_for_others_with_its_lease(
    quorum: Quorum, member: Place, etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_turn, "LEASE_SECONDS", 3)
    # As one who took it and never came back.
    own_turn._taken(etcd, DOING, print)
    with lock_of(quorum, member) as operators:
        wait_for(lambda: operators.attempt() is None, "the lock to be free", 60)
