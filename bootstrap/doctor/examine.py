"""A cluster looked at from every side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from bootstrap.doctor.findings import CLUSTER, HERE, Examined, Finding, of_error, warning, worst_first
from bootstrap.doctor.here import judged_here
from bootstrap.doctor.kubernetes import judged_api
from bootstrap.doctor.node import LOOKED_AT, Said, clocks, judged, read_health
from bootstrap.doctor.person import Person
from bootstrap.doctor.quorum import Wanted, judged_quorum
from bootstrap.engine.connections import Connections
from bootstrap.engine.events import unobserved
from bootstrap.engine.pool import asking
from bootstrap.errors import ClusterupError
from bootstrap.facts.model import ClusterFacts
from bootstrap.operations.intent import Intent
from bootstrap.operations.planning import look, prepare
from bootstrap.operations.status import ClusterStatus, status_of
from bootstrap.phases.etcd.votes import notes_of_votes
from bootstrap.phases.prepared import Prepared
from bootstrap.system_errors import as_error

# Of what a plan would do on a node, so many reasons are said.
MOST_REASONS = 3
HEALTH, WAY = "how it is", "the way into it"
PLAN = ("plan",)
OF_CLUSTER = ("etcd", "API servers", "Nodes", "releases", *PLAN)


def examined(intent: Intent, connections: Connections, person: Person, *, parallel: int, now: datetime) -> Examined:
    """Look at this machine, at every node and at the cluster, and say what is wrong. What does not answer, or in a way
    that nobody expects, is a finding, and keeps nothing else from being looked at. `now` is in UTC. Raises
    ClusterupError where the nodes can't be looked at at all."""
    world = look(intent, connections, parallel=parallel, observe=unobserved)
    installed = [name for name, facts in world.nodes.items() if facts.kind == "installed"]
    findings = [*_guarded(HERE, "keys", lambda: judged_here(intent, now)), *_not_reached(intent, world, person)]
    for name, said in _health_of(installed, connections, parallel).items():
        findings += (
            of_error(said, name, HEALTH) if isinstance(said, ClusterupError) else judged(name, said, person, now)
        )
    findings += clocks({name: world.nodes[name].skew for name in installed}, person)
    there = intent.state.founded or world.etcd is not None
    if there:
        findings += _guarded(CLUSTER, "etcd", lambda: _of_the_cluster(intent, world, connections, person, parallel))
    findings += _guarded(CLUSTER, "plan", lambda: _not_as_planned(prepare(intent, world, wipe=frozenset()), person))
    return Examined(
        worst_first(findings),
        (*_looked_at(world, installed), (CLUSTER, OF_CLUSTER if there else PLAN)),
        not world.anything_found,
    )


def _guarded(where: str, about: str, judge: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What is found; where that can't be done, that is the finding."""
    try:
        return list(judge())
    except Exception as error:
        return list(of_error(as_error(error, step="doctor"), where, about))


def _of_the_cluster(
    intent: Intent, world: ClusterFacts, connections: Connections, person: Person, parallel: int
) -> Iterator[Finding]:
    status = status_of(intent, world, connections, parallel=parallel)
    wanted = Wanted(intent.servers, intent.inventory.kubernetes.etcd_args)
    yield from judged_quorum(status, wanted, person)
    yield from judged_api(_of_installed(status, world), _nodes(world), person)
    for note in notes_of_votes(world):
        what, _, rest = note.partition(". ")
        yield warning(CLUSTER, "etcd", what, why=rest, mend=person.applies())


def _of_installed(status: ClusterStatus, world: ClusterFacts) -> ClusterStatus:
    """Without the API servers of machines that are not installed: a plan says what they wait for."""
    bare = {name for name, facts in world.nodes.items() if facts.kind != "installed"}
    return replace(status, api=tuple(server for server in status.api if server.node not in bare))


def _looked_at(world: ClusterFacts, installed: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield HERE, ("programs", "authorities")
    for name in world.seen:
        if name in installed:
            yield name, LOOKED_AT
        else:
            yield name, (WAY, *(("what it is",) if name in world.nodes else ()))


def _health_of(names: Sequence[str], connections: Connections, parallel: int) -> Mapping[str, Said | ClusterupError]:
    def ask(name: str) -> Said | ClusterupError:
        try:
            return read_health(connections.on(name))
        except Exception as error:
            return as_error(error, node=name, step="doctor")

    if not names:
        return {}
    with asking(min(parallel, len(names)), "doctor") as pool:
        return dict(zip(names, pool.map(ask, names), strict=True))


def _not_reached(intent: Intent, world: ClusterFacts, person: Person) -> Iterator[Finding]:
    for name, error in world.unreachable.items():
        console = intent.inventory.node(name).console
        if console.only or (console.url and not intent.state.was_installed(name)):
            yield warning(
                name,
                WAY,
                "it was not looked at: its console leads into it, and no network",
                why=error.problem,
                mend=f"{person.plans()} looks over its console",
            )
        else:
            yield from of_error(error, name, WAY)


def _nodes(world: ClusterFacts) -> Mapping[str, Mapping[str, object]]:
    listed = world.api.objects if world.api else {}
    return {key.removeprefix("Node/"): node for key, node in listed.items() if key.startswith("Node/")}


def _not_as_planned(prepared: Prepared, person: Person) -> Iterator[Finding]:
    """What keeps an apply from being done, and what one would do."""
    for problem in prepared.problems:
        yield from of_error(problem, CLUSTER, "plan")
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for item in prepared.plan.items:
        reasons[item.action.node or CLUSTER].append(f"{item.action.title}: {item.why}")
    for where, found in reasons.items():
        more = len(found) - MOST_REASONS
        yield warning(
            where,
            "plan",
            "it is not as the inventory says",
            why="; ".join(found[:MOST_REASONS]) + (f"; and {more} more" if more > 0 else ""),
            mend=f"{person.plans()} shows all of it, {person.applies()} mends it",
        )
