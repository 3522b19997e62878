"""From an inventory to a plan: what is looked at, what speaks against it, what would be done."""

from __future__ import annotations

from dataclasses import dataclass

from bootstrap.engine.connections import Connections
from bootstrap.engine.events import Observer
from bootstrap.engine.gather import gather
from bootstrap.engine.plan import Plan, make_plan
from bootstrap.errors import ClusterupError
from bootstrap.image.bundle import Bundle, verify_bundle
from bootstrap.inventory.model import Inventory
from bootstrap.steps.configuration import node_etc
from bootstrap.steps.facts import Wanted, read_node
from bootstrap.steps.install import Installation, install_actions
from bootstrap.steps.preflight import preflight
from bootstrap.steps.state import INSTALLED, ClusterState
from bootstrap.steps.world import World


@dataclass(frozen=True)
class Prepared:
    """What was found, what speaks against going on, and what would be done."""

    world: World
    problems: tuple[ClusterupError, ...]
    plan: Plan[World]


def look(inventory: Inventory, connections: Connections, *, parallel: int, observe: Observer) -> World:
    """Read the facts of every node at once. Nodes that can't be reached are in the world's `unreachable`."""
    names = [node.name for node in inventory.nodes]
    found = gather(names, lambda way: read_node(way, Wanted()), connections, parallel=parallel, observe=observe)
    ordered = {name: found.values[name] for name in names if name in found.values}
    return World(ordered, {name: found.errors[name] for name in names if name in found.errors})


def prepare(
    inventory: Inventory, state: ClusterState, bundle: Bundle, world: World, *, wipe: frozenset[str]
) -> Prepared:
    """What would make reality match the inventory, and all that speaks against it; the bundle is among that when it
    would be used and is not what its manifest says."""
    image = bundle.artifact("os")
    problems = preflight(
        inventory, world, cluster_id=state.cluster_id, image_size=image.raw_size or image.size, wipe=wipe
    )
    plan = make_plan(install_actions(inventory, world, installation_of(inventory, state, bundle)), world)
    if not plan.empty:
        try:
            verify_bundle(bundle, ["os"])
        except ClusterupError as error:
            problems.append(error)
    return Prepared(world, tuple(problems), plan)


def installation_of(inventory: Inventory, state: ClusterState, bundle: Bundle) -> Installation:
    """What is installed on which node."""
    identities = {node.name: state.identity(node.name) for node in inventory.nodes}
    etc = {
        node.name: node_etc(
            inventory,
            node,
            cluster_id=state.cluster_id,
            identity=identities[node.name],
            authorized_keys=[f"{state.ssh_key.public} clusterup"],
        )
        for node in inventory.nodes
    }
    host_keys = state.host_keys
    return Installation(bundle, etc, identities, lambda node, key: host_keys.pin(node, INSTALLED, key))
