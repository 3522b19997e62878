"""The cluster's lock, whatever speaks to etcd: here an etcd of two dictionaries, with a clock that tests turn."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field

import pytest

from bootstrap.protocol import lease_lock
from bootstrap.protocol.holder import Holder
from bootstrap.protocol.lease_lock import KEY, KeyValue, Lease, LeaseLock, Lost


class Silent(Exception):
    """etcd does not answer."""


@dataclass
class Etcd:
    """An etcd with keys and leases. `answers` false is a silent one; `loses` is how many answers get lost: what was
    asked for is done, and whoever asked does not hear of it."""

    now: float = 0.0
    keys: dict[str, KeyValue] = field(default_factory=dict)
    leases: dict[int, float] = field(default_factory=dict)
    answers: bool = True
    loses: int = 0
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def passes(self, seconds: float) -> None:
        """Time passes, and leases end."""
        self.now += seconds
        self.leases = {each: end for each, end in self.leases.items() if end > self.now}
        self.keys = {key: value for key, value in self.keys.items() if value.lease in self.leases}


@dataclass
class Asked:
    """What one holder sees of it."""

    etcd: Etcd
    closed: int = 0

    def entry(self, key: str) -> KeyValue | None:
        self._silence()
        return self.etcd.keys.get(key)

    def create(self, key: str, value: bytes, lease: Lease) -> KeyValue | None:
        self._silence()
        if key in self.etcd.keys:
            return self.etcd.keys[key]
        self.etcd.keys[key] = KeyValue(value, lease.id)
        self._lost()
        return None

    def grant(self, seconds: int) -> Lease:
        self._silence()
        lease = Lease(next(self.etcd.numbers), seconds)
        self.etcd.leases[lease.id] = self.etcd.now + seconds
        return lease

    def keep_alive(self, lease: Lease) -> int:
        self._silence()
        if lease.id not in self.etcd.leases:
            return 0
        self.etcd.leases[lease.id] = self.etcd.now + lease.seconds
        return lease.seconds

    def seconds_left(self, lease_id: int) -> int:
        self._silence()
        return int(self.etcd.leases.get(lease_id, self.etcd.now) - self.etcd.now)

    def revoke(self, lease: Lease) -> None:
        self._silence()
        self.etcd.leases.pop(lease.id, None)
        self.etcd.passes(0)

    def close(self) -> None:
        self.closed += 1

    def _silence(self) -> None:
        if not self.etcd.answers:
            raise Silent("no member answers")

    def _lost(self) -> None:
        if self.etcd.loses:
            self.etcd.loses -= 1
            raise Silent("the answer was lost")


@pytest.fixture
def etcd(monkeypatch: pytest.MonkeyPatch) -> Etcd:
    etcd = Etcd()
    monkeypatch.setattr(lease_lock, "stopwatch", lambda: etcd.now)
    return etcd


def holder(who: str) -> Holder:
    return Holder(who, "desk", 4711, "2026-05-01T10:00:00+00:00", "apply lab.yaml")


def lock_of(etcd: Etcd, who: str, lost: list[Lost] | None = None) -> LeaseLock:
    told = ([] if lost is None else lost).append
    return LeaseLock(Asked(etcd), lambda: holder(who), silent=Silent, lost=told)


def test_of_two_one_is_in_and_the_other_is_told_who_and_what_ends_it(etcd: Etcd) -> None:
    first, second = lock_of(etcd, "anna"), lock_of(etcd, "ben")
    assert first.attempt() is None
    assert first.sure()
    busy = second.attempt()
    assert busy is not None
    assert str(busy) == (
        "anna on desk (process 4711) since 2026-05-01T10:00:00+00:00: apply lab.yaml; unless it is renewed, its lease "
        "ends within 31 s"
    )
    first.release()
    assert KEY not in etcd.keys
    assert second.attempt() is None
    second.release()


def test_who_comes_second_leaves_no_lease_behind(etcd: Etcd) -> None:
    first, second = lock_of(etcd, "anna"), lock_of(etcd, "ben")
    first.attempt()
    for _ in range(5):
        second.attempt()
    assert len(etcd.leases) == 1
    first.release()
    second.release()


def test_an_attempt_whose_answer_was_lost_is_ours_the_next_time(etcd: Etcd) -> None:
    etcd.loses = 1
    lock = lock_of(etcd, "anna")
    with pytest.raises(Silent):
        lock.attempt()
    assert not lock.held
    assert lock.attempt() is None
    assert lock.held
    lock.release()


def test_one_whose_lease_ended_while_nothing_was_heard_begins_again_with_a_new_one(etcd: Etcd) -> None:
    etcd.loses = 1
    lock = lock_of(etcd, "anna")
    with pytest.raises(Silent):
        lock.attempt()
    etcd.passes(100)
    assert lock.attempt() is None
    assert etcd.keys[KEY].lease == 2
    lock.release()


def test_it_is_not_sure_once_its_lease_may_have_ended(etcd: Etcd) -> None:
    lock = lock_of(etcd, "anna")
    lock.attempt()
    etcd.answers = False
    etcd.now += 31
    assert lock.held
    assert not lock.sure()
    # Nothing can be given back that may be somebody else's by now.
    lock.release()


def renewed(lock: LeaseLock, lease: Lease) -> Lost | None:
    return lock._renewed(lease)


def taken(etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> tuple[LeaseLock, Lease]:
    """A lock that is held, whose keeper is the test."""
    monkeypatch.setattr(threading.Thread, "start", lambda _: None)
    monkeypatch.setattr(threading.Thread, "join", lambda _: None)
    lock = lock_of(etcd, "anna")
    assert lock.attempt() is None
    return lock, Lease(etcd.keys[KEY].lease, 30)


def test_a_silence_is_borne_for_five_minutes_and_then_the_lock_counts_as_lost(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, lease = taken(etcd, monkeypatch)
    etcd.answers = False
    etcd.now += 299
    assert renewed(lock, lease) is None
    etcd.now += 2
    lost = renewed(lock, lease)
    assert lost is not None
    assert "etcd has not answered for 301 s" in lost.problem
    assert lost.got == "no member answers"


@pytest.mark.parametrize(
    ("taken_by", "why", "got"),
    [
        (None, "its key was removed", "no one holds it now"),
        ("ben", "its key was removed", "now held by ben on desk"),
    ],
)
def test_whoever_lost_it_is_told_to_whom(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch, taken_by: str | None, why: str, got: str
) -> None:
    lock, lease = taken(etcd, monkeypatch)
    del etcd.keys[KEY]
    if taken_by:
        etcd.keys[KEY] = KeyValue(holder(taken_by).note(), 99)
    lost = renewed(lock, lease)
    assert lost is not None
    assert lost.problem == f"the cluster's lock was lost: {why}"
    assert (lost.got or "").startswith(got)


def test_a_lease_that_ended_is_said_to_have_ended(etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, lease = taken(etcd, monkeypatch)
    etcd.passes(31)
    lost = renewed(lock, lease)
    assert lost == Lost(
        "the cluster's lock was lost: its lease ended before it could be renewed", "no one holds it now"
    )
