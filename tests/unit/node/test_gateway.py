"""etcd as a node asks it, in JSON: numbers are texts there, and what is empty is left out."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from typing import Any

import pytest

from bootstrap.node.joining.gateway import Etcd
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.learner import Member
from bootstrap.protocol.lease_lock import KeyValue, Lease

LARGE = 2**64 - 1


class Gateway(Etcd):
    """An etcd that answers each path in the same way."""

    def __init__(self, **answers: Mapping[str, Any]) -> None:
        super().__init__([], ssl.create_default_context())
        self.answers, self.asked = answers, list[tuple[str, Any]]()

    def ask(self, path: str, body: object) -> Any:
        self.asked.append((path, body))
        return self.answers[path.rpartition("/")[2]]


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_member_that_has_not_started_has_no_name() -> None:
    listed = [
        {"ID": str(LARGE), "name": "s1", "peerURLs": ["https://s1:2380"], "clientURLs": ["https://s1:2379"]},
        {"ID": "7", "peerURLs": ["https://s2:2380"], "isLearner": True},
    ]
    assert Gateway(list={"members": listed}).members() == (
        Member(LARGE, "s1", ("https://s1:2380",), ("https://s1:2379",), learner=False),
        Member(7, "", ("https://s2:2380",), (), learner=True),
    )


def test_ids_go_back_as_they_came() -> None:
    gateway = Gateway(promote={}, remove={})
    gateway.promote(LARGE)
    gateway.remove(7)
    assert [body for _, body in gateway.asked] == [{"ID": str(LARGE)}, {"ID": "7"}]


def test_a_key_is_there_or_not() -> None:
    there = {"kvs": [{"key": coded("k"), "value": coded("v"), "lease": "9"}]}
    assert Gateway(range=there).entry("k") == KeyValue(b"v", 9)
    assert Gateway(range={}).entry("k") is None
    assert Gateway(range={"kvs": [{"key": coded("k")}]}).entry("k") == KeyValue(b"", 0)


def test_a_key_is_written_once() -> None:
    assert Gateway(txn={"succeeded": True}).create("k", b"v", Lease(9, 30)) is None
    there = {"responses": [{"response_range": {"kvs": [{"value": coded("theirs"), "lease": "3"}]}}]}
    assert Gateway(txn=there).create("k", b"v", Lease(9, 30)) == KeyValue(b"theirs", 3)


def test_a_lease_has_the_time_that_etcd_gives_it() -> None:
    gateway = Gateway(grant={"ID": str(LARGE), "TTL": "30"}, keepalive={"result": {"TTL": "30"}}, timetolive={})
    lease = gateway.grant(1)
    assert lease == Lease(LARGE, 30)
    assert gateway.keep_alive(lease) == 30
    assert gateway.seconds_left(lease.id) == 0


@pytest.mark.parametrize("answer", [{"result": {}}, {"result": {"TTL": "0"}}])
def test_a_lease_that_has_ended_has_no_time(answer: Mapping[str, Any]) -> None:
    assert Gateway(keepalive=answer).keep_alive(Lease(9, 30)) == 0


def test_a_renewal_that_fails_inside_of_a_good_answer_is_a_failure_that_passes() -> None:
    answer = {"error": {"grpc_code": 14, "message": "etcdserver: no leader"}}
    with pytest.raises(Failure, match="no leader") as failed:
        Gateway(keepalive=answer).keep_alive(Lease(9, 30))
    assert failed.value.passing


def test_one_that_is_over_says_minus_one() -> None:
    assert Gateway(timetolive={"TTL": "-1"}).seconds_left(9) == 0
