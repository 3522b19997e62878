"""One at a time per cluster: a key in the cluster's own etcd, bound to a lease.

Whoever creates the key holds the lock, and keeps its lease alive for as long as the work takes. When the holder dies,
etcd removes the key with the lease. etcd's leader alone measures that time, with a clock that no one sets: the clocks
of operators play no part. The holder's own stopwatch only makes it more careful, never less.
Source: https://etcd.io/docs/v3.5/learning/api/#lease-api, and "Notes on the usage of lock and lease" of
https://etcd.io/docs/v3.5/learning/why/

How etcd is asked is the holder's matter: an operator has a client library, a node etcd's JSON gateway.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from bootstrap.protocol.holder import Holder, holder_in_words

KEY = "/clusterup/lock"
LEASE_SECONDS = 30
GIVE_UP_SECONDS = 300.0
"""How long the holder waits for an etcd that does not answer, before it takes the lock for lost."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What keys can be bound to: etcd removes them when no one has kept it alive for `seconds` (as etcd granted)."""

    id: int
    seconds: int


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key that is there: its value, and the id of the lease that it is bound to (0 for none)."""

    value: bytes
    lease: int


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody else holds the lock: who, and what ends it without them ("" where the kernel does)."""

    holder: str
    until: str = ""

    def __str__(self) -> str:
        return f"{self.holder}; {self.until}" if self.until else self.holder


@dataclass(frozen=True, slots=True)
class Lost:
    """Why the lock is no longer ours, or why no one can say whether it is; and what etcd says."""

    problem: str
    got: str | None


class Keys(Protocol):
    """What the lock asks of etcd. Where etcd does not answer, all of it raises what the lock was told to expect."""

    def entry(self, key: str) -> KeyValue | None:
        """A key with what it is bound to, read through the quorum."""

    def create(self, key: str, value: bytes, lease: Lease) -> KeyValue | None:
        """Write a key that is not there, in one transaction. None when it was written; what is there otherwise."""

    def grant(self, seconds: int) -> Lease:
        """A new lease."""

    def keep_alive(self, lease: Lease) -> int:
        """Begin the lease's time again: the seconds that it has now, 0 when it has ended."""

    def seconds_left(self, lease_id: int) -> int:
        """The seconds after which a lease ends that no one keeps alive, 0 when it has ended."""

    def revoke(self, lease: Lease) -> None:
        """End a lease, and the keys that are bound to it."""

    def close(self) -> None:
        """Let go of the connections."""


def stopwatch() -> float:
    """Seconds that pass while the machine is suspended, too, where the system counts them."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class LeaseLock:
    """The lock of one cluster, for one holder, once: `attempt` until it is taken, then `release`.

    `holder` says who takes it now. `keys` raises `silent` where etcd does not answer, and is closed by `release`.
    `lost` is called once, from a thread of the lock's own, when the lock is lost while it is held.
    """

    def __init__(
        self,
        keys: Keys,
        holder: Callable[[], Holder],
        *,
        silent: type[Exception],
        lost: Callable[[Lost], None],
        lease_seconds: int = LEASE_SECONDS,
        give_up: float = GIVE_UP_SECONDS,
    ) -> None:
        self._keys = keys
        self._holder = holder
        self._silent = silent
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
        """Take the lock, or say who holds it. Raises `silent` where etcd does not answer; it may have been taken all
        the same, which the next attempt finds."""
        busy = self._other_holder()
        if busy is not None:
            return busy
        began = stopwatch()
        lease = self._lease_to_offer()
        busy = self._created(lease)
        if busy is not None:
            self._offered = None
            # Where this fails the lease, which holds no key, ends by itself.
            with suppress(self._silent):
                self._keys.revoke(lease)
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
        """Give the lock back. Raises `silent` where etcd does not answer: it ends with its lease then."""
        self._ended.set()
        if self._keeper is not None:
            self._keeper.join()
        lease, self._lease = self._lease, None
        try:
            if lease is not None and stopwatch() < self._until:
                self._keys.revoke(lease)
        finally:
            self._keys.close()

    def _other_holder(self) -> Busy | None:
        there = self._keys.entry(KEY)
        if there is None or (self._offered is not None and there.lease == self._offered.id):
            return None
        return self._busy(there)

    def _lease_to_offer(self) -> Lease:
        """A lease with all its time before it: that of an attempt which failed, unless it has ended, or a new one."""
        if self._offered is not None and self._keys.keep_alive(self._offered) > 0:
            return self._offered
        self._offered = offered = self._keys.grant(self._lease_seconds)
        return offered

    def _created(self, lease: Lease) -> Busy | None:
        there = self._keys.create(KEY, self._holder().note(), lease)
        # Ours: the answer to an earlier transaction was lost.
        if there is None or there.lease == lease.id:
            return None
        return self._busy(there)

    def _busy(self, there: KeyValue) -> Busy:
        left = self._keys.seconds_left(there.lease)
        return Busy(holder_in_words(there.value), f"unless it is renewed, its lease ends within {left + 1} s")

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

    def _renewed(self, lease: Lease) -> Lost | None:
        try:
            return self._confirm(lease)
        except self._silent as error:
            silent = stopwatch() - self._confirmed
            if silent < self._give_up:
                return None
            return Lost(
                f"etcd has not answered for {silent:.0f} s: no one can say whose the cluster's lock is",
                getattr(error, "got", None) or str(error),
            )

    def _confirm(self, lease: Lease) -> Lost | None:
        asked = stopwatch()
        left = self._keys.keep_alive(lease)
        there = self._keys.entry(KEY)
        if there is not None and there.lease == lease.id and left > 0:
            self._confirmed, self._until = asked, asked + left
            return None
        why = "its key was removed" if left > 0 else "its lease ended before it could be renewed"
        now = f"now held by {holder_in_words(there.value)}" if there is not None else "no one holds it now"
        return Lost(f"the cluster's lock was lost: {why}", now)
