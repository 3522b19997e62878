"""From an inventory to a plan: what is looked at, what speaks against it, what would be done."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from bootstrap.clients.tunnel import ApiServers, load_clients
from bootstrap.connect.console_target import console_target
from bootstrap.engine.action import Action
from bootstrap.engine.connections import Connections
from bootstrap.engine.events import Observer
from bootstrap.engine.gather import gather
from bootstrap.engine.plan import Plan, make_plan
from bootstrap.engine.pool import asking
from bootstrap.errors import ClusterupError, Refused
from bootstrap.facts.cluster import (
    all_seen,
    reached,
    read_api,
    read_etcd,
    read_manifests,
    read_pods_and_volumes,
    read_well,
)
from bootstrap.facts.model import ClusterFacts
from bootstrap.facts.node import read_node
from bootstrap.facts.votes import forgotten_votes
from bootstrap.image.bundle import Bundle
from bootstrap.image.disk.configuration import EtcFile
from bootstrap.image.files import verify_bundle
from bootstrap.image.signing import check_signed
from bootstrap.operations.connections import kept_open
from bootstrap.operations.intent import Intent
from bootstrap.phases.control_plane import control_plane_actions, object_actions
from bootstrap.phases.deploy.deploy import deploy_actions
from bootstrap.phases.etcd.membership import Quorum, etcd_actions, founder_of, waiting_for_learners
from bootstrap.phases.etcd.votes import votes_action
from bootstrap.phases.handover import handover_actions
from bootstrap.phases.install.install import Installation, disks_written, install_actions, not_what_was_installed
from bootstrap.phases.keys import ID as KEYS
from bootstrap.phases.keys import keys_action
from bootstrap.phases.kubeconfig import kubeconfig_actions
from bootstrap.phases.kubelet import join_actions
from bootstrap.phases.leave.checks import leave_problems
from bootstrap.phases.leave.leave import LEAVING_WANTED, around_those_who_leave, departure, gone
from bootstrap.phases.manifests import manifest_actions
from bootstrap.phases.names import name_problems
from bootstrap.phases.node_metadata import labelled, node_actions
from bootstrap.phases.pinned import pin_problems, version_problems
from bootstrap.phases.preflight import BY_INVENTORY, Advice, preflight
from bootstrap.phases.prepared import Prepared
from bootstrap.phases.reset.leftovers import left_over, other_authority
from bootstrap.phases.rolling import one_after_the_other, serving
from bootstrap.phases.scheduling import before_labels, for_now, taking_pods_again
from bootstrap.phases.volumes import disk_actions, disk_problems, volume_problems
from bootstrap.spec.os_config import node_etc
from bootstrap.state.cluster import INSTALLED


def look(intent: Intent, connections: Connections, *, parallel: int, observe: Observer) -> ClusterFacts:
    """Read the facts of every node at once, then those of etcd and of the API. Nodes that can't be reached are in the
    world's `unreachable`, or in `away` where they are to leave."""
    names = [node.name for node in intent.inventory.nodes]
    leaving = [each.name for each in intent.leaving if each.entry is not None]
    wanted = {name: desired.wanted for name, desired in intent.nodes.items()} | dict.fromkeys(leaving, LEAVING_WANTED)
    with asking(1, "clients") as beside:
        if intent.servers:
            beside.submit(load_clients)
        found = gather(
            [*names, *leaving],
            lambda way: read_node(way, wanted[way.node]),
            connections,
            parallel=parallel,
            observe=observe,
            # More is asked of servers than their facts: what etcd and the API servers say.
            keep=kept_open(intent.everybody, [*intent.servers, *leaving]),
        )
    nodes = {name: found.values[name] for name in names if name in found.values}
    with asking(2, "cluster") as pool:
        etcd = pool.submit(read_etcd, nodes, intent.servers, connections, intent.keys)
        api = pool.submit(read_api, nodes, intent.servers, connections, intent.keys, intent.objects)
        going = [each.name for each in intent.leaving]
        members = [*intent.servers, *(name for name in leaving if name in found.values)]
        well = pool.submit(read_well, found.values, members, connections, intent.keys) if going else None
        there = (
            pool.submit(read_pods_and_volumes, nodes, intent.servers, connections, intent.keys, going)
            if going
            else None
        )
        brought = (
            pool.submit(read_manifests, nodes, intent.servers, connections, intent.keys, intent.manifests)
            if intent.manifests is not None
            else None
        )
        # Those that run etcd, with what that says: asked beside the API servers.
        running = [name for name in intent.servers if name in nodes and nodes[name].etcd_data]
        forgotten = forgotten_votes(etcd.result(), running, connections, intent.keys)
    quorum, objects = etcd.result(), api.result()
    if quorum:
        quorum = dataclasses.replace(quorum, forgotten=forgotten, well=well.result() if well else quorum.well)
    return ClusterFacts(
        {**all_seen(names, found), **{name: reached(name, found) for name in leaving}},
        quorum,
        dataclasses.replace(objects, pods=there.result().pods, volumes=there.result().volumes)
        if objects and there
        else objects,
        frozenset(leaving),
        brought.result() if brought else None,
    )


