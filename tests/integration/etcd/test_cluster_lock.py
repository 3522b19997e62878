"""The lock in a real cluster's etcd: one holder, who it is, and what becomes of it when the holder or a member dies."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

import pytest

from bootstrap.clients.etcd import EtcdClient, EtcdError
from bootstrap.clients.failover import AnyMember, Way
from bootstrap.engine.lock import FOREVER, Patience, wait_for_turn
from bootstrap.errors import Interrupted, Refused
from bootstrap.lock.lease import LockLost, cluster_lock
from bootstrap.protocol.holder import Holder
from bootstrap.protocol.lease_lock import KEY, Busy, KeyValue, Lease, LeaseLock
from tests.helpers.daemons import wait_for
from tests.helpers.quorum import Place, Quorum

ROOT = Path(__file__).parents[3]
LEASE_SECONDS = 4


def holder(doing: str = "apply lab.yaml", since: str = "2024-05-01T10:00:00+00:00") -> Holder:
    return Holder("anna", "desk", 4711, since, doing, "lab")


def way(quorum: Quorum, place: Place) -> Way:
    return Way(place.name, lambda: quorum.client(place))


@contextmanager
def lock_of(
    quorum: Quorum, *places: Place, by: Holder | None = None, lost: list[LockLost] | None = None, give_up: float = 300.0
) -> Iterator[LeaseLock]:
    """A lock that can be attempted, and is given back at the end where it was taken."""
    lock = cluster_lock(
        AnyMember([way(quorum, place) for place in places]),
        lambda: by or holder(),
        lost=([] if lost is None else lost).append,
        lease_seconds=LEASE_SECONDS,
        give_up=give_up,
    )
    try:
        yield lock
    finally:
        lock.release()


def entry(client: EtcdClient) -> KeyValue:
    found = client.entry(KEY)
    assert found is not None
    return found


def renewed(client: EtcdClient, lease: int) -> None:
    """Wait until the lease has less time left than it was granted, then until it has more again."""
    wait_for(lambda: client.seconds_left(lease) < LEASE_SECONDS - 1, "time to pass")
    wait_for(lambda: client.seconds_left(lease) >= LEASE_SECONDS - 1, "the lease to be renewed")


def test_of_two_one_is_in_and_the_other_is_told_who_and_what_ends_it(quorum: Quorum, member: Place) -> None:
    with lock_of(quorum, member) as first, lock_of(quorum, member) as second:
        assert first.attempt() is None
        assert first.sure()
        busy = second.attempt()
        assert busy is not None
        assert busy.holder == "anna on desk (process 4711) since 2024-05-01T10:00:00+00:00: apply lab.yaml"
        assert busy.until.startswith("unless it is renewed, its lease ends within ")
        assert not second.held
        first.release()
        assert second.attempt() is None


def test_a_released_lock_leaves_neither_key_nor_lease(quorum: Quorum, member: Place) -> None:
    with quorum.client(member) as client, lock_of(quorum, member) as lock:
        lock.attempt()
        lease = entry(client).lease
        assert client.seconds_left(lease) > 0
        lock.release()
        assert client.entry(KEY) is None
        assert client.seconds_left(lease) == 0
        assert not lock.sure()


def test_a_lease_is_never_shorter_than_etcd_s_own_patience(quorum: Quorum, member: Place) -> None:
    with quorum.client(member) as client:
        assert client.grant(1).seconds > 1


def test_a_lock_outlives_its_lease_for_as_long_as_it_is_held(quorum: Quorum, member: Place) -> None:
    with quorum.client(member) as client, lock_of(quorum, member) as lock:
        lock.attempt()
        lease = entry(client).lease
        for _ in range(3):
            renewed(client, lease)
        assert entry(client).lease == lease
        assert lock.sure()


def test_a_killed_holder_s_lock_is_free_when_its_lease_has_ended_and_not_before(quorum: Quorum, member: Place) -> None:
    said: list[str] = []
    with quorum.client(member) as client, killed_holder(member) as pid, lock_of(quorum, member) as waiting:
        lease = entry(client).lease
        still: list[int] = []

        def attempt() -> Busy | None:
            busy = waiting.attempt()
            if busy is not None:
                still.append(client.seconds_left(lease))
            return busy

        wait_for_turn(attempt, Patience(FOREVER, said.append), "apply lab.yaml")
        assert still
        assert client.seconds_left(lease) == 0
        assert entry(client).lease != lease
    (line,) = said
    assert f"(process {pid})" in line
    assert "apply held.yaml" in line


@contextmanager
def killed_holder(member: Place) -> Iterator[int]:
    """A process that took the lock and was killed (SIGKILL); its pid."""
    argv = [sys.executable, "-m", "tests.helpers.lock_holder", str(member.folder), str(member.client_port), "8"]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        process.kill()
        process.wait()
        yield process.pid


def test_who_waits_is_told_again_when_the_holder_changes_and_can_stop_waiting(quorum: Quorum, member: Place) -> None:
    said: list[str] = []
    abort = threading.Event()
    with (
        lock_of(quorum, member) as first,
        lock_of(quorum, member, by=holder("upgrade")) as second,
        lock_of(quorum, member) as waiting,
    ):
        assert first.attempt() is None

        def say(text: str) -> None:
            said.append(text)
            if len(said) == 1:
                first.release()
                assert second.attempt() is None
            else:
                abort.set()

        with pytest.raises(Interrupted) as stopped:
            wait_for_turn(waiting.attempt, Patience(FOREVER, say, abort), "apply lab.yaml")
    assert stopped.value.exit_code == 130
    assert ["apply lab.yaml" in said[0], "upgrade" in said[1]] == [True, True]


def test_patience_that_ends_says_how_long_it_was(quorum: Quorum, member: Place) -> None:
    with lock_of(quorum, member) as first, lock_of(quorum, member) as second:
        assert first.attempt() is None
        with pytest.raises(Refused, match="another clusterup is at work") as refused:
            wait_for_turn(second.attempt, Patience(1.0), "apply other.yaml")
    assert "tried: apply other.yaml, after waiting 1 s" in str(refused.value)
    assert "got: anna on desk" in str(refused.value)


@pytest.mark.parametrize("since", ["1970-01-01T00:00:00+00:00", "2199-01-01T00:00:00+00:00", "yesterday"])
def test_a_holder_whose_clock_is_far_off_holds_the_lock_as_long_as_its_lease(
    quorum: Quorum, member: Place, since: str
) -> None:
    with lock_of(quorum, member, by=holder(since=since)) as first, lock_of(quorum, member) as second:
        assert first.attempt() is None
        busy = second.attempt()
        assert busy is not None
        assert since in busy.holder
        first.release()
        assert second.attempt() is None


def test_a_note_that_no_one_can_read_holds_the_lock_too(quorum: Quorum, member: Place) -> None:
    with quorum.client(member) as client, lock_of(quorum, member) as lock:
        client.create(KEY, b"[]", client.grant(60))
        busy = lock.attempt()
        assert busy is not None
        assert busy.holder == "somebody who has not said yet who it is"


class LosesAnswers(EtcdClient):
    """A client that does what it is asked and loses the answer, once."""

    lost = False

    def create(self, key: str, value: bytes, lease: Lease) -> KeyValue | None:
        answer = super().create(key, value, lease)
        if not self.lost:
            self.lost = True
            raise EtcdError("the answer was lost", hint="ask again")
        return answer


def test_a_lock_that_was_taken_before_the_answer_was_lost_is_ours(quorum: Quorum, member: Place) -> None:
    def open_client() -> AbstractContextManager[EtcdClient]:
        return LosesAnswers("127.0.0.1", member.client_port, ca_pem=quorum.authority.cert_pem, client=quorum.operator)

    lock = cluster_lock(
        AnyMember([Way("s1", open_client), way(quorum, member)]), holder, lost=lambda _: None, lease_seconds=60
    )
    assert lock.attempt() is None
    lock.release()


def test_an_attempt_that_failed_and_yet_took_the_lock_is_made_good_by_the_next_one(
    quorum: Quorum, member: Place
) -> None:
    with LosesAnswers(
        "127.0.0.1", member.client_port, ca_pem=quorum.authority.cert_pem, client=quorum.operator
    ) as client:
        lock = cluster_lock(
            AnyMember([Way("s1", lambda: nullcontext(client))]), holder, lost=lambda _: None, lease_seconds=60
        )
        with pytest.raises(EtcdError, match="no member of etcd answers"):
            lock.attempt()
        assert not lock.held
        lease = entry(client).lease
        assert lock.attempt() is None
        assert lock.sure()
        assert entry(client).lease == lease
        lock.release()
        assert client.entry(KEY) is None


def test_a_lease_that_ended_after_a_failed_attempt_is_not_used_again(quorum: Quorum, member: Place) -> None:
    with LosesAnswers(
        "127.0.0.1", member.client_port, ca_pem=quorum.authority.cert_pem, client=quorum.operator
    ) as client:
        lock = cluster_lock(
            AnyMember([Way("s1", lambda: nullcontext(client))]), holder, lost=lambda _: None, lease_seconds=60
        )
        with pytest.raises(EtcdError):
            lock.attempt()
        ended = entry(client).lease
        client.revoke(Lease(ended, 60))
        assert lock.attempt() is None
        assert entry(client).lease != ended
        lock.release()


def test_the_lock_moves_to_another_member_when_the_one_it_was_reached_through_dies(quorum: Quorum) -> None:
    places = [quorum.place(name) for name in ("s1", "s2", "s3")]
    urls = {place.name: place.peer_url for place in places}
    lost: list[LockLost] = []
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                quorum.member(place, {name: url for name, url in urls.items() if name != place.name}, "new")
            )
            for place in places
        ]
        client = stack.enter_context(quorum.client(places[2]))
        wait_for(client.healthy, "the quorum's health")
        lock = stack.enter_context(lock_of(quorum, *places, lost=lost))
        assert lock.attempt() is None
        lease = entry(client).lease
        processes[0].kill()
        processes[0].wait()
        wait_for(client.healthy, "the quorum's health")
        renewed(client, lease)
        assert entry(client).lease == lease
        wait_for(lock.sure, "the holder's certainty")
        assert lost == []


def test_a_lease_that_ended_stops_the_holder(quorum: Quorum, member: Place) -> None:
    lost: list[LockLost] = []
    with quorum.client(member) as client, lock_of(quorum, member, lost=lost) as lock:
        assert lock.attempt() is None
        client.revoke(Lease(entry(client).lease, LEASE_SECONDS))
        wait_for(lambda: bool(lost), "the holder to notice")
        assert not lock.sure()
    assert lost[0].exit_code == 3
    assert "its lease ended before it could be renewed" in str(lost[0])
    assert "no one holds it now" in str(lost[0])


def test_a_lock_that_was_removed_by_hand_is_lost_and_the_next_holder_is_named(quorum: Quorum, member: Place) -> None:
    lost: list[LockLost] = []
    with quorum.client(member) as client, lock_of(quorum, member, lost=lost) as lock:
        assert lock.attempt() is None
        remove_by_hand(member)
        other = client.grant(60)
        assert client.create(KEY, holder("something else").note(), other) is None
        wait_for(lambda: bool(lost), "the holder to notice")
        assert entry(client).lease == other.id
    assert "its key was removed" in str(lost[0])
    assert "now held by anna on desk (process 4711) since 2024-05-01T10:00:00+00:00: something else" in str(lost[0])


def remove_by_hand(member: Place) -> None:
    argv = ["etcdctl", f"--endpoints=https://127.0.0.1:{member.client_port}", f"--cacert={member.folder}/ca.crt"]
    argv += [f"--cert={member.folder}/peer.crt", f"--key={member.folder}/peer.key", "del", KEY]
    subprocess.run(argv, env={**os.environ, "ETCDCTL_API": "3"}, check=True, capture_output=True)


def test_while_etcd_does_not_answer_the_holder_is_unsure_and_afterwards_the_lock_is_still_its_own(
    quorum: Quorum,
) -> None:
    place = quorum.place("s1")
    lost: list[LockLost] = []
    with quorum.client(place) as client, ExitStack() as stack:
        with quorum.member(place, {}, "new"):
            wait_for(client.healthy, "the member's health")
            lock = stack.enter_context(lock_of(quorum, place, lost=lost))
            assert lock.attempt() is None
            lease = entry(client).lease
        wait_for(lambda: not lock.sure(), "the holder's doubt")
        stack.enter_context(quorum.member(place, {}, "new"))
        wait_for(lock.sure, "the holder's certainty")
        assert entry(client).lease == lease
        assert lost == []
        stack.callback(lock.release)


def test_an_etcd_that_never_answers_again_stops_the_holder(quorum: Quorum) -> None:
    place = quorum.place("s1")
    lost: list[LockLost] = []
    with quorum.client(place) as client, lock_of(quorum, place, lost=lost, give_up=5.0) as lock:
        with quorum.member(place, {}, "new"):
            wait_for(client.healthy, "the member's health")
            assert lock.attempt() is None
        wait_for(lambda: bool(lost), "the holder to give up")
    assert "etcd has not answered for" in str(lost[0])
    assert "s1: etcd did not do what it was asked" in str(lost[0])
