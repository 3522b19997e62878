"""When the taint of servers comes and goes on Nodes that are there: the cluster can always start pods somewhere.

A server that joins has it from its first moment on (`node_units.registration`). One that is there gets it when an agent
is Ready, or when all that join now are; it loses it before the last agents are drained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from bootstrap.facts.model import ClusterFacts
from bootstrap.inventory.model import Inventory
from bootstrap.phases.kubelet import joined
from bootstrap.phases.node_metadata import ROLE_TAINT, given_to, taints_on, wanted_taints
from bootstrap.spec.node import Desired


def for_now(inventory: Inventory, desired: Desired, world: ClusterFacts) -> Desired:
    """The same, without the taint of a server's role where its Node does not have it and no agent can be seen: one
    whose entry is wrong, or that is off, takes no pods."""
    seen = any(agent.name in world.nodes for agent in inventory.agents) or _agent_is_ready(inventory, world)
    if seen or not _to_be_tainted(inventory, desired, world):
        return desired
    kept = tuple(taint for taint in desired.node.taints if (taint.key, taint.effect) != ROLE_TAINT)
    return dataclasses.replace(desired, node=desired.node.model_copy(update={"taints": kept}))


def _after_agents(inventory: Inventory, desired: Desired, world: ClusterFacts) -> tuple[str, ...]:
    """The joins that a server's Node waits for before it gets its taint: none where an agent takes pods already."""
    if _agent_is_ready(inventory, world) or not _to_be_tainted(inventory, desired, world):
        return ()
    return tuple(joined(agent.name) for agent in inventory.agents if not agent.console.only)


def taking_pods_again(nodes: Mapping[str, Desired], world: ClusterFacts) -> frozenset[str]:
    """The nodes that lose the taint of a server's role and take pods again. That comes before any pod is moved: pods
    that find no place hold up others by their budgets."""
    objects = world.api.objects if world.api else {}
    return frozenset(
        name
        for name, desired in nodes.items()
        if ROLE_TAINT not in wanted_taints(desired.node)
        and (found := objects.get(f"Node/{name}")) is not None
        and ROLE_TAINT in given_to(found).taints
        and ROLE_TAINT in taints_on(found)
    )


def before_labels(
    inventory: Inventory, desired: Desired, world: ClusterFacts, opening: frozenset[str]
) -> tuple[str, ...]:
    """The actions that a Node's labels and taints wait for: that it has joined, and for a server's taint the agents. A
    Node that takes pods again (`opening`) waits for nothing: it is there, whatever else is done on its machine."""
    name = desired.node.name
    return () if name in opening else (joined(name), *_after_agents(inventory, desired, world))


def _agent_is_ready(inventory: Inventory, world: ClusterFacts) -> bool:
    return world.api is not None and any(world.api.ready.get(agent.name, False) for agent in inventory.agents)


def _to_be_tainted(inventory: Inventory, desired: Desired, world: ClusterFacts) -> bool:
    """Whether it is a server whose Node is there without the taint that the inventory's agents bring it."""
    node = desired.node
    if inventory.runs_pods(node) or node.schedulable is False:
        return False
    found = world.api.objects.get(f"Node/{node.name}") if world.api else None
    return found is not None and ROLE_TAINT not in taints_on(found)