def prepare(
    intent: Intent,
    world: ClusterFacts,
    *,
    wipe: frozenset[str],
    founded: Callable[[], None] | None = None,
    advice: Advice = BY_INVENTORY,
) -> Prepared:
    """What would make reality match the inventory, and all that speaks against it; the bundle is among that when it
    would be used and is not what its manifest says. `founded` is called when etcd answers that did not before; without
    it, that is only noted. `advice` is what to do about the machines' own problems."""
    installation = installation_of(intent)
    done = disks_written(intent.inventory, world, installation, wipe)
    problems = preflight(
        intent.inventory,
        world,
        cluster_id=intent.state.cluster_id,
        bundle=intent.bundle,
        wipe=wipe,
        written=done,
        advice=advice,
    )
    problems += left_over(world, intent.state.cluster_id, intent.state.past_lives)
    problems += other_authority(world, intent.state.cluster_id, intent.keys.pki, intent.state.past_lives)
    problems += _pinned_otherwise(intent, world)
    problems += _second_cluster(intent, world)
    problems += not_what_was_installed(world, installation)
    problems += disk_problems(intent.nodes, world)
    problems += leave_problems(intent.inventory, intent.leaving, world)
    installing = install_actions(intent.inventory, world, installation, done)
    plan = make_plan(all_actions(intent, world, installing, founded), world)
    problems += bundle_problems(plan, intent.bundle, intent.inventory.os.trusted_keys)
    return Prepared(world, tuple(problems), plan)


def all_actions(
    intent: Intent,
    world: ClusterFacts,
    installing: Sequence[Action[ClusterFacts]],
    founded: Callable[[], None] | None = None,
) -> list[Action[ClusterFacts]]:
    """Everything that may have to be done, in the order in which a person would tell it: `installing` first, which
    makes the nodes run the micro OS. `founded` is as for `prepare`."""
    inventory, servers = intent.inventory, intent.servers
    noted = founded or intent.state.note_founded
    members = inventory.networked_servers
    quorum = Quorum(members, intent.keys, founder_of(members, world), noted, waiting_for_learners(members, world))
    api = ApiServers(inventory.cluster.name, tuple(servers), intent.keys)
    serve = serving(world, servers)
    # What is asked of the cluster as a whole is asked of a server that serves, where there is one.
    reachable = [*serve, *(name for name in servers if name in world.nodes and name not in serve)]
    networked = [intent.nodes[node.name] for node in inventory.nodes if not node.console.only]
    opening = taking_pods_again(intent.nodes, world)
    going = departure(intent.leaving, api, intent.state, world, [labelled(name) for name in sorted(opening)])
    actions = list(installing)
    for desired in networked:
        actions += deploy_actions(desired, world)
        actions += disk_actions(desired, world)
    for name in servers:
        actions += etcd_actions(intent.nodes[name], quorum)
        actions.append(votes_action(name, intent.keys))
        # Whoever adopts the cluster has to hear of those who have not left yet.
        actions += handover_actions(intent.nodes[name], intent.state, gone(intent.leaving))
    for name in servers:
        actions += control_plane_actions(intent.nodes[name], api, quorum.founder)
    # Without a server that has a network there is no cluster yet, and nothing to join.
    if servers:
        actions += object_actions(intent.objects, api, reachable)
        for desired in networked:
            actions += join_actions(desired, api)
            waits = before_labels(inventory, desired, world, opening)
            actions += node_actions(for_now(inventory, desired, world), api, waits)
        actions += manifest_actions(intent.manifests, api, intent.places)
        actions += kubeconfig_actions(inventory, intent.kubeconfig, intent.keys, reachable)
    everything = around_those_who_leave(going, one_after_the_other(actions, serve), intent.leaving, world)
    # What is done rests on keys that may have been made a moment ago: they are kept before anything else begins.
    keys = keys_action(intent.state, inventory, intent.bundle, world)
    after = [dataclasses.replace(action, needs=action.needs or (KEYS,)) for action in everything]
    return [
        dataclasses.replace(action, wanted_by=intent.places.get(action.node or "", "")) for action in (keys, *after)
    ]


