"""When the taint of servers comes and goes on Nodes that are there: the cluster can always start pods somewhere.

A server that joins has it from its first moment on (`node_units.registration`). One that is there gets it when an agent
is Ready, or when all that join now are; it loses it before the last agents are drained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

from bootstrap.engine.action import Action
from bootstrap.facts.model import World
from bootstrap.inventory.model import Inventory
from bootstrap.phases.node_metadata import ROLE_TAINT, given_to, taints_on, wanted_taints
from bootstrap.spec.node import Desired

DRAIN = "/leave.drain"


def for_now(inventory: Inventory, desired: Desired, world: World) -> Desired:
    """The same, without the taint of a server's role where its Node does not have it and no agent can be seen: one
    whose entry is wrong, or that is off, takes no pods."""
    seen = any(agent.name in world.nodes for agent in inventory.agents) or _agent_is_ready(inventory, world)
    if seen or not _to_be_tainted(inventory, desired, world):
        return desired
    kept = tuple(taint for taint in desired.node.taints if (taint.key, taint.effect) != ROLE_TAINT)
    return dataclasses.replace(desired, node=desired.node.model_copy(update={"taints": kept}))


def after_agents(inventory: Inventory, desired: Desired, world: World) -> tuple[str, ...]:
    """The joins that a server's Node waits for before it gets its taint: none where an agent takes pods already."""
    if _agent_is_ready(inventory, world) or not _to_be_tainted(inventory, desired, world):
        return ()
    return tuple(f"{agent.name}/join" for agent in inventory.agents if not agent.console.only)


def opened(nodes: Mapping[str, Desired], world: World) -> frozenset[str]:
    """The actions that take the taint of a server's role away, by which its Node takes pods again."""
    objects = world.api.objects if world.api else {}
    return frozenset(
        f"{name}/node"
        for name, desired in nodes.items()
        if ROLE_TAINT not in wanted_taints(desired.node)
        and (found := objects.get(f"Node/{name}")) is not None
        and ROLE_TAINT in given_to(found).taints
        and ROLE_TAINT in taints_on(found)
    )


def opened_first(actions: Sequence[Action[World]], opening: Collection[str]) -> list[Action[World]]:
    """The actions, with the servers that take pods again before those that move pods: pods that find no place hold up
    others by their budgets. Such a Node waits for nothing: it is there, whatever else is done on its machine."""
    return [
        dataclasses.replace(action, needs=())
        if action.id in opening
        else dataclasses.replace(action, needs=(*action.needs, *sorted(opening)))
        if action.id.endswith(DRAIN)
        else action
        for action in actions
    ]


def _agent_is_ready(inventory: Inventory, world: World) -> bool:
    return world.api is not None and any(world.api.ready.get(agent.name, False) for agent in inventory.agents)


def _to_be_tainted(inventory: Inventory, desired: Desired, world: World) -> bool:
    """Whether it is a server whose Node is there without the taint that the inventory's agents bring it."""
    node = desired.node
    if inventory.runs_pods(node) or node.schedulable is False:
        return False
    found = world.api.objects.get(f"Node/{node.name}") if world.api else None
    return found is not None and ROLE_TAINT not in taints_on(found)
