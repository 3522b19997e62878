"""One at a time: the cluster's lock, which operators take as well, taken by a server that joins by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from bootstrap.protocol.failure import Failure
from bootstrap.protocol.holder import Holder
from bootstrap.protocol.lease_lock import LEASE_SECONDS, Keys, LeaseLock, Lost

# Another server that joins may take so long on a slow machine, from its etcd's start to its API server's readiness.
WAIT_SECONDS = 7200.0
GIVE_UP_SECONDS = 900.0
EVERY_SECONDS = 2.0


@contextmanager
def turn(etcd: Keys, doing: str, say: Callable[[str], object]) -> Iterator[Callable[[], None]]:
    """Hold the cluster's lock; what is yielded raises Failure once it is lost. Raises Failure that says who holds it
    after two hours, and where etcd does not answer."""
    lost: list[Lost] = []
    lock = LeaseLock(
        etcd,
        lambda: Holder.now(doing),
        silent=Failure,
        lost=lost.append,
        lease_seconds=LEASE_SECONDS,
        # It is in the middle of becoming a member, for which etcd may be silent for a while.
        give_up=GIVE_UP_SECONDS,
    )

    def still_ours() -> None:
        for why in lost:
            raise Failure(
                f"{why.problem}; somebody else may be at work on it",
                tried="keep its lease alive",
                got=why.got or "",
                hint="the same command goes on from what is true",
                passing=True,
            )

    try:
        wait_for(lock, say)
        yield still_ours
    finally:
        # Where this fails it ends by itself.
        with suppress(Failure):
            lock.release()


def wait_for(lock: LeaseLock, say: Callable[[str], object]) -> None:
    """Take the lock, told for whom it is waited. Raises Failure as `turn` does."""
    told = ""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            busy = lock.attempt()
        except Failure as failure:
            # A slow machine, or another leader: it was told before that somebody holds it, and waits for that.
            if not told or not failure.passing or time.monotonic() >= end:
                raise
            time.sleep(EVERY_SECONDS)
            continue
        if busy is None:
            return
        if time.monotonic() >= end:
            raise Failure(
                "another clusterup is at work on this cluster",
                tried=f"take the cluster's lock, for {WAIT_SECONDS:.0f} s",
                got=str(busy),
                hint="the same command goes on when it has ended",
                passing=True,
            )
        if busy.holder != told:
            say(f"waiting for the cluster's lock, held by {busy.holder}")
            told = busy.holder
        time.sleep(EVERY_SECONDS)
