"""One operation at work on a cluster. It has the lock, the ways into the nodes, the journal and the cancellation, it is
told what happens, and knows the words with which to go on.

Each operation looks, plans and acts through it, and whoever asked for the operation says in between whether to go on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from bootstrap.connect.entry import Entry
from bootstrap.engine.cancellation import Cancellation
from bootstrap.engine.connections import Connections
from bootstrap.engine.events import Event, NodeSays, Observer, unobserved
from bootstrap.engine.logged import LoggedTransport
from bootstrap.engine.plan import Plan
from bootstrap.engine.run import Report, State, run_plan
from bootstrap.errors import ClusterupError, Interrupted, PartlyDone
from bootstrap.facts.model import ClusterFacts
from bootstrap.inventory.model import Inventory
from bootstrap.lock.guard import Guard
from bootstrap.operations.program import Program
from bootstrap.operations.recorded import Recording, recorded
from bootstrap.phases.prepared import Prepared
from bootstrap.state.cluster import ClusterState
from bootstrap.transport.base import Transport

IDLE_SECONDS = 60.0
"""How long a way into a node may go unused between looking and acting."""


@dataclass(frozen=True)
class Finished:
    """What came of a plan that was carried out; `unreachable` are the nodes that were left alone."""

    report: Report
    unreachable: Mapping[str, ClusterupError] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def complete(self) -> bool:
        """Whether all of it was done."""
        return all(outcome.state is State.DONE for outcome in self.report.outcomes)

    @property
    def exit_code(self) -> int:
        """As that of `clusterup apply`: 0 done, 1 failed, 3 partly done, also where nodes were not reached, 130
        interrupted."""
        return self.code_of_actions or (PartlyDone.exit_code if self.unreachable else 0)

    @property
    def code_of_actions(self) -> int:
        """The same of what was begun, whatever was not reached."""
        if self.interrupted:
            return Interrupted.exit_code
        if not self.report.of(State.FAILED):
            return 0
        return PartlyDone.exit_code if self.report.of(State.DONE) else ClusterupError.exit_code


class Session:
    """An operation on nodes that `entry` opens; `inventory` has all of them, also those that are to leave. `doing` is
    what others are told while it has the lock, `again` the command to go on with; `hold` is the lock, None for an
    operation that looks alone or whose machine no other operator has. Use it through `at_work`."""

    def __init__(
        self,
        program: Program,
        inventory: Inventory,
        state: ClusterState,
        entry: Entry,
        *,
        doing: str,
        again: str,
        hold: Guard | None = None,
        abort: threading.Event | None = None,
    ) -> None:
        self.program = program
        self.inventory = inventory
        self.state = state
        self.doing = doing
        self.again = again
        self.hold = hold
        self.connections = Connections(self._opened)
        own = Cancellation() if abort is None else Cancellation(abort=abort)
        self.cancellation = hold.cancellation if hold is not None else own
        self._entry = entry
        self._open = entry.looks(self._says)
        self._told: Observer = unobserved
        self._looked = time.monotonic()
        self._until_the_end = ExitStack()
        self._recording: Recording | None = None

    def looked(self, look: Callable[[Observer], ClusterFacts], prepare: Callable[[ClusterFacts], Prepared]) -> Prepared:
        """What is there and what would be done, without the cluster's lock: somebody else may be at work."""
        with self._shown():
            return prepare(look(self._observe))

    def prepared(
        self, look: Callable[[Observer], ClusterFacts], prepare: Callable[[ClusterFacts], Prepared]
    ) -> Prepared:
        """As `looked`; where there is something to do, planned under the cluster's lock, on facts that no other
        operation changes meanwhile. Raises Refused that says who is at work."""
        if self.hold is None:
            return self.looked(look, prepare)
        with self._shown():
            return self.hold.prepared(lambda: look(self._observe), prepare)

    def carry_out(
        self,
        plan: Plan[Any],
        unreachable: Mapping[str, ClusterupError] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Finished:
        """Do it, written down in the journal, and say what came of it; `cancellation` is the session's where none is
        given. Raises nothing for an action that fails, nor for a lock that is lost: see `raise_if_lost`."""
        away, cancellation = unreachable or {}, cancellation or self.cancellation
        if time.monotonic() - self._looked > IDLE_SECONDS:
            # A person took their time: a way that died meanwhile need not know it.
            self.connections.close_all()
        # No one watches from here on: what opens a node asks no more.
        self._open = self._entry.acts(self._says)
        recording = self._record(plan, away)
        with (
            self._shown(recording),
            self.program.stops(cancellation),
            self._entry.watches(self.doing),
        ):
            report = run_plan(
                plan,
                self.connections,
                observe=self._observe,
                parallel=self.program.parallel,
                cancellation=cancellation,
            )
            # Here Ctrl-C still ends nothing but the run.
            self.connections.close_all()
        ran = Finished(report, away, cancellation.interrupted.is_set())
        recording.exit_code = recording.exit_code or ran.exit_code
        return ran

    def raise_if_lost(self, ran: Finished) -> None:
        """Raise LockLost where the run was stopped because another machine may have the cluster's lock."""
        if self.hold is not None:
            self.hold.stop_if_lost(ran.report)

    @contextmanager
    def _shown(self, *also: Observer) -> Iterator[None]:
        """Who shows what happens is told of it for as long as the context lasts, and `also` before that."""
        with self.program.shows(self.inventory) as show:
            told = (*also, show)

            def observe(event: Event) -> None:
                for each in told:
                    each(event)

            self._told = observe
            try:
                yield
            finally:
                self._told = unobserved
                self._looked = time.monotonic()

    def _observe(self, event: Event) -> None:
        self._told(event)

    def _says(self, node: str, text: str) -> None:
        self._observe(NodeSays(node=node, text=text))

    def _opened(self, node: str) -> Transport:
        return LoggedTransport(self._open(node), self._observe)

    def _record(self, plan: Plan[Any], unreachable: Mapping[str, ClusterupError]) -> Recording:
        """Who writes down what happens: one run an operation, however many plans it carries out."""
        if self._recording is None:
            program = self.program
            run = recorded(self.state.journal, program.command, plan, unreachable, program.say)
            self._recording = self._until_the_end.enter_context(run)
        return self._recording

    @contextmanager
    def at_work(self) -> Iterator[Session]:
        """Close all ways at the end. How the context is left is how the run ended, in the journal."""
        with self._until_the_end:
            try:
                yield self
            finally:
                self.connections.close_all()
