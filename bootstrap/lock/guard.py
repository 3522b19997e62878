"""That one apply is at work at a time: the lock beside the state for this machine, the cluster's own lock for all.

The cluster's lock is taken when there is something to do and etcd answers; facts are read again then, so that nothing
is planned on what another apply is changing. An apply that finds nothing to do takes none: it changes nothing, and what
it says is as true as what it would have said under the lock, namely of the moment in which it looked.

Where no etcd runs, there is no lock to take: on a cluster's very first apply, whose keys are on no other machine, or
when all servers are off. Then it is taken by the first action that brings etcd to answer, before anything that needs
etcd; whoever comes second fails there. Until then nothing keeps two apart but the lock beside the state and the note
that etcd was founded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from bootstrap.clients.etcd import EtcdClient, EtcdError
from bootstrap.clients.failover import AnyMember, Way
from bootstrap.clients.tunnel import etcd_at
from bootstrap.connect.ssh import opener
from bootstrap.constants.paths import ETCD_BIRTH
from bootstrap.engine.cancellation import Cancellation
from bootstrap.engine.lock import Patience, file_lock, wait_for_turn
from bootstrap.engine.run import Report, State
from bootstrap.errors import ClusterupError, Interrupted
from bootstrap.facts.model import ClusterFacts
from bootstrap.inventory.model import Inventory
from bootstrap.lock.lease import LockLost, cluster_lock
from bootstrap.phases.prepared import Prepared
from bootstrap.protocol.holder import Holder
from bootstrap.protocol.lease_lock import LEASE_SECONDS, Busy, LeaseLock
from bootstrap.state.cluster import ClusterState
from bootstrap.state.credentials import OperatorKeys
from bootstrap.transport.base import Transport

ANSWER_SECONDS = 30.0
"""How long etcd may take to answer before the work begins without its lock: another apply may be restarting it."""


class Guard:
    """One operation's hold on its cluster. `cancellation` is that of its run: it stops it when the cluster's lock is
    lost, and holds it for as long as no one can say whose that is.

    `doing` is what others are told; `way` makes the way to etcd on a server; `noted` is called when etcd answers that
    did not before. `lease_seconds` is how long a dead holder's lock lives on, `answer_seconds` how long etcd may take
    to answer before the work begins without its lock.
    """

    def __init__(
        self,
        inventory: Inventory,
        doing: str,
        patience: Patience,
        *,
        way: Callable[[str], Way],
        noted: Callable[[], None],
        lease_seconds: int = LEASE_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.cancellation = Cancellation(abort=patience.abort, hold=self._hold)
        self._cluster = inventory.cluster.name
        self._servers = tuple(server.name for server in inventory.networked_servers)
        self._doing = doing
        self._patience = patience
        self._way = way
        self._noted = noted
        self._lease_seconds = lease_seconds
        self._answer_seconds = answer_seconds
        self._guard = threading.Lock()
        self._lock: LeaseLock | None = None
        self._lost: LockLost | None = None
        self._held_up = False
        self._etcd_goes = False

    def prepared(self, look: Callable[[], ClusterFacts], prepare: Callable[[ClusterFacts], Prepared]) -> Prepared:
        """What is to be done, planned on facts that no other apply changes meanwhile.

        Raises Refused that says who is at work when patience is at its end, Interrupted when the wait is aborted.
        """
        first = prepare(look())
        running = [name for name in self._servers if etcd_runs(first.world, name)]
        if first.plan.empty or not running:
            return first
        self._servers = (*running, *(name for name in self._servers if name not in running))
        return prepare(look()) if self._claimed() else first

    def founded(self) -> None:
        """etcd answers that did not before: note it, and take the lock. Raises Refused when somebody else has it, and
        then nothing more is begun."""
        self._noted()
        with self._guard:
            if self._lock is not None:
                return
            lock = self._new_lock()
            at_once = Patience(abort=self.cancellation.abort, hint=self._patience.hint)
            try:
                wait_for_turn(self._patient(lock), at_once, self._doing)
            except ClusterupError as error:
                lock.release()
                self._stop(
                    LockLost("the cluster's lock could not be taken", step="lock", got=error.got, hint=error.hint)
                )
                raise
            self._lock = lock

    def outlive_etcd(self) -> None:
        """From here on nothing is stopped or held up for the lock's sake: the work itself ends the etcd that keeps it.
        It is kept for as long as that lives, so that no one else begins."""
        self._etcd_goes = True

    def stop_if_lost(self, report: Report) -> None:
        """Raise LockLost when the run was stopped for the lock's sake: exit code 3 where something was done, 1 where
        nothing was."""
        if self._lost is not None:
            if not report.of(State.DONE):
                self._lost.exit_code = ClusterupError.exit_code
            raise self._lost

    def give_back(self) -> None:
        """Let go of the cluster's lock. Where etcd does not answer, it ends with its lease."""
        with self._guard:
            lock, self._lock = self._lock, None
        if lock is None:
            return
        try:
            lock.release()
        except EtcdError:
            if not self._etcd_goes:
                self._patience.say(f"etcd does not answer: the lock ends by itself, within {self._lease_seconds} s")

    def _claimed(self) -> bool:
        """Take the cluster's lock; False where etcd does not answer."""
        lock = self._new_lock()
        try:
            wait_for_turn(self._patient(lock), self._patience, self._doing)
        except EtcdError as error:
            lock.release()
            self._patience.say(f"the cluster's lock can't be taken until etcd answers ({error.got})")
            return False
        except BaseException:
            lock.release()
            raise
        self._lock = lock
        return True

    def _patient(self, lock: LeaseLock) -> Callable[[], Busy | None]:
        """Attempts that bear with an etcd that does not answer for a while; for any time, when it has said before that
        somebody holds the lock."""
        end: float | None = None
        seen: Busy | None = None
        told = False

        def attempt() -> Busy | None:
            nonlocal seen, told, end
            while True:
                try:
                    seen = lock.attempt()
                    return seen
                except EtcdError:
                    if seen is not None:
                        return Busy(seen.holder, "etcd does not answer now")
                    # Counted from the first silence: on a slow machine that alone may take all of the time.
                    end = end or time.monotonic() + self._answer_seconds
                    if time.monotonic() >= end:
                        raise
                if not told:
                    self._patience.say(f"etcd does not answer: waiting up to {self._answer_seconds:.0f} s for it")
                    told = True
                if self.cancellation.abort.wait(1.0):
                    raise Interrupted("stopped while waiting for etcd", step="lock", hint=self._patience.hint)

        return attempt

    def _new_lock(self) -> LeaseLock:
        return cluster_lock(
            AnyMember([self._way(name) for name in self._servers]),
            lambda: Holder.now(self._doing, self._cluster),
            lost=self._stop,
            lease_seconds=self._lease_seconds,
        )

    def _stop(self, lost: LockLost) -> None:
        if self._etcd_goes:
            return
        self._lost = lost
        self.cancellation.interrupted.set()
        self._patience.say(f"{lost.problem}: nothing new is begun")

    def _hold(self) -> bool:
        unsure = not self._etcd_goes and self._lock is not None and not self._lock.sure() and self._lost is None
        if unsure != self._held_up:
            self._held_up = unsure
            self._patience.say(
                "etcd does not answer, so no one knows whose the cluster's lock is: nothing new is begun until it does"
                if unsure
                else "etcd answers again, the cluster's lock is still ours: going on"
            )
        return unsure


