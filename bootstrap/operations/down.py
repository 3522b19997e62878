"""Taking a cluster apart, at work: see `bootstrap.operations.teardown` for what is done, and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bootstrap.connect.entry import over_ssh
from bootstrap.engine.events import Observer
from bootstrap.engine.lock import Patience
from bootstrap.facts.model import ClusterFacts
from bootstrap.lock.guard import Guard, locked
from bootstrap.operations.program import Program
from bootstrap.operations.session import Finished, Session
from bootstrap.operations.teardown import Survey, Teardown, forget, plan_teardown, survey
from bootstrap.phases.prepared import Prepared


@dataclass
class TakingApart:
    """What is at work on a teardown; `seen` is what was found last."""

    told: Teardown
    session: Session
    hold: Guard
    seen: Survey = field(init=False)

    def prepared(self) -> Prepared:
        """What is there and what would be done, under the cluster's lock where its etcd answers."""
        told, session = self.told, self.session

        def seen(observe: Observer) -> ClusterFacts:
            self.seen = survey(told, session.connections, parallel=session.program.parallel, observe=observe)
            return self.seen.world

        def planned(_: ClusterFacts) -> Prepared:
            return plan_teardown(told, self.seen)

        # Single nodes are not part of the cluster whose lock it is, and a cluster without keys can't be asked for it.
        prepared = session.looked if told.only or not told.has_keys else session.prepared
        return prepared(seen, planned)

    def carry_out(self, prepared: Prepared) -> Finished | None:
        """Do what was prepared; None where there was nothing to do."""
        if prepared.plan.empty:
            return None
        if not self.told.only:
            self.told.state.note_ending()
        # etcd goes with the rest: neither its end nor its silence may keep anything from being done.
        self.hold.outlive_etcd()
        return self.session.carry_out(prepared.plan, prepared.world.unreachable)

    def forget(self, ran: Finished | None) -> list[str]:
        """Forget what has become of no use, and say what."""
        return list(forget(self.told, ran.report if ran else None, self.seen))


@contextmanager
def taking_apart(
    told: Teardown, program: Program, patience: Patience, *, doing: str, again: str
) -> Iterator[TakingApart]:
    """Have the cluster to oneself, to take it apart. Raises Refused that says who is at work when patience is at its
    end."""
    with locked(told, doing, patience) as hold:
        entry = over_ssh(told.inventory, told.state, program.ask)
        session = Session(program, told.inventory, told.state, entry, doing=doing, again=again, hold=hold)
        with session.at_work():
            yield TakingApart(told, session, hold)
