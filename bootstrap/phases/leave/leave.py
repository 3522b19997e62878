"""The way out of the cluster of one node: pods elsewhere, out of etcd, its Node deleted, its machine cleaned or wiped.

Each action looks whether it is still to be done, so that an interrupted departure goes on from what is true by then.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.tunnel import ApiServers, ask_api
from bootstrap.constants.objects import LEAVING_ANNOTATION
from bootstrap.constants.paths import BOOTSTRAP_CONF, ETCD_BIRTH, HANDOVER, KUBELET_CERTIFICATE
from bootstrap.engine.action import Action, Context
from bootstrap.facts.model import NodeFacts, World
from bootstrap.facts.node import Wanted
from bootstrap.inventory.model import Role
from bootstrap.locks import waiting_lock
from bootstrap.phases.leave.checks import Leaving, arithmetic, fate_of, one_by_one
from bootstrap.phases.leave.commands import stop_units
from bootstrap.phases.leave.drain import counted, delete_pods, drain
from bootstrap.phases.leave.etcd import leave_etcd
from bootstrap.phases.reset.reset import clean_node, is_clean, wipe_node
from bootstrap.phases.rolling import RESTARTING
from bootstrap.state.cluster import INSTALLED, LIVE, ClusterState
from bootstrap.state.membership import Disk, Pods, note_left

KUBELET = ("clusterup-network.service", "kube-proxy.service", "kubelet.service")
TRACES = (KUBELET_CERTIFICATE, BOOTSTRAP_CONF, ETCD_BIRTH, HANDOVER)
"""Files that are on a node while it is, or was, a part of a cluster."""
LEAVING_WANTED = Wanted(files=TRACES, units=("etcd.service", "kube-apiserver.service", "kubelet.service"))
STOP_SECONDS = 180.0
FORGET = "leave.forget"


def leave_actions(
    leaving: Sequence[Leaving], servers: ApiServers, state: ClusterState, world: World
) -> list[Action[World]]:
    """The actions of all nodes that leave; `servers` are those that stay."""
    left = arithmetic(leaving, world)
    actions: list[Action[World]] = []
    before: tuple[str, ...] = ()
    for each in one_by_one(leaving, world):
        counts = str(left[each.name]) if each.name in left else "it has no vote"
        actions += (
            _after(action, before) if action.id.endswith("leave.etcd") else action
            for action in _actions(each, servers, state, world, counts)
        )
        if each.member(world) is not None:
            # The arithmetic is that of one after the other.
            before = (f"{each.name}/leave.etcd",)
    return actions


def around_those_who_leave(
    leave: Sequence[Action[World]], stay: Sequence[Action[World]], leaving: Sequence[Leaving], world: World
) -> list[Action[World]]:
    """The actions of those who leave, and of those who stay.

    What restarts something on a node that stays waits until the servers among those who leave have left, as one change
    of the quorum at a time is enough; the handover files until all have, as whoever adopts a cluster has to hear of
    those who have not. Nobody is forgotten before the others are mended: until then the same command goes on.
    """
    quorum = tuple(f"{each.name}/leave.node" for each in leaving if is_server(each, world))
    everybody = tuple(f"{each.name}/leave.node" for each in leaving)
    waits = {**dict.fromkeys(RESTARTING, quorum), "handover": everybody}
    last = tuple(action.id for action in stay)

    def step(action: Action[World]) -> str:
        return action.id.partition("/")[2]

    return [
        *(_after(action, last) if step(action) == FORGET else action for action in leave),
        *(_after(action, waits.get(step(action), ())) for action in stay),
    ]


def _after(action: Action[World], others: tuple[str, ...]) -> Action[World]:
    return dataclasses.replace(action, needs=(*action.needs, *others)) if others else action


def is_server(each: Leaving, world: World) -> bool:
    """Whether it is, or was to be, a member of etcd."""
    return each.member(world) is not None or (each.entry is not None and each.entry.role is Role.SERVER)


def _actions(each: Leaving, servers: ApiServers, state: ClusterState, world: World, counts: str) -> list[Action[World]]:
    name, facts = each.name, world.leaving.get(each.name)
    pods = world.api.pods.get(name, ()) if world.api else ()
    others = [other for other in world.leaving if other != name]
    reached = (name,) if facts is not None and facts.kind == "installed" else ()

    def action(
        step: str,
        title: str,
        check: Callable[[World], str | None],
        apply: Callable[[Context], None],
        *needs: str,
        exclusive: str | None = None,
    ) -> Action[World]:
        needed = tuple(f"{name}/{need}" for need in needs)
        return Action(f"{name}/{step}", name, "leave", title, check, apply, needs=needed, exclusive=exclusive)

    step, do = ("leave.wipe", wipe_node) if each.manner.disk is Disk.WIPE else ("leave.clean", clean_node)
    return [
        action(
            "leave.cordon",
            "start no more pods on it",
            lambda world: _cordon_reason(each, world),
            lambda context: _cordon(context, name, servers),
        ),
        action(
            "leave.drain",
            f"move its pods elsewhere ({counted(len(pods))} now)",
            lambda world: _drain_reason(each, world),
            lambda context: _move_pods(context, each, servers, world),
            "leave.cordon",
        ),
        action(
            "leave.etcd",
            f"take its member out of etcd: {counts}",
            lambda world: "it is a member of etcd" if each.member(world) is not None else None,
            lambda context: leave_etcd(context, each.leaver, (*servers.names, *others), servers.keys, reached),
            "leave.drain",
            # As everything that changes the membership or restarts a member.
            exclusive="etcd",
        ),
        action(
            "leave.node",
            "stop its kubelet and delete its Node" if reached else "delete its Node",
            lambda world: "the cluster has a Node of its name" if each.has_node(world) else None,
            lambda context: _delete(context, name, servers, reached),
            "leave.etcd",
        ),
        action(
            step,
            fate_of(each, world),
            lambda world: _machine_reason(each, world, state.cluster_id),
            lambda context: do(context, name),
            "leave.node",
        ),
        action(
            FORGET,
            "forget its keys and its entry on this machine",
            lambda _: each.why,
            lambda context: _forget(each, state, facts),
            step,
        ),
    ]


def _cordon_reason(each: Leaving, world: World) -> str | None:
    return each.why if each.has_node(world) and not _cordoned(each, world) else None


def _cordoned(each: Leaving, world: World) -> bool:
    found = world.api.objects.get(f"Node/{each.name}", {}) if world.api else {}
    said = found.get("metadata", {}).get("annotations") or {}
    return LEAVING_ANNOTATION in said and bool(found.get("spec", {}).get("unschedulable"))


def _drain_reason(each: Leaving, world: World) -> str | None:
    if not each.has_node(world) or world.api is None:
        return None
    pods = world.api.pods.get(each.name, ())
    if each.lost(world):
        # Without a word they go with the Node: the cluster deletes what is bound to none.
        return f"nobody ends {counted(len(pods))} of a dead machine" if pods and _forced(each) else None
    if pods:
        return f"{counted(len(pods))} would end with it"
    return None if _cordoned(each, world) else "pods may be started on it until then"


def _machine_reason(each: Leaving, world: World, cluster_id: str) -> str | None:
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


def _move_pods(context: Context, each: Leaving, servers: ApiServers, world: World) -> None:
    if each.lost(world):
        delete_pods(context, each.name, servers)
    else:
        drain(context, each.name, servers, each.manner.pods, each.manner.drain_seconds)


def _delete(context: Context, name: str, servers: ApiServers, reached: tuple[str, ...]) -> None:
    """Delete the Node. A kubelet that runs would make it anew when it is restarted: it ends first."""
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