class Held(Protocol):
    """A cluster that somebody may be at work on: its inventory, its state, and what opens its etcd."""

    @property
    def inventory(self) -> Inventory: ...

    @property
    def state(self) -> ClusterState: ...

    @property
    def keys(self) -> OperatorKeys: ...


@contextmanager
def locked(intent: Held, doing: str, patience: Patience) -> Iterator[Guard]:
    """Be the only apply on this machine, and get what makes it the only one for the cluster. Raises Refused that says
    who is at work when patience is at its end."""
    with file_lock(intent.state.lock, doing, patience), cluster_locked(intent, doing, patience) as hold:
        yield hold


@contextmanager
def cluster_locked(intent: Held, doing: str, patience: Patience) -> Iterator[Guard]:
    """As `locked`, for whoever has the lock beside the state already."""
    open_node = opener(intent.inventory, intent.state, None)

    def way(server: str) -> Way:
        return Way(server, lambda: etcd_on(server, open_node, intent.keys))

    hold = Guard(intent.inventory, doing, patience, way=way, noted=intent.state.note_founded)
    try:
        yield hold
    finally:
        hold.give_back()


@contextmanager
def etcd_on(server: str, open_node: Callable[[str], Transport], keys: OperatorKeys) -> Iterator[EtcdClient]:
    """A client of etcd on a server over a connection of its own: no upload delays it, and a node that is opened again
    does not cut it off."""
    transport = open_node(server)
    try:
        with etcd_at(transport, keys) as client:
            yield client
    finally:
        transport.close()


def etcd_runs(world: ClusterFacts, server: str) -> bool:
    """Whether etcd runs on a server or is on its way, whatever it answers. Where it was never told who its members are
    it is neither: systemd only tries to start it, as on a server that was rebooted before it became a member."""
    facts = world.nodes.get(server)
    unit = facts.units.get("etcd.service") if facts else None
    if facts is None or unit is None or not (facts.etcd_data or ETCD_BIRTH in facts.files):
        return False
    return unit.active in ("active", "activating")
