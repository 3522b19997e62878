"""One apply at a time per cluster: a key in the cluster's own etcd, bound to a lease.

Whoever creates the key holds the lock, and keeps its lease alive for as long as the work takes. When the holder dies,
etcd removes the key with the lease. etcd's leader alone measures that time, with a clock that nobody sets: the clocks
of operators play no part. The holder's own stopwatch only makes it more careful, never less.
Source: https://etcd.io/docs/v3.5/learning/api/#lease-api, and "Notes on the usage of lock and lease" of
https://etcd.io/docs/v3.5/learning/why/

The client library's transactions and leases are used, its `Lock` is not: that one never keeps its lease alive, says of
the holder only a random number, leaves a lease behind for each attempt that failed, ends its waiting by the wall clock,
and watches over a stream that no time-out ends when the connection is gone. Who waits here asks again each second: one
read, bounded in time, through whichever member answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from bootstrap.clients.etcd import EtcdClient, EtcdError, Lease
from bootstrap.clients.failover import AnyMember
from bootstrap.engine.lock import Busy
from bootstrap.errors import PartlyDone
from bootstrap.holder import Holder, holder_in_words

KEY = "/clusterup/lock"
LEASE_SECONDS = 30
GIVE_UP_SECONDS = 300.0
"""How long the holder waits for an etcd that does not answer, before it takes the lock for lost."""


class LockLost(PartlyDone):
    """The lock is no longer ours, or nobody can say whether it is: somebody else may be at work."""


def stopwatch() -> float:
    """Seconds that pass while the machine is suspended, too, where the system counts them."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class ClusterLock:
    """The lock of one cluster, for one holder, once: `attempt` until it is taken, then `release`.

    `holder` says who takes it now. `members` is closed by `release`. `lost` is called once, from a thread of the lock's
    own, when the lock is lost while it is held.
    """

    def __init__(
        self,
        members: AnyMember,
        holder: Callable[[], Holder],
        *,
        lost: Callable[[LockLost], None],
        lease_seconds: int = LEASE_SECONDS,
        give_up: float = GIVE_UP_SECONDS,
    ) -> None:
        self._members = members
        self._holder = holder
        self._tell_lost = lost
        self._lease_seconds = lease_seconds
        self._give_up = give_up
        self._offered: Lease | None = None
        self._lease: Lease | None = None
        self._confirmed = 0.0
        self._until = 0.0
        self._ended = threading.Event()
        self._keeper: threading.Thread | None = None

    def attempt(self) -> Busy | None:
        """Take the lock, or say who holds it. Raises EtcdError where no member answers; it may have been taken all the
        same, which the next attempt finds."""
        busy = self._members.ask(self._other_holder)
        if busy is not None:
            return busy
        began = stopwatch()
        lease = self._lease_to_offer()
        busy = self._members.ask(lambda client: self._created(client, lease))
        if busy is not None:
            self._offered = None
            # Where this fails the lease, which holds no key, ends by itself.
            with suppress(EtcdError):
                self._members.ask(lambda client: client.revoke(lease))
            return busy
        self._lease, self._confirmed, self._until = lease, began, began + lease.seconds
        self._keeper = threading.Thread(target=self._keep, args=(lease,), name="lock", daemon=True)
        self._keeper.start()
        return None

    @property
    def held(self) -> bool:
        """Whether it has been taken and not been given back."""
        return self._lease is not None

    def sure(self) -> bool:
        """Whether the lock is ours beyond doubt: etcd has said so less than a lease's time ago."""
        return self.held and stopwatch() < self._until

    def release(self) -> None:
        """Give the lock back. Raises EtcdError where no member answers: it ends with its lease then."""
        self._ended.set()
        if self._keeper is not None:
            self._keeper.join()
        lease, self._lease = self._lease, None
        try:
            if lease is not None and stopwatch() < self._until:
                self._members.ask(lambda client: client.revoke(lease))
        finally:
            self._members.close()

    def _other_holder(self, client: EtcdClient) -> Busy | None:
        there = client.entry(KEY)
        if there is None or (self._offered is not None and there.lease == self._offered.id):
            return None
        return _busy(client, there.value, there.lease)

    def _lease_to_offer(self) -> Lease:
        """A lease with all its time before it: that of an attempt which failed, unless it has ended, or a new one."""
        before = self._offered
        if before is not None and self._members.ask(lambda client: client.keep_alive(before)) > 0:
            return before
        self._offered = offered = self._members.ask(lambda client: client.grant(self._lease_seconds))
        return offered

    def _created(self, client: EtcdClient, lease: Lease) -> Busy | None:
        there = client.create(KEY, self._holder().note(), lease)
        # Ours: the answer to an earlier transaction was lost.
        if there is None or there.lease == lease.id:
            return None
        return _busy(client, there.value, there.lease)

    def _keep(self, lease: Lease) -> None:
        # The lease is renewed each third of its time; the thread wakes more often, because a machine that was suspended
        # has to know soon.
        while not self._ended.wait(min(1.0, lease.seconds / 10)):
            if stopwatch() - self._confirmed < lease.seconds / 3:
                continue
            lost = self._renewed(lease)
            if lost is not None:
                self._until = 0.0
                self._tell_lost(lost)
                return

    def _renewed(self, lease: Lease) -> LockLost | None:
        try:
            return self._members.ask(lambda client: self._confirm(client, lease))
        except EtcdError as error:
            silent = stopwatch() - self._confirmed
            if silent < self._give_up:
                return None
            return _lost(
                f"etcd has not answered for {silent:.0f} s: nobody can say whose the cluster's lock is", error.got
            )

    def _confirm(self, client: EtcdClient, lease: Lease) -> LockLost | None:
        asked = stopwatch()
        left = client.keep_alive(lease)
        there = client.entry(KEY)
        if there is not None and there.lease == lease.id and left > 0:
            self._confirmed, self._until = asked, asked + left
            return None
        why = "its key was removed" if left > 0 else "its lease ended before it could be renewed"
        now = f"now held by {holder_in_words(there.value)}" if there is not None else "nobody holds it now"
        return _lost(f"the cluster's lock was lost: {why}", now)


def _busy(client: EtcdClient, note: bytes, lease_id: int) -> Busy:
    left = client.seconds_left(lease_id)
    return Busy(holder_in_words(note), f"unless it is renewed, its lease ends within {left + 1} s")


def _lost(problem: str, got: str | None) -> LockLost:
    return LockLost(
        problem,
        step="lock",
        tried="keep its lease alive through every server in turn",
        got=got,
        hint="nothing new was begun, because somebody else may be at work; run the command again: it goes on from what "
        "is true",
    )
