"""Making the machines what the inventory says: look, plan, and, when whoever asked for it goes on, act."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bootstrap.connect.entry import over_consoles
from bootstrap.engine.events import Observer
from bootstrap.engine.lock import Patience, file_lock
from bootstrap.errors import BadUse, ClusterupError
from bootstrap.facts.model import ClusterFacts
from bootstrap.lock.guard import Guard, cluster_locked
from bootstrap.operations.intent import Intent
from bootstrap.operations.planning import look, prepare
from bootstrap.operations.program import Program
from bootstrap.operations.session import Finished, Session
from bootstrap.phases.preflight import BY_INVENTORY, Advice
from bootstrap.phases.prepared import Prepared
from bootstrap.state.membership import note_applied

Further = Callable[[ClusterFacts], Sequence[ClusterupError]]
# Nodes that an error names.
MOST_NAMED = 10


def require_nodes(intent: Intent, named: Collection[str]) -> None:
    """Raise BadUse for a name that no node of the inventory has."""
    if unknown := sorted(set(named) - {node.name for node in intent.everybody.nodes}):
        raise BadUse(
            f"there is no node {', '.join(unknown)}",
            step="plan",
            tried="look for it in the inventory",
            got=f"nodes: {', '.join(node.name for node in intent.everybody.nodes[:MOST_NAMED])}",
            hint="--wipe takes the name of a node of the inventory",
        )


@dataclass(frozen=True)
class Applying:
    """An apply that is at work on what `intent` says."""

    intent: Intent
    session: Session

    def prepared(
        self, wipe: frozenset[str] = frozenset(), advice: Advice = BY_INVENTORY, further: Further = lambda _: ()
    ) -> Prepared:
        """What is there, what speaks against going on, and what would be done. `wipe` are the nodes whose disks may be
        erased though they hold data, `further` says what else speaks against it. Raises Refused where another
        operation is at work on the cluster."""
        intent, session = self.intent, self.session
        require_nodes(intent, wipe)

        def seen(observe: Observer) -> ClusterFacts:
            return look(intent, session.connections, parallel=session.program.parallel, observe=observe)

        def planned(world: ClusterFacts) -> Prepared:
            founded = session.hold.founded if session.hold is not None else None
            found = prepare(intent, world, wipe=wipe, founded=founded, advice=advice)
            return replace(found, problems=(*found.problems, *further(world)))

        return session.prepared(seen, planned)

    def carry_out(self, prepared: Prepared) -> Finished | None:
        """Do what was prepared; None where there was nothing to do."""
        note_applied(self.intent.state, self.intent.inventory.nodes)
        return None if prepared.plan.empty else self.act(prepared)

    def act(self, prepared: Prepared) -> Finished:
        """As `carry_out`, where who belongs to the cluster is written down already."""
        return self.session.carry_out(prepared.plan, prepared.world.unreachable)


@contextmanager
def looking(intent: Intent, program: Program) -> Iterator[Applying]:
    """Look at the machines alone: no lock is taken, and nothing is written."""
    with _session(intent, program, "plan", "", None).at_work() as session:
        yield Applying(intent, session)


@contextmanager
def applying(
    read: Callable[[], Intent], program: Program, patience: Patience, *, doing: str, again: str
) -> Iterator[Applying]:
    """Have the cluster to oneself, and apply what `read` says. Raises Refused that says who is at work when patience is
    at its end."""
    with file_lock(read().state.lock, doing, patience):
        # Whoever was at work before may have made keys, or forgotten them: what was read before that does not count.
        intent = read()
        with (
            cluster_locked(intent, doing, patience) as hold,
            _session(intent, program, doing, again, hold).at_work() as session,
        ):
            yield Applying(intent, session)


def _session(intent: Intent, program: Program, doing: str, again: str, hold: Guard | None) -> Session:
    everybody = intent.everybody
    entry = over_consoles(everybody, intent.inventory, intent.state, program.ask)
    return Session(program, everybody, intent.state, entry, doing=doing, again=again, hold=hold)
