"""The cluster's lock (`bootstrap.protocol.lease_lock`), asked for through whichever member of etcd answers.

The client library's transactions and leases are used, its `Lock` is not: that one never keeps its lease alive, says of
the holder only a random number, leaves a lease behind for each attempt that failed, ends its waiting by the wall clock,
and watches over a stream that no time-out ends when the connection is gone. Who waits here asks again each second: one
read, bounded in time, through whichever member answers.
"""

from __future__ import annotations

from collections.abc import Callable

from bootstrap.clients.etcd import EtcdError
from bootstrap.clients.failover import AnyMember
from bootstrap.errors import PartlyDone
from bootstrap.protocol.holder import Holder
from bootstrap.protocol.lease_lock import GIVE_UP_SECONDS, LEASE_SECONDS, KeyValue, Lease, LeaseLock, Lost


class LockLost(PartlyDone):
    """The lock is no longer ours, or no one can say whether it is: somebody else may be at work."""


def cluster_lock(
    members: AnyMember,
    holder: Callable[[], Holder],
    *,
    lost: Callable[[LockLost], None],
    lease_seconds: int = LEASE_SECONDS,
    give_up: float = GIVE_UP_SECONDS,
) -> LeaseLock:
    """The lock of one cluster, which raises EtcdError where no member answers. Arguments are those of LeaseLock;
    `members` is closed when the lock is released."""
    return LeaseLock(
        _Keys(members),
        holder,
        silent=EtcdError,
        lost=lambda why: lost(_in_words(why)),
        lease_seconds=lease_seconds,
        give_up=give_up,
    )


class _Keys:
    """Each question goes to the member that answered last, or to the others in turn."""

    def __init__(self, members: AnyMember) -> None:
        self._members = members

    def entry(self, key: str) -> KeyValue | None:
        return self._members.ask(lambda client: client.entry(key))

    def create(self, key: str, value: bytes, lease: Lease) -> KeyValue | None:
        return self._members.ask(lambda client: client.create(key, value, lease))

    def grant(self, seconds: int) -> Lease:
        return self._members.ask(lambda client: client.grant(seconds))

    def keep_alive(self, lease: Lease) -> int:
        return self._members.ask(lambda client: client.keep_alive(lease))

    def seconds_left(self, lease_id: int) -> int:
        return self._members.ask(lambda client: client.seconds_left(lease_id))

    def revoke(self, lease: Lease) -> None:
        self._members.ask(lambda client: client.revoke(lease))

    def close(self) -> None:
        self._members.close()


def _in_words(lost: Lost) -> LockLost:
    return LockLost(
        lost.problem,
        step="lock",
        tried="keep its lease alive through every server in turn",
        got=lost.got,
        hint="nothing new was begun, because somebody else may be at work; run the command again: it goes on from what "
        "is true",
    )
