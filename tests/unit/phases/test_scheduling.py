"""Which nodes run pods: the taint of servers, when it comes, when it goes, and what waits for that."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bootstrap.constants.objects import CONTROL_PLANE
from bootstrap.constants.paths import KUBELET_REGISTRATION
from bootstrap.engine.plan import Planned
from bootstrap.errors import ClusterupError
from bootstrap.facts.model import ClusterFacts, DiskFacts, PodFacts, Unreachable
from bootstrap.inventory.load import parse_inventory
from bootstrap.inventory.model import Inventory
from bootstrap.operations.intent import Intent, intent_of, leaves
from bootstrap.operations.planning import prepare
from bootstrap.phases.kubeconfig import admin_kubeconfig
from bootstrap.phases.leave.checks import notes, pruned
from bootstrap.phases.node_metadata import ROLE_TAINT, given_by, given_to, node_patch, taints_on
from bootstrap.pki.kubeconfig import write_kubeconfig
from bootstrap.state.cluster import ClusterState
from bootstrap.state.membership import note_applied, read_membership
from tests.helpers.worlds import bundle, facts, finished_world, keeping

SERVERS = [{"name": f"s{n}", "role": "server", "address": f"10.77.0.{10 + n}"} for n in (1, 2, 3)]
AGENT = {"name": "a1", "address": "10.77.0.21"}
TAINT = f"{CONTROL_PLANE}:NoSchedule"
WEB = PodFacts("default", "web-1", owned=True)
Entry = dict[str, Any]


def written(*nodes: Entry, defaults: Entry | None = None) -> bytes:
    return json.dumps({"cluster": {"name": "lab"}, "defaults": defaults or {}, "nodes": list(nodes)}).encode()


def inventory(*nodes: Entry, defaults: Entry | None = None) -> Inventory:
    return parse_inventory(Path("lab.yaml"), written(*nodes, defaults=defaults))


def intent(folder: Path, *nodes: Entry) -> Intent:
    """What an inventory comes to, in the one state that the cluster has in `folder`."""
    (folder / "state").mkdir(mode=0o700, exist_ok=True)
    of = intent_of(
        inventory(*nodes),
        ClusterState(folder / "state"),
        bundle(folder / "bundle"),
        folder / "lab.kubeconfig",
        written=written(*nodes),
    )
    write_kubeconfig(of.kubeconfig, admin_kubeconfig(of.inventory, of.keys))
    return keeping(of)


def with_entries_changed(**more: Any) -> list[Entry]:
    return [{**server, **more} for server in SERVERS]


def tainted(of: Inventory) -> list[str]:
    """The nodes that keep pods away because of their role."""
    return [node.name for node in of.nodes if ROLE_TAINT in {(taint.key, taint.effect) for taint in of.taints_of(node)}]


def planned(of: Intent, world: ClusterFacts) -> dict[str, Planned[ClusterFacts]]:
    found = prepare(of, world, wipe=frozenset())
    assert found.problems == ()
    return {item.action.id: item for item in found.plan.items}


def reasons(of: Intent, world: ClusterFacts, step: str = "node") -> dict[str, str]:
    return {name: item.why for name, item in planned(of, world).items() if item.action.step == step}


def grown(folder: Path, **agent: Any) -> tuple[Intent, ClusterFacts]:
    """A cluster of three servers whose inventory has an agent now, a machine that is bare."""
    before = finished_world(intent(folder, *SERVERS))
    of = intent(folder, *SERVERS, {**AGENT, "disk": "/dev/vda", **agent})
    bare = facts(machine_id="a1", disks=(DiskFacts("/dev/vda", 8 << 30),))
    return of, dataclasses.replace(before, seen={**before.seen, "a1": bare})


def shrunk(folder: Path, *stay: Entry, leaving: Entry = AGENT) -> tuple[Intent, ClusterFacts]:
    """A cluster out of whose inventory a node has gone; a pod runs on it."""
    whole = intent(folder, *stay, leaving)
    note_applied(whole.state, whole.inventory.nodes)
    world = finished_world(whole)
    roll = read_membership(whole.state)
    assert roll is not None
    assert world.etcd is not None
    assert world.api is not None
    short = intent(folder, *stay)
    name = leaving["name"]
    return leaves(short, *pruned(short.inventory, roll, ())), dataclasses.replace(
        world,
        going=frozenset({name}),
        etcd=dataclasses.replace(world.etcd, well=frozenset(short.servers)),
        api=dataclasses.replace(world.api, pods={name: (WEB,)}),
    )


def test_servers_keep_pods_away_where_the_inventory_has_agents_and_run_them_where_it_has_none() -> None:
    assert tainted(inventory(*SERVERS)) == []
    assert tainted(inventory(*SERVERS, AGENT)) == ["s1", "s2", "s3"]


@pytest.mark.parametrize(
    ("nodes", "defaults", "expected"),
    [
        ([{**SERVERS[0], "schedulable": True}, AGENT], {}, []),
        ([{**SERVERS[0], "schedulable": False}], {}, ["s1"]),
        ([*SERVERS, AGENT], {"schedulable": True}, []),
        (SERVERS, {"schedulable": False}, ["s1", "s2", "s3"]),
        ([*SERVERS[:2], {**SERVERS[2], "schedulable": False}, AGENT], {"schedulable": True}, ["s3"]),
        ([*SERVERS[:2], {**SERVERS[2], "schedulable": None}, AGENT], {"schedulable": True}, ["s3"]),
    ],
    ids=["true", "false", "true for all", "false for all", "another one than all", "as if nothing was said"],
)
def test_schedulable_says_otherwise(nodes: list[Entry], defaults: Entry, expected: list[str]) -> None:
    assert tainted(inventory(*nodes, defaults=defaults)) == expected


def test_a_server_has_it_from_its_first_moment_on_and_an_agent_never(tmp_path: Path) -> None:
    of = intent(tmp_path, *SERVERS, AGENT)
    told = {
        name: next(file.content.decode() for file in desired.files if file.path == KUBELET_REGISTRATION)
        for name, desired in of.nodes.items()
    }
    assert told["s1"] == f"REGISTRATION=--register-with-taints={CONTROL_PLANE}=:NoSchedule\n"
    assert told["a1"] == "REGISTRATION=\n"


def test_one_s_own_taint_of_the_same_key_and_effect_stands_in_its_place(tmp_path: Path) -> None:
    own = {"key": CONTROL_PLANE, "value": "mine", "effect": "NoSchedule"}
    of = intent(tmp_path, {**SERVERS[0], "taints": [{"key": "gpu", "effect": "NoExecute"}, own]}, AGENT)
    node = of.nodes["s1"].node
    patch = node_patch(node, {"metadata": {"name": "s1", "resourceVersion": "1"}})
    assert patch["spec"]["taints"] == [own, {"key": "gpu", "effect": "NoExecute"}]
    assert given_to({"metadata": {"annotations": given_by(node)}}).taints == (
        ("gpu", "NoExecute"),
        ROLE_TAINT,
    )


def test_a_cluster_of_before_gets_it_and_the_plan_says_why(tmp_path: Path) -> None:
    of = intent(tmp_path, *SERVERS, AGENT)
    world = finished_world(of)
    assert planned(of, world) == {}
    assert world.api is not None
    before = finished_world(intent(tmp_path, *with_entries_changed(schedulable=True), AGENT))
    assert before.api is not None
    old = dataclasses.replace(world, api=dataclasses.replace(world.api, objects=before.api.objects))
    assert reasons(of, old) == {
        f"s{n}/node": f"its Node lacks the taint {TAINT} (there are agents; schedulable: true says otherwise)"
        for n in (1, 2, 3)
    }


def test_one_that_somebody_took_away_is_put_back_and_one_that_was_not_wanted_is_not(tmp_path: Path) -> None:
    of = intent(tmp_path, *SERVERS, AGENT)
    world = finished_world(of)
    assert world.api is not None
    node = {**world.api.objects["Node/s2"], "spec": {"taints": []}}
    removed = dataclasses.replace(
        world, api=dataclasses.replace(world.api, objects={**world.api.objects, "Node/s2": node})
    )
    assert list(reasons(of, removed)) == ["s2/node"]
    open_ones = intent(tmp_path, *with_entries_changed(schedulable=True), AGENT)
    assert reasons(open_ones, finished_world(open_ones)) == {}


def test_schedulable_true_takes_it_away_and_the_plan_says_why(tmp_path: Path) -> None:
    world = finished_world(intent(tmp_path, *SERVERS, AGENT))
    of = intent(tmp_path, {**SERVERS[0], "schedulable": True}, *SERVERS[1:], AGENT)
    assert reasons(of, world) == {"s1/node": f"its Node has the taint {TAINT}, and is schedulable: true"}


def test_with_the_first_agent_servers_get_it_when_the_agent_has_joined(tmp_path: Path) -> None:
    of, world = grown(tmp_path)
    plan = planned(of, world)
    for name in ("s1/node", "s2/node", "s3/node"):
        assert "there are agents" in plan[name].why
        assert "a1/join" in plan[name].after


def test_an_agent_that_can_t_be_reached_takes_no_pods_and_servers_go_on_running_them(tmp_path: Path) -> None:
    of, world = grown(tmp_path)
    off = Unreachable(ClusterupError("no answer", hint="is it on?"))
    away = dataclasses.replace(world, seen={**world.seen, "a1": off})
    assert reasons(of, away) == {}


def test_one_of_several_agents_that_fails_does_not_keep_servers_open(tmp_path: Path) -> None:
    of = intent(tmp_path, *SERVERS, AGENT, {"name": "a2", "address": "10.77.0.22", "disk": "/dev/vda"})
    world = finished_world(of)
    assert world.api is not None
    objects = dict(world.api.objects)
    del objects["Node/a2"]
    objects["Node/s1"] = {**objects["Node/s1"], "spec": {"taints": []}}
    ready = {name: known for name, known in world.api.ready.items() if name != "a2"}
    plan = planned(of, dataclasses.replace(world, api=dataclasses.replace(world.api, objects=objects, ready=ready)))
    assert "a2/join" in plan
    assert plan["s1/node"].after == ()


def test_when_the_last_agent_leaves_servers_run_pods_again_before_its_own_have_to_go(tmp_path: Path) -> None:
    of, world = shrunk(tmp_path, *SERVERS)
    plan = planned(of, world)
    for name in ("s1/node", "s2/node", "s3/node"):
        assert plan[name].why == f"its Node has the taint {TAINT}, and the inventory has no agents"
        assert plan[name].after == ()
    assert {"s1/node", "s2/node", "s3/node"} < {*plan["a1/leave.drain"].after}


def test_when_the_last_agent_leaves_with_a_server_neither_waits_for_the_other_in_a_circle(tmp_path: Path) -> None:
    both, world = shrunk(tmp_path, *SERVERS)
    server = both.inventory.node("s3")
    roll = read_membership(both.state)
    assert roll is not None
    short = intent(tmp_path, SERVERS[0])
    gone = pruned(short.inventory, roll, ())
    assert {each.name for each in gone} == {"s2", "s3", "a1"}
    of = leaves(short, *(each for each in gone if each.name != server.name))
    moved = dataclasses.replace(
        world,
        seen={name: found for name, found in world.seen.items() if name != "s3"},
        going=world.going | {"s2"},
    )
    plan = prepare(of, moved, wipe=frozenset()).plan
    items = {item.action.id: item for item in plan.items}
    assert items["s1/node"].after == ()
    assert "s1/node" in items["s2/leave.drain"].after


def test_an_agent_of_several_that_leaves_opens_no_server(tmp_path: Path) -> None:
    other = {"name": "a2", "address": "10.77.0.22"}
    of, world = shrunk(tmp_path, *SERVERS, other)
    assert reasons(of, world) == {}


def test_that_pods_have_nowhere_to_go_is_said_before_the_last_node_that_runs_them_leaves(tmp_path: Path) -> None:
    def said(*servers: Entry, change: Callable[[ClusterFacts], ClusterFacts] = lambda world: world) -> list[str]:
        of, world = shrunk(tmp_path, *servers)
        return list(notes(of.inventory, of.leaving, change(world), b""))

    (note,) = said(*with_entries_changed(schedulable=False))
    assert "no node is left that runs pods" in note
    assert said(*SERVERS) == []

    def with_a_guest(world: ClusterFacts) -> ClusterFacts:
        assert world.api is not None
        return dataclasses.replace(world, api=dataclasses.replace(world.api, ready={**world.api.ready, "guest": True}))

    assert said(*with_entries_changed(schedulable=False), change=with_a_guest) == []


def test_a_taint_that_others_gave_stays_when_the_agents_are_gone(tmp_path: Path) -> None:
    of = intent(tmp_path, *SERVERS)
    world = finished_world(of)
    assert world.api is not None
    theirs = {"key": CONTROL_PLANE, "effect": "NoSchedule"}
    node = {**world.api.objects["Node/s1"], "spec": {"taints": [theirs]}}
    found = dataclasses.replace(
        world, api=dataclasses.replace(world.api, objects={**world.api.objects, "Node/s1": node})
    )
    assert ROLE_TAINT in taints_on(node)
    assert reasons(of, found) == {}
