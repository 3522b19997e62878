"""Taking a cluster apart, at work: see `bootstrap.operations.teardown` for what is done, and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bootstrap.connect.entry import over_ssh
from bootstrap.engine.events import Observer
from bootstrap.engine.lock import Patience
from bootstrap.errors import BadUse, ClusterupError, Refused
from bootstrap.facts.model import ClusterFacts
from bootstrap.inventory.load import read_inventory
from bootstrap.lock.guard import Guard, locked
from bootstrap.operations.program import Program
from bootstrap.operations.session import Finished, Session
from bootstrap.operations.teardown import Survey, Teardown, forget, plan_teardown, survey
from bootstrap.phases.kubeconfig import kubeconfig_beside
from bootstrap.phases.prepared import Prepared
from bootstrap.state.cluster import ClusterState, cluster_state
from bootstrap.state.damage import FROM_A_COPY, FROM_A_SERVER, lost
from bootstrap.state.joiner import require_operator


@dataclass(frozen=True)
class TeardownRequest:
    """What a person wants of it: `only` these nodes, or all; whether their disks are erased as well; and where apply
    wrote the kubeconfig (None: beside the inventory)."""

    only: tuple[str, ...] = ()
    wipe: bool = False
    kubeconfig: Path | None = None


def teardown_of(path: Path, asked: TeardownRequest) -> Teardown | None:
    """What is to be taken apart of the cluster whose inventory is at `path`; None where all of it was before, and
    nothing but its journal is kept here then. Raises BadUse for a node that the inventory does not have, Refused where
    nothing here leads into the cluster, ClusterupError where what led there is lost."""
    inventory = read_inventory(path).inventory
    name, names = inventory.cluster.name, [node.name for node in inventory.nodes]
    for node in asked.only:
        if node not in names:
            raise BadUse(f"the inventory has no node {node}", hint=f"its nodes: {', '.join(names)}")
    require_operator(name)
    state = cluster_state(name)
    if not state.known:
        if not state.forgotten:
            raise _nothing_leads_there(name, state)
        state.forget_all_but_the_journal()
        return None
    place = asked.kubeconfig or kubeconfig_beside(path, name)
    wipe = frozenset(asked.only or names) if asked.wipe else frozenset[str]()
    return Teardown(inventory, state, place, wipe, frozenset(asked.only))


def _nothing_leads_there(cluster: str, state: ClusterState) -> ClusterupError:
    if state.reached:
        return lost(state.ssh_key_file, FROM_A_SERVER if state.founded else FROM_A_COPY)
    return Refused(
        f"nothing on this machine leads into a cluster {cluster}",
        step="down",
        tried=f"look for its state in {state.folder}",
        got="none",
        hint="run this where it was made, or take it over from one of its servers first: clusterup adopt",
    )


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
