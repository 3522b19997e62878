"""Joining a machine as a server, at work: look, use the token up, apply; and take a learner back where that failed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bootstrap.connect.entry import over_consoles
from bootstrap.engine.cancellation import Cancellation
from bootstrap.engine.lock import Patience
from bootstrap.engine.plan import make_plan
from bootstrap.engine.run import State
from bootstrap.errors import ClusterupError
from bootstrap.facts.model import ClusterFacts
from bootstrap.image.bundle import Bundle
from bootstrap.joining.discovery import Discovered
from bootstrap.joining.preflight import ADVICE
from bootstrap.joining.server import Prospect, claim, keep, kept_state_locked, state_to_look_with
from bootstrap.joining.server_preflight import check_same_bundle, server_problems
from bootstrap.lock.guard import Guard, locked
from bootstrap.operations.apply import Applying
from bootstrap.operations.intent import Intent, intent_of
from bootstrap.operations.program import Program
from bootstrap.operations.session import Session
from bootstrap.phases.kubeconfig import kubeconfig_beside
from bootstrap.phases.leave.undo import TakenBack, take_back_action
from bootstrap.phases.prepared import Prepared
from bootstrap.state.cluster import ClusterState, cluster_state


@dataclass(frozen=True)
class ServerJoin:
    """A machine that is to be a server, with what this machine has of the bundle."""

    cluster: Discovered
    prospect: Prospect
    bundle: Bundle
    wipe: frozenset[str] = frozenset()

    @property
    def doing(self) -> str:
        """What others are told meanwhile."""
        return f"join {self.prospect.node.name}"

    @property
    def again(self) -> str:
        """The command that goes on, once the token is used up."""
        return f"clusterup apply {shlex.quote(str(self.prospect.place))}"

    @property
    def back(self) -> str:
        """The command that takes it back."""
        return f"clusterup remove {self.prospect.node.name} {shlex.quote(str(self.prospect.place))}"

    def intent(self, state: ClusterState) -> Intent:
        """The cluster with the server in it."""
        written = self.prospect.written
        kubeconfig = kubeconfig_beside(self.prospect.place, self.prospect.cluster)
        return intent_of(
            written.inventory, state, self.bundle, kubeconfig, written=written.content, places=written.places
        )


@dataclass(frozen=True)
class ServerLook:
    """A look at the machine and at the cluster, before the token is used up."""

    join: ServerJoin
    applying: Applying
    state: ClusterState

    def prepared(self) -> Prepared:
        """What is there, what speaks against going on, and what would be done."""
        applying = self.applying

        def further(world: ClusterFacts) -> list[ClusterupError]:
            return server_problems(self.join.prospect, applying.intent, world, applying.session.connections)

        return applying.prepared(self.join.wipe, ADVICE, further)

    def use_token(self) -> None:
        """Use the token up, and keep here what it opened. Raises Refused where somebody else has used it."""
        claim(self.join.prospect, self.join.cluster, self.applying.intent.keys)
        keep(self.join.prospect, self.state)


@contextmanager
def looking_at_server(join: ServerJoin, program: Program, patience: Patience) -> Iterator[ServerLook]:
    """Look alone: the token is not used up, and nothing is written. Raises Refused for another bundle than the
    cluster's."""
    check_same_bundle(join.prospect.found.handover, join.bundle)
    with (
        state_to_look_with(join.prospect, patience) as state,
        _at_work(join, program, join.intent(state), None) as applying,
    ):
        yield ServerLook(join, applying, state)


@contextmanager
def claiming_server(join: ServerJoin, program: Program, patience: Patience) -> Iterator[ServerLook]:
    """As `looking_at_server`, with the cluster to oneself: the token may be used up. Raises Refused that says who is at
    work when patience is at its end."""
    check_same_bundle(join.prospect.found.handover, join.bundle)
    with ExitStack() as stack:
        state = stack.enter_context(state_to_look_with(join.prospect, patience))
        stack.enter_context(kept_state_locked(join.prospect, patience))
        intent = join.intent(state)
        hold = stack.enter_context(locked(intent, join.doing, patience))
        yield ServerLook(join, stack.enter_context(_at_work(join, program, intent, hold)), state)


@contextmanager
def applying_server(join: ServerJoin, program: Program, patience: Patience) -> Iterator[Applying]:
    """What `clusterup apply` does with the inventory that has the server in it now."""
    intent = join.intent(cluster_state(join.prospect.cluster))
    with locked(intent, join.doing, patience) as hold, _at_work(join, program, intent, hold) as applying:
        yield applying


def take_back(join: ServerJoin, applying: Applying, world: ClusterFacts) -> tuple[list[ClusterupError], str]:
    """Take the learner out of etcd that a failed join has left: what went wrong with that, and how it stands."""
    prospect, told = join.prospect, TakenBack()
    name = prospect.node.name
    others = [server.name for server in prospect.present.networked_servers]
    plan = make_plan([take_back_action(prospect.node, others, applying.intent.keys, told)], world)
    # Whatever stopped the join does not stop this.
    failed = applying.session.carry_out(plan, cancellation=Cancellation()).report.of(State.FAILED)
    if failed:
        said = f"whether {name} is a learner in etcd is not known"
    elif told.removed:
        said = f"{name} was a learner in etcd without a vote: it was taken out again"
    elif told.votes:
        said = f"{name} has a vote in etcd and stays there"
    else:
        said = f"{name} did not get into etcd"
    return [outcome.error for outcome in failed if outcome.error is not None], said


@contextmanager
def _at_work(join: ServerJoin, program: Program, intent: Intent, hold: Guard | None) -> Iterator[Applying]:
    everybody, state = intent.everybody, intent.state
    entry = over_consoles(everybody, intent.inventory, state, program.ask)
    session = Session(program, everybody, state, entry, doing=join.doing, again=join.again, hold=hold)
    with session.at_work():
        yield Applying(intent, session)
