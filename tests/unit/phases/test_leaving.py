"""Nodes that leave: the plan of it, what speaks against it, and what the others wait for."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bootstrap.constants.objects import LEAVING_ANNOTATION
from bootstrap.constants.paths import HANDOVER
from bootstrap.engine.plan import Planned
from bootstrap.errors import ClusterupError, Refused
from bootstrap.facts.model import ClusterFacts, DiskFacts, PodFacts, Unreachable, VolumeFacts
from bootstrap.facts.pods import pods_to_move
from bootstrap.operations.intent import Intent, intent_of, leaves
from bootstrap.operations.planning import prepare
from bootstrap.phases.kubeconfig import admin_kubeconfig
from bootstrap.phases.leave.checks import ASKED, PRUNED, notes, pruned
from bootstrap.phases.node_metadata import differences, node_patch
from bootstrap.phases.prepared import Prepared
from bootstrap.pki.kubeconfig import write_kubeconfig
from bootstrap.state.cluster import INSTALLED, ClusterState
from bootstrap.state.membership import (
    Disk,
    Manner,
    Membership,
    Pods,
    note_applied,
    note_leaving,
    note_left,
    read_membership,
)
from tests.helpers.worlds import bundle, facts, finished_world, intent, inventory, written

GONE = ClusterupError("10.77.0.13 did not answer", hint="is it on?")
PLAIN = Manner()
WEB = PodFacts("default", "web-1", owned=True)


@pytest.fixture(autouse=True)
def clean_without_a_payload(monkeypatch: pytest.MonkeyPatch) -> None:
    """What else a clean node lacks is the matter of whoever cleans it."""
    monkeypatch.setattr("bootstrap.phases.leave.leave.is_clean", lambda found: found.payload is None)


def shrunk(folder: Path, *names: str, manner: Manner = PLAIN, **cluster: object) -> tuple[Intent, ClusterFacts]:
    """Three servers and an agent, all well, of which the named ones are not in the inventory any more."""
    whole = intent(folder, **cluster)
    note_applied(whole.state, whole.inventory.nodes)
    world = finished_world(whole)
    left = whole.inventory.model_copy(
        update={"nodes": tuple(node for node in whole.inventory.nodes if node.name not in names)}
    )
    roll = read_membership(whole.state)
    assert roll is not None
    leaving = [dataclasses.replace(each, manner=manner) for each in pruned(left, roll, ())]
    short = intent_of(left, whole.state, bundle(folder / "bundle"), whole.kubeconfig, written=written(**cluster))
    write_kubeconfig(short.kubeconfig, admin_kubeconfig(whole.inventory, whole.keys))
    assert world.etcd is not None
    well = frozenset(name for name in world.nodes if name.startswith("s"))
    moved = dataclasses.replace(
        world,
        going=frozenset(names),
        etcd=dataclasses.replace(world.etcd, well=well),
    )
    return leaves(short, *leaving), moved


def dead(world: ClusterFacts, name: str) -> ClusterFacts:
    """The same, with a machine that is off."""
    assert world.etcd is not None
    assert world.api is not None
    return dataclasses.replace(
        world,
        seen={**world.seen, name: Unreachable(GONE)},
        etcd=dataclasses.replace(world.etcd, well=world.etcd.well - {name}),
        api=dataclasses.replace(world.api, ready={**world.api.ready, name: False}),
    )


def with_pods(world: ClusterFacts, node: str, *pods: PodFacts) -> ClusterFacts:
    assert world.api is not None
    return dataclasses.replace(world, api=dataclasses.replace(world.api, pods={node: pods}))


def prepared(of: Intent, world: ClusterFacts) -> Prepared:
    return prepare(of, world, wipe=frozenset())


def planned(of: Intent, world: ClusterFacts) -> dict[str, Planned[ClusterFacts]]:
    found = prepared(of, world)
    assert found.problems == ()
    return {item.action.id: item for item in found.plan.items}


def refusal(of: Intent, world: ClusterFacts) -> Refused:
    (problem,) = prepared(of, world).problems
    assert isinstance(problem, Refused)
    return problem


def test_a_server_goes_all_the_way_out_and_each_step_says_why(tmp_path: Path) -> None:
    of, world = shrunk(tmp_path, "s3", allow_even_servers=True)
    plan = planned(of, with_pods(world, "s3", WEB))
    steps = {name: item for name, item in plan.items() if name.startswith("s3/")}
    assert {name.removeprefix("s3/leave."): item.why for name, item in steps.items()} == {
        "cordon": PRUNED,
        "drain": "1 pod would end with it",
        "etcd": "it is a member of etcd",
        "node": "the cluster has a Node of its name",
        "clean": "it carries what made it a node",
        "forget": PRUNED,
    }
    titles = [item.action.title for item in steps.values()]
    assert titles[1] == "move its pods elsewhere (1 pod now)"
    assert titles[2].endswith("3 members, 2 needed; without s3: 2 members, 2 needed, 2 answer")
    *order, last = steps
    assert [steps[name].after for name in order] == [(), *((name,) for name in order[:-1])]
    assert last == list(plan)[-1] == "s3/leave.forget"
    # The same command goes on until the others are fixed as well.
    assert {order[-1], "s2/handover", "a1/runtime"} <= set(steps[last].after)


def test_the_others_are_fixed_when_it_has_left_and_are_handed_an_inventory_without_it(tmp_path: Path) -> None:
    of, world = shrunk(tmp_path, "s3", allow_even_servers=True)
    plan = planned(of, world)
    assert "s3/leave.node" in plan["s1/runtime"].after
    assert "s3/leave.node" in plan["s1/handover"].after
    assert "s1/files" in plan["s2/runtime"].after or "s1/runtime" in plan["s2/runtime"].after
    balancer = next(file for file in of.nodes["a1"].files if file.path.endswith("haproxy.cfg")).content.decode()
    assert "server s2 " in balancer
    assert "server s3 " not in balancer


def test_an_agent_that_leaves_keeps_no_one_waiting_but_the_handover(tmp_path: Path) -> None:
    of, world = shrunk(tmp_path, "a1")
    plan = planned(of, world)
    assert "a1/leave.etcd" not in plan
    assert {name for name, item in plan.items() if "a1/leave.node" in item.after} == {
        "a1/leave.clean",
        "s1/handover",
        "s2/handover",
        "s3/handover",
    }


def test_nothing_is_left_to_do_when_it_has_left_but_to_forget_it(tmp_path: Path) -> None:
    of, world = shrunk(tmp_path, "a1")
    assert world.api is not None
    nodes = {name: found for name, found in world.api.objects.items() if name != "Node/a1"}
    after = dataclasses.replace(
        world,
        seen={**world.seen, "a1": facts(kind="installed", cluster_id=of.state.cluster_id)},
        api=dataclasses.replace(world.api, ready={"s1": True, "s2": True, "s3": True}, objects=nodes),
    )
    assert [name for name in planned(of, after) if name.startswith("a1/")] == ["a1/leave.forget"]


def test_a_dead_server_leaves_without_its_machine(tmp_path: Path) -> None:
    of, world = shrunk(tmp_path, "s3", allow_even_servers=True)
    lost = dead(with_pods(world, "s3", WEB, PodFacts("default", "alone", owned=False)), "s3")
    plan = planned(of, lost)
    assert [name for name in plan if name.startswith("s3/")] == [
        "s3/leave.cordon",
        "s3/leave.etcd",
        "s3/leave.node",
        "s3/leave.forget",
    ]
    (note,) = notes(of.inventory, of.leaving, lost, b"")
    assert note.startswith("s3 can't be reached (10.77.0.13 did not answer): its pods are given up")
    assert "not cleaned" in note


def test_the_pods_of_a_dead_machine_are_deleted_by_force_or_by_the_cluster(tmp_path: Path) -> None:
    of, world = shrunk(tmp_path, "a1", manner=Manner(pods=Pods.DELETE))
    plan = planned(of, dead(with_pods(world, "a1", WEB), "a1"))
    assert plan["a1/leave.drain"].why == "no one ends 1 pod of a dead machine"


def test_a_server_does_not_leave_when_those_that_are_left_would_be_no_quorum(tmp_path: Path) -> None:
    of, world = shrunk(tmp_path, "s3", allow_even_servers=True)
    assert world.etcd is not None
    silent = dataclasses.replace(world, etcd=dataclasses.replace(world.etcd, well=frozenset({"s1", "s3"})))
    refused = refusal(of, silent)
    assert refused.exit_code == 4
    assert refused.got == "3 members, 2 needed; without s3: 2 members, 2 needed, 1 answers"


def test_two_servers_leave_one_after_the_other(tmp_path: Path) -> None:
    of, world = shrunk(tmp_path, "s2", "s3")
    plan = planned(of, world)
    assert "s2/leave.etcd" in plan["s3/leave.etcd"].after
    assert plan["s3/leave.etcd"].action.title.endswith("2 members, 2 needed; without s3: 1 member, 1 needed, 1 answers")


def test_the_dead_one_of_two_leaves_first(tmp_path: Path) -> None:
    of, world = shrunk(tmp_path, "s2", "s3")
    plan = planned(of, dead(world, "s3"))
    assert "s3/leave.etcd" in plan["s2/leave.etcd"].after


def test_a_pod_that_nothing_starts_elsewhere_is_not_lost_without_a_word(tmp_path: Path) -> None:
    alone = PodFacts("default", "alone", owned=False)
    of, world = shrunk(tmp_path, "a1")
    refused = refusal(of, with_pods(world, "a1", WEB, alone))
    assert refused.got == "no controller: default/alone"
    forced, world = shrunk(tmp_path, "a1", manner=Manner(pods=Pods.DELETE))
    assert "a1/leave.drain" in planned(forced, with_pods(world, "a1", WEB, alone))


def test_a_node_whose_kubelet_lives_and_that_can_t_be_reached_would_come_back(tmp_path: Path) -> None:
    of, world = shrunk(tmp_path, "a1")
    unreached = dataclasses.replace(world, seen={**world.seen, "a1": Unreachable(GONE)})
    refused = refusal(of, unreached)
    assert "would come back" in refused.problem
    assert refused.got == GONE.problem


def test_the_endpoint_of_everybody_can_t_leave_unless_there_is_another_one(tmp_path: Path) -> None:
    of, world = shrunk(tmp_path, "s1", allow_even_servers=True, endpoint="10.77.0.11:6443")
    assert refusal(of, world).problem == "cluster.endpoint is its address"


def test_when_the_first_server_leaves_the_new_endpoint_is_said(tmp_path: Path) -> None:
    of, world = shrunk(tmp_path, "s1", allow_even_servers=True)
    (note,) = notes(of.inventory, of.leaving, world, of.kubeconfig.read_bytes())
    assert note.startswith("the cluster's endpoint was s1: it is https://10.77.0.12:6443 now")
    assert "cluster/kubeconfig" in planned(of, world)


def test_the_claims_whose_data_goes_with_a_node_are_named(tmp_path: Path) -> None:
    of, world = shrunk(tmp_path, "a1")
    assert world.api is not None
    found = tuple(VolumeFacts(f"default/data-{number}", "1Gi") for number in range(9))
    api = dataclasses.replace(world.api, volumes={"a1": found})
    (note,) = notes(of.inventory, of.leaving, dataclasses.replace(world, api=api), b"")
    assert note.startswith("the data of the claims default/data-0 (1Gi), default/data-1 (1Gi), ")
    assert "default/data-7 (1Gi), 1 more is on a1's disk and nowhere else" in note


def test_a_cluster_that_does_not_answer_lets_no_one_go(tmp_path: Path) -> None:
    of, world = shrunk(tmp_path, "a1")
    refused = refusal(of, dataclasses.replace(world, api=None))
    assert "no API server answers" in refused.problem


def test_the_disk_that_is_erased_is_named_with_what_is_on_it(tmp_path: Path) -> None:
    of, world = shrunk(tmp_path, "a1", manner=Manner(disk=Disk.WIPE))
    disk = DiskFacts("/dev/vda", 8 << 30, serial="lab-a1", contents="gpt", in_use=True)
    found = dataclasses.replace(world.leaving["a1"], disks=(disk, DiskFacts("/dev/vdb", 1 << 30)))
    plan = planned(of, dataclasses.replace(world, seen={**world.seen, "a1": found}))
    assert plan["a1/leave.wipe"].action.title == "its disk is ERASED: /dev/vda (8.0 GiB, serial lab-a1, gpt)"
    assert "a1/leave.clean" not in plan


@pytest.mark.parametrize(
    ("disk", "kind", "kept"),
    [(Disk.KEEP, "installed", True), (Disk.WIPE, "installed", False), (Disk.KEEP, None, False)],
    ids=["its system stays", "it is wiped", "it is dead"],
)
def test_the_identity_of_a_machine_is_kept_as_long_as_it_may_show_it(
    tmp_path: Path, disk: Disk, kind: str | None, kept: bool
) -> None:
    of, world = shrunk(tmp_path, "s3", manner=Manner(disk=disk), allow_even_servers=True)
    before = of.state.identity("s3").host_key.public
    of.state.host_keys.pin("s3", INSTALLED, before)
    plan = planned(of, world if kind else dead(world, "s3"))
    context: Any = None
    plan["s3/leave.forget"].action.apply(context)
    assert (of.state.identity("s3").host_key.public == before) is kept
    assert bool(of.state.host_keys.pinned("s3")) is kept
    assert not (of.state.pki_folder / "nodes" / "s3").exists()
    roll = read_membership(of.state)
    assert roll is not None
    assert set(roll.left) == {"s3"}
    assert "s3" not in roll.applied


def test_the_roll_remembers_a_node_until_it_has_left(tmp_path: Path) -> None:
    state = ClusterState(tmp_path)
    assert read_membership(state) is None
    whole = inventory()
    note_applied(state, whole.nodes)
    short = whole.model_copy(update={"nodes": whole.nodes[:3]})
    note_applied(state, short.nodes)
    how = Manner(Disk.WIPE, Pods.DELETE, 30.0)
    note_leaving(state, "a1", None, how)
    roll = read_membership(state)
    assert roll == Membership({node.name: node for node in whole.nodes}, {"a1": how})
    (each,) = pruned(short, roll, ())
    assert (each.name, each.entry, each.manner, each.why) == ("a1", whole.node("a1"), how, ASKED)
    note_left(state, "a1")
    roll = read_membership(state)
    assert roll is not None
    assert roll.without_entry(short) == []
    note_applied(state, whole.nodes)
    assert read_membership(state) == Membership({node.name: node for node in whole.nodes})


def test_only_what_was_applied_is_pruned_and_no_node_that_joined_by_itself(tmp_path: Path) -> None:
    of, world = shrunk(tmp_path, "a1")
    assert world.api is not None
    joined = dataclasses.replace(world.api, ready={**world.api.ready, "guest": True})
    plan = planned(of, dataclasses.replace(world, api=joined))
    assert not [name for name in plan if name.startswith("guest/")]


def test_a_node_that_is_in_the_inventory_again_does_not_leave(tmp_path: Path) -> None:
    node = inventory().node("a1")
    found = {"metadata": {"name": "a1", "resourceVersion": "1"}}
    there = {**found, **node_patch(node, found)}
    marked = {
        **there,
        "metadata": {
            **there["metadata"],
            "annotations": {**there["metadata"]["annotations"], LEAVING_ANNOTATION: "2024-05-01"},
        },
        "spec": {**there["spec"], "unschedulable": True},
    }
    assert differences(node, there) == []
    assert differences(node, marked) == ["says that it leaves, and the inventory has it"]
    patch = node_patch(node, marked)
    assert patch["metadata"]["annotations"][LEAVING_ANNOTATION] is None
    assert patch["spec"]["unschedulable"] is None


def test_pods_that_belong_to_the_node_or_have_ended_need_not_go() -> None:
    def pod(name: str, owner: str | None = None, **more: Any) -> dict[str, Any]:
        owners = [{"kind": owner, "controller": True}] if owner else []
        return {"metadata": {"name": name, "namespace": "x", "ownerReferences": owners, **more}, "status": {}}

    ended = {**pod("ended", "Job"), "status": {"phase": "Succeeded"}}
    mirror = pod("mirror", annotations={"kubernetes.io/config.mirror": "x"})
    found = pods_to_move([pod("web", "ReplicaSet"), pod("agent", "DaemonSet"), mirror, ended, pod("alone")])
    assert found == (PodFacts("x", "web", owned=True), PodFacts("x", "alone", owned=False))


def test_what_is_asked_of_a_node_that_leaves_shows_whether_it_is_clean() -> None:
    from bootstrap.phases.leave.leave import LEAVING_WANTED

    assert HANDOVER in LEAVING_WANTED.files


def test_an_entry_on_the_roll_that_no_node_can_have_any_more_is_said_in_words(tmp_path: Path) -> None:
    of = intent(tmp_path)
    note_applied(of.state, of.inventory.nodes)
    of.state.roll.write_text(of.state.roll.read_text().replace("/dev/vda", "vda", 1))
    with pytest.raises(ClusterupError, match="something that this clusterup doesn't take") as refused:
        read_membership(of.state)
    assert refused.value.node == "s1"
    assert "disk: found 'vda'; allowed: a path below /dev" in str(refused.value)
    assert str(of.state.roll) in str(refused.value)