def installation_of(intent: Intent) -> Installation:
    """What is installed on which node: made when it is asked for, as a plan has no use for it."""
    inventory, state = intent.inventory, intent.state

    def etc(node: str) -> list[EtcFile]:
        return node_etc(
            inventory,
            inventory.node(node),
            cluster_id=state.cluster_id,
            identity=state.identity(node),
            authorized_keys=[f"{state.ssh_key.public} clusterup"],
        )

    def pin(node: str, key: str) -> None:
        state.host_keys.pin(node, INSTALLED, key)
        state.note_installed(node)

    return Installation(
        intent.bundle,
        etc,
        state.identity,
        pin,
        lambda node: console_target(inventory.node(node), inventory.cluster.name),
    )


def bundle_problems(plan: Plan[ClusterFacts], bundle: Bundle, trusted: Sequence[str]) -> list[ClusterupError]:
    """What is wrong with the parts of the bundle that the plan would put on nodes. Where keys are `trusted`, one of
    them has to have signed for them."""
    parts = _used_parts(plan, bundle)
    try:
        if parts:
            check_signed(bundle, trusted, parts)
        verify_bundle(bundle, parts)
    except ClusterupError as error:
        return [error]
    return []


def _used_parts(plan: Plan[ClusterFacts], bundle: Bundle) -> list[str]:
    """The artifacts that the plan would put on nodes, in the bundle's order."""
    used = {name for item in plan.items for name in item.action.uses}
    return [name for name in bundle.for_nodes.artifacts if name in used]


def _pinned_otherwise(intent: Intent, world: ClusterFacts) -> list[ClusterupError]:
    """What of a cluster that runs would become another than it was founded with."""
    inventory, bundle = intent.inventory, intent.bundle
    objects = world.api.objects if world.api is not None else {}
    return [
        *version_problems(inventory, bundle, intent.state),
        *pin_problems(intent.state, objects, inventory, bundle),
        *name_problems(intent.state, objects, inventory, bundle),
        *volume_problems(intent.state, objects, inventory, bundle),
    ]


def _second_cluster(intent: Intent, world: ClusterFacts) -> list[ClusterupError]:
    """Founding etcd again beside servers that have its data would make two clusters out of one."""
    founder = founder_of(intent.inventory.networked_servers, world)
    if founder is None or not intent.state.founded:
        return []
    away = [name for name in intent.servers if name in world.unreachable]
    return [
        Refused(
            "this cluster's etcd was founded before, and no server that can be reached has its data",
            step="preflight",
            tried=f"look for etcd's data on {', '.join(name for name in intent.servers if name in world.nodes)}",
            got=f"none; not reached: {', '.join(away) or 'no server'}",
            hint="its end was begun and did not come: run clusterup down again"
            if intent.state.ending_note.exists()
            else f"start the servers that have it; if all of it is lost and a new cluster is wanted, move "
            f"away what says that there is one: {' and '.join(map(str, intent.state.founded_by))}",
        )
    ]
