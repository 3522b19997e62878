"""Joining a machine as an agent, at work: look, plan, and, when whoever asked for it goes on, act."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from bootstrap.connect.entry import over_ssh
from bootstrap.engine.events import Observer
from bootstrap.engine.lock import Patience, file_lock
from bootstrap.facts.model import ClusterFacts
from bootstrap.joining.node import Joining
from bootstrap.joining.plan import look_at, prepare_join
from bootstrap.operations.program import Program
from bootstrap.operations.session import Finished, Session
from bootstrap.phases.prepared import Prepared
from bootstrap.transport.hostkeys import PassingHostKeys

VOUCH = "then: --host-key '{}'"
AGAIN = "the same command: it goes on from what is true by then"


@dataclass(frozen=True)
class AgentJoin:
    """A join that is at work on a machine."""

    joining: Joining
    session: Session

    def prepared(self, *, wipe: bool) -> Prepared:
        """What the machine is, what speaks against going on, and what would be done."""
        joining, connections = self.joining, self.session.connections

        def seen(observe: Observer) -> ClusterFacts:
            return look_at(joining, connections, observe)

        return self.session.looked(seen, lambda world: prepare_join(joining, world, connections, wipe=wipe))

    def carry_out(self, prepared: Prepared) -> Finished | None:
        """Do what was prepared; None where there was nothing to do."""
        if prepared.plan.empty:
            return None
        self.joining.state.keep_made()
        return self.session.carry_out(prepared.plan)


@contextmanager
def looking_at_agent(joining: Joining, program: Program) -> Iterator[AgentJoin]:
    """Look at the machine alone: nothing is written, not even which host key a person believes for a look."""
    passing = replace(joining, state=replace(joining.state, pins=PassingHostKeys))
    with _session(passing, program, None).at_work() as session:
        yield AgentJoin(passing, session)


@contextmanager
def joining_agent(joining: Joining, program: Program, patience: Patience) -> Iterator[AgentJoin]:
    """Have what is kept here of the cluster to oneself. Raises Refused that says who is at work when patience is at its
    end."""
    with file_lock(joining.state.lock, f"join {joining.node.name}", patience):
        if joining.state.vault.overtaken:
            # Whoever joined a machine before has made the key that was missing here.
            joining = replace(joining, state=replace(joining.state))
        with _session(joining, program, patience).at_work() as session:
            yield AgentJoin(joining, session)


def _session(joining: Joining, program: Program, patience: Patience | None) -> Session:
    return Session(
        program,
        joining.inventory,
        joining.state,
        over_ssh(joining.inventory, joining.state, program.ask, VOUCH),
        doing=f"join {joining.node.name}",
        again=AGAIN,
        abort=patience.abort if patience is not None else None,
    )
