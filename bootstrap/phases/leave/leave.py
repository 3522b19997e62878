"""The way out of the cluster of one node: pods elsewhere, out of etcd, its Node deleted, its machine cleaned or wiped.

Each action looks whether it is still to be done, so that an interrupted departure goes on from what is true by then.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.tunnel import ApiServers, ask_api
from bootstrap.constants.objects import LEAVING_ANNOTATION
from bootstrap.constants.paths import BOOTSTRAP_CONF, ETCD_BIRTH, HANDOVER, KUBELET_CERTIFICATE
from bootstrap.engine.action import Action, Context
from bootstrap.facts.model import ClusterFacts, NodeFacts
from bootstrap.facts.node import Wanted
from bootstrap.inventory.model import Role
from bootstrap.locks import waiting_lock
from bootstrap.phases.deploy.commands import stop_units
from bootstrap.phases.leave.checks import Leaving, arithmetic, fate_of, one_by_one
from bootstrap.phases.leave.drain import counted, delete_pods, drain
from bootstrap.phases.leave.etcd import leave_etcd
from bootstrap.phases.reset.reset import clean_node, is_clean, wipe_node
from bootstrap.state.cluster import INSTALLED, LIVE, ClusterState
from bootstrap.state.membership import Disk, Pods, note_left

KUBELET = ("clusterup-network.service", "kube-proxy.service", "kubelet.service")
TRACES = (KUBELET_CERTIFICATE, BOOTSTRAP_CONF, ETCD_BIRTH, HANDOVER)
"""Files that are on a node while it is, or was, a part of a cluster."""
LEAVING_WANTED = Wanted(files=TRACES, units=("etcd.service", "kube-apiserver.service", "kubelet.service"))
STOP_SECONDS = 180.0


@dataclass(frozen=True)
class Departure:
    """The actions of those who leave: what makes them leave, and what forgets them here when all else is done."""

    leave: tuple[Action[ClusterFacts], ...]
    forget: tuple[Action[ClusterFacts], ...]


def departure(
    leaving: Sequence[Leaving], servers: ApiServers, state: ClusterState, world: ClusterFacts, opening: Sequence[str]
) -> Departure:
    """The actions of all nodes that leave; `servers` are those that stay. Before pods are moved, the actions `opening`
    give them a place."""
    left = arithmetic(leaving, world)
    leave: list[Action[ClusterFacts]] = []
    forget: list[Action[ClusterFacts]] = []
    before: tuple[str, ...] = ()
    for each in one_by_one(leaving, world):
        counts = str(left[each.name]) if each.name in left else "it has no vote"
        leave += _actions(each, servers, state, world, counts=counts, before=(tuple(opening), before))
        forget.append(_forgetting(each, state, world))
        if each.member(world) is not None:
            # The arithmetic is that of one after the other.
            before = (_out_of_etcd(each.name),)
    return Departure(tuple(leave), tuple(forget))


def gone(leaving: Sequence[Leaving]) -> tuple[str, ...]:
    """The actions after which those who leave are not nodes of the cluster any more."""
    return tuple(_without_node(each.name) for each in leaving)


def around_those_who_leave(
    going: Departure, stay: Sequence[Action[ClusterFacts]], leaving: Sequence[Leaving], world: ClusterFacts
) -> list[Action[ClusterFacts]]:
    """The actions of those who leave, and of those who stay.

    What restarts something on a node that stays waits until the servers among those who leave have left, as one change
    of the quorum at a time is enough. No one is forgotten before the others are as they should be: until then the same
    command goes on.
    """
    quorum = gone([each for each in leaving if is_server(each, world)])
    last = tuple(action.id for action in stay)
    return [
        *going.leave,
        *(_after(action, last) for action in going.forget),
        *(_after(action, quorum) if action.restarts else action for action in stay),
    ]


def _after(action: Action[ClusterFacts], others: tuple[str, ...]) -> Action[ClusterFacts]:
    return dataclasses.replace(action, needs=(*action.needs, *others)) if others else action


def _out_of_etcd(node: str) -> str:
    return f"{node}/leave.etcd"


def _without_node(node: str) -> str:
    return f"{node}/leave.node"


def _of_the_machine(each: Leaving) -> str:
    """The id of what becomes of its machine."""
    return f"{each.name}/leave.{'wipe' if each.manner.disk is Disk.WIPE else 'clean'}"


def is_server(each: Leaving, world: ClusterFacts) -> bool:
    """Whether it is, or was to be, a member of etcd."""
    return each.member(world) is not None or (each.entry is not None and each.entry.role is Role.SERVER)


def _actions(
    each: Leaving,
    servers: ApiServers,
    state: ClusterState,
    world: ClusterFacts,
    *,
    counts: str,
    before: tuple[tuple[str, ...], tuple[str, ...]],
) -> list[Action[ClusterFacts]]:
    """What makes a node leave; `before` are the actions that come before its pods are moved, and before its member is
    taken out of etcd."""
    name, facts = each.name, world.leaving.get(each.name)
    pods = world.api.pods.get(name, ()) if world.api else ()
    others = [other for other in world.leaving if other != name]
    reached = (name,) if facts is not None and facts.kind == "installed" else ()
    cordon, drained, etcd, node = f"{name}/leave.cordon", f"{name}/leave.drain", _out_of_etcd(name), _without_node(name)
    make = partial(Action[ClusterFacts], node=name, step="leave")
    return [
        make(
            cordon,
            title="start no more pods on it",
            check=lambda world: _cordon_reason(each, world),
            apply=lambda context: _cordon(context, name, servers),
        ),
        make(
            drained,
            title=f"move its pods elsewhere ({counted(len(pods))} now)",
            check=lambda world: _drain_reason(each, world),
            apply=lambda context: _move_pods(context, each, servers, world),
            needs=(cordon, *before[0]),
        ),
        make(
            etcd,
            title=f"take its member out of etcd: {counts}",
            check=lambda world: "it is a member of etcd" if each.member(world) is not None else None,
            apply=lambda context: leave_etcd(context, each.leaver, (*servers.names, *others), servers.keys, reached),
            needs=(drained, *before[1]),
            # As everything that changes the membership or restarts a member.
            exclusive="etcd",
        ),
        make(
            node,
            title="stop its kubelet and delete its Node" if reached else "delete its Node",
            check=lambda world: "the cluster has a Node of its name" if each.has_node(world) else None,
            apply=lambda context: _delete(context, name, servers, reached),
            needs=(etcd,),
        ),
        make(
            _of_the_machine(each),
            title=fate_of(each, world),
            check=lambda world: _machine_reason(each, world, state.cluster_id),
            apply=lambda context: (wipe_node if each.manner.disk is Disk.WIPE else clean_node)(context, name),
            needs=(node,),
            erases="its disk" if each.manner.disk is Disk.WIPE else "",
        ),
    ]


def _forgetting(each: Leaving, state: ClusterState, world: ClusterFacts) -> Action[ClusterFacts]:
    """What forgets it here, when it has left."""
    return Action(
        f"{each.name}/leave.forget",
        each.name,
        "leave",
        "forget its keys and its entry on this machine",
        check=lambda _: each.why,
        apply=lambda _: _forget(each, state, world.leaving.get(each.name)),
        needs=(_of_the_machine(each),),
    )


def _cordon_reason(each: Leaving, world: ClusterFacts) -> str | None:
    return each.why if each.has_node(world) and not _cordoned(each, world) else None


def _cordoned(each: Leaving, world: ClusterFacts) -> bool:
    found = world.api.objects.get(f"Node/{each.name}", {}) if world.api else {}
    said = found.get("metadata", {}).get("annotations") or {}
    return LEAVING_ANNOTATION in said and bool(found.get("spec", {}).get("unschedulable"))


def _drain_reason(each: Leaving, world: ClusterFacts) -> str | None:
    if not each.has_node(world) or world.api is None:
        return None
    pods = world.api.pods.get(each.name, ())
    if each.lost(world):
        # Without a word they go with the Node: the cluster deletes what is bound to none.
        return f"no one ends {counted(len(pods))} of a dead machine" if pods and _forced(each) else None
    if pods:
        return f"{counted(len(pods))} would end with it"
    return None if _cordoned(each, world) else "pods may be started on it until then"


def _machine_reason(each: Leaving, world: ClusterFacts, cluster_id: str) -> str | None:
    """Why the machine has to be cleaned or wiped: it runs the micro OS of this cluster, and still is a node of it."""
    facts = world.leaving.get(each.name)
    if facts is None or facts.kind != "installed" or facts.cluster_id != cluster_id:
        return None
    if each.manner.disk is Disk.WIPE:
        return "the installed system is on it"
    return None if is_clean(facts) else "it carries what made it a node"


def _cordon(context: Context, name: str, servers: ApiServers) -> None:
    since = datetime.now(UTC).isoformat(timespec="seconds")
    patch = {"metadata": {"annotations": {LEAVING_ANNOTATION: since}}, "spec": {"unschedulable": True}}

    def cordoned(api: KubeClient) -> None:
        if api.get("Node", name) is not None:
            api.merge("Node", name, patch)

    ask_api(context, servers, cordoned, what=f"Node {name} to take no more pods")


def _forced(each: Leaving) -> bool:
    return each.manner.pods is Pods.DELETE


def _move_pods(context: Context, each: Leaving, servers: ApiServers, world: ClusterFacts) -> None:
    if each.lost(world):
        delete_pods(context, each.name, servers)
    else:
        drain(context, each.name, servers, each.manner.pods, each.manner.drain_seconds)


def _delete(context: Context, name: str, servers: ApiServers, reached: tuple[str, ...]) -> None:
    """Delete the Node. A kubelet that runs would make it again when it is restarted: it ends first."""
    for node in reached:
        context.on(node).check(stop_units(KUBELET), timeout=STOP_SECONDS)
    ask_api(context, servers, lambda api: api.delete("Node", name), what=f"the end of Node {name}")


def _forget(each: Leaving, state: ClusterState, facts: NodeFacts | None) -> None:
    """Forget what is kept of it. A machine that keeps its installed system shows its host key when it joins again: that
    stays; whatever else comes under its name is another machine."""
    with waiting_lock(state.keys_lock):
        shutil.rmtree(state.pki_folder / "nodes" / each.name, ignore_errors=True)
        if facts is None or facts.kind != "installed" or each.manner.disk is Disk.WIPE:
            for kind in (INSTALLED, LIVE):
                state.host_keys.forget(each.name, kind)
            state.forget_identity(each.name)
    note_left(state, each.name)
