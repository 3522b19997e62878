"""From what was found to what would be done: the whole plan of a cluster."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bootstrap.constants.paths import BOOTSTRAP_CONF
from bootstrap.engine.plan import Plan, Planned
from bootstrap.errors import ClusterupError, Refused
from bootstrap.facts.model import ClusterFacts, DiskFacts, EtcdFacts, EtcdMemberFacts, UnitFacts, Unreachable
from bootstrap.image.bundle import Bundle
from bootstrap.operations.intent import Intent, intent_of
from bootstrap.operations.planning import prepare
from bootstrap.phases.etcd.membership import founder_of
from bootstrap.phases.kubeconfig import admin_kubeconfig
from bootstrap.pki.kubeconfig import write_kubeconfig
from bootstrap.pki.x509 import signed_by
from bootstrap.spec.etcd import peer_url
from bootstrap.state.cluster import ClusterState
from tests.helpers.worlds import bundle, facts, finished_world, intent, inventory, written

DISK = DiskFacts("/dev/vda", 8 << 30)


@pytest.fixture
def lab(tmp_path: Path) -> Intent:
    return intent(tmp_path)


def bare_world(lab: Intent) -> ClusterFacts:
    return ClusterFacts({name: facts(machine_id=name, disks=(DISK,)) for name in lab.nodes})


def plan_of(lab: Intent, world: ClusterFacts) -> Plan[ClusterFacts]:
    prepared = prepare(lab, world, wipe=frozenset())
    assert prepared.problems == ()
    return prepared.plan


def towards(lab: Intent, bundle: Bundle, world: ClusterFacts) -> Plan[ClusterFacts]:
    """What would be done to make the cluster of another bundle; that is not what an apply does by itself."""
    other = intent_of(lab.inventory, lab.state, bundle, lab.kubeconfig, written=written())
    prepared = prepare(other, world, wipe=frozenset())
    assert [problem.exit_code for problem in prepared.problems] == [4]
    assert "the bundle is not the one that this cluster is made of" in prepared.problems[0].problem
    return prepared.plan


def items(plan: Plan[ClusterFacts]) -> dict[str, Planned[ClusterFacts]]:
    return {item.action.id: item for item in plan.items}


def changed(world: ClusterFacts, node: str, **changes: Any) -> ClusterFacts:
    return dataclasses.replace(world, seen={**world.seen, node: dataclasses.replace(world.nodes[node], **changes)})


def done_world(lab: Intent) -> ClusterFacts:
    write_kubeconfig(lab.kubeconfig, admin_kubeconfig(lab.inventory, lab.keys))
    return finished_world(lab)


def test_actions_say_what_they_erase_restart_and_bring(lab: Intent) -> None:
    planned = items(plan_of(lab, bare_world(lab)))
    assert {name for name, item in planned.items() if item.action.erases} == {
        f"{node}/install.{part}" for node in lab.nodes for part in ("image", "configuration")
    }
    assert planned["s1/install.image"].action.erases.startswith("/dev/vda")
    assert planned["s1/install.image"].action.uses == ("os",)
    assert planned["s1/payload"].action.uses == ("payload",)
    assert planned["s1/images"].action.uses == tuple(image.name for image in lab.bundle.images)
    restarting = {item.action.name for item in planned.values() if item.action.restarts}
    assert restarting == {"runtime", "etcd.member", "control-plane", "join"}
    assert "kubelet.service" in planned["s2/join"].action.restarts


def test_a_bare_machine_goes_all_the_way_from_its_disk_to_a_ready_node(lab: Intent) -> None:
    planned = [name.removeprefix("s2/") for name in items(plan_of(lab, bare_world(lab))) if name.startswith("s2/")]
    assert planned == [
        "install.image",
        "install.configuration",
        "install.boot",
        "payload",
        "images",
        "files",
        "runtime",
        "etcd.member",
        "handover",
        "control-plane",
        "join",
        "node",
    ]


def test_all_that_begin_at_once_have_the_same_keys(tmp_path: Path) -> None:
    def files(made: Intent) -> dict[str, str]:
        return {f"{name}{file.path}": file.sha256 for name, node in made.nodes.items() for file in node.files}

    (tmp_path / "state").mkdir(mode=0o700)
    given = (inventory(), ClusterState(tmp_path / "state"), bundle(tmp_path / "bundle"), tmp_path / "lab.kubeconfig")
    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(lambda _: intent_of(*given, written=written()), range(4))
    for other in others:
        assert other.keys.pki.ca == first.keys.pki.ca
        assert files(other) == files(first)


def test_an_agent_has_no_part_in_the_quorum_nor_in_the_control_plane(lab: Intent) -> None:
    planned = {name for name in items(plan_of(lab, bare_world(lab))) if name.startswith("a1/")}
    assert not planned & {"a1/etcd.member", "a1/control-plane"}
    assert "a1/join" in planned


def test_every_server_and_no_agent_answers_to_counted_tokens_with_a_certificate_of_its_own(lab: Intent) -> None:
    certificates = set()
    for name in ("s1", "s2", "s3"):
        (unit,) = [unit for unit in lab.nodes[name].control_plane if unit.name == "clusterup-approver.service"]
        files = {file.path: file for file in unit.files}
        settings = json.loads(files["/etc/clusterup/approver.json"].content)
        assert files[settings["key"]].mode == 0o600
        assert signed_by(files[settings["certificate"]].content, files[settings["ca"]].content)
        certificates.add(files[settings["certificate"]].content)
    assert len(certificates) == 3
    assert not [file.path for file in lab.nodes["a1"].files if "approver" in file.path]


def test_an_approver_that_stopped_is_started_again_and_nothing_else(lab: Intent) -> None:
    world = done_world(lab)
    units = {**world.nodes["s2"].units, "clusterup-approver.service": UnitFacts("failed", None)}
    planned = items(plan_of(lab, changed(world, "s2", units=units)))
    assert {name: item.why for name, item in planned.items()} == {
        "s2/control-plane": "clusterup-approver.service is failed"
    }


def test_nothing_waits_for_what_it_does_not_need(lab: Intent) -> None:
    planned = items(plan_of(lab, bare_world(lab)))
    assert planned["s1/etcd.member"].after == ("s1/payload", "s1/files")
    assert planned["s3/etcd.member"].after == ("s3/payload", "s3/files", "s1/etcd.member")
    assert planned["s1/control-plane"].after == ("s1/etcd.member",)
    # Two that begin with nothing would make the same objects, and be in each other's way.
    assert planned["s3/control-plane"].after == ("s3/etcd.member", "s1/control-plane", "cluster/objects")
    assert planned["a1/join"].after == ("a1/runtime", "cluster/objects")
    assert planned["cluster/objects"].after == ("s1/control-plane",)


def test_a_cluster_that_is_as_wanted_needs_nothing(lab: Intent) -> None:
    assert plan_of(lab, done_world(lab)).empty


def test_a_changed_file_and_the_unit_that_reads_it_are_fixed_and_nothing_else(lab: Intent) -> None:
    world = done_world(lab)
    files = {**world.nodes["s2"].files, "/etc/clusterup/haproxy.cfg": "other"}
    units = {**world.nodes["s2"].units, "clusterup-balancer.service": UnitFacts("active", "older")}
    planned = items(plan_of(lab, changed(world, "s2", files=files, units=units)))
    assert list(planned) == ["s2/files", "s2/runtime"]
    assert planned["s2/files"].why == "/etc/clusterup/haproxy.cfg is missing or different"
    assert planned["s2/runtime"].why == "clusterup-balancer.service runs with other settings"


def test_control_planes_of_a_cluster_that_was_off_start_without_waiting_for_each_other(lab: Intent) -> None:
    world = dataclasses.replace(done_world(lab), api=None, etcd=None)
    for name in ("s1", "s2", "s3"):
        off = {unit: UnitFacts("inactive", None) for unit in ("etcd.service", "kube-apiserver.service")}
        world = changed(world, name, units={**world.nodes[name].units, **off})
    planned = items(plan_of(lab, world))
    assert planned["s3/control-plane"].after == ("s3/etcd.member",)


def test_a_stopped_unit_is_started_again(lab: Intent) -> None:
    world = done_world(lab)
    units = {**world.nodes["a1"].units, "kubelet.service": UnitFacts("failed", None)}
    planned = items(plan_of(lab, changed(world, "a1", units=units)))
    assert {name: item.why for name, item in planned.items()} == {"a1/join": "kubelet.service is failed"}


def test_another_payload_restarts_what_runs_out_of_it(lab: Intent, tmp_path: Path) -> None:
    world = done_world(lab)
    newer = bundle(tmp_path / "newer", b"another payload")
    planned = items(towards(lab, newer, world))
    for name in ("payload", "files", "runtime", "etcd.member", "control-plane", "join"):
        assert f"s1/{name}" in planned
    assert "s1/images" not in planned


def test_servers_that_serve_are_restarted_one_after_the_other_and_agents_at_once(lab: Intent, tmp_path: Path) -> None:
    newer = bundle(tmp_path / "newer", b"another payload")
    planned = items(towards(lab, newer, done_world(lab)))
    assert "s1/join" in planned["s2/runtime"].after
    assert "s2/join" in planned["s3/runtime"].after
    for step in ("etcd.member", "control-plane", "join"):
        assert "s1/join" in planned[f"s2/{step}"].after
    assert {name for name in planned["a1/runtime"].after if not name.startswith("a1/")} == {"cluster/keys"}


def test_files_are_brought_to_all_servers_at_once_where_nothing_has_to_be_restarted(lab: Intent) -> None:
    world = done_world(lab)
    for name in ("s1", "s2"):
        world = changed(world, name, files={**world.nodes[name].files, "/etc/kubernetes/pki/sa.pub": "other"})
    planned = items(plan_of(lab, world))
    assert {name: item.after for name, item in planned.items()} == {"s1/files": (), "s2/files": ()}


def test_a_new_server_waits_for_no_restart_of_those_that_serve(lab: Intent, tmp_path: Path) -> None:
    newer = bundle(tmp_path / "newer", b"another payload")
    world = dataclasses.replace(done_world(lab), seen={**done_world(lab).seen, "s1": facts(disks=(DISK,))})
    planned = items(towards(lab, newer, world))
    assert not [need for need in planned["s1/runtime"].after if need.startswith(("s2/", "s3/"))]
    assert "s2/join" in planned["s3/runtime"].after
    assert "s1/join" not in planned["s2/runtime"].after


def test_a_stopped_member_is_started_before_another_is_restarted_and_waits_for_none(lab: Intent) -> None:
    world = done_world(lab)
    units = {**world.nodes["s3"].units, "etcd.service": UnitFacts("failed", None)}
    planned = items(plan_of(lab, changed(world, "s3", units=units)))
    assert planned["s3/etcd.start"].after == ()


def without_control_plane(world: ClusterFacts, *names: str) -> ClusterFacts:
    """These servers have joined etcd at most: nothing of theirs serves yet."""
    for name in names:
        gone = [unit for unit in world.nodes[name].units if unit.startswith(("kube", "clusterup-network"))]
        units = {**world.nodes[name].units, **{unit: UnitFacts("inactive", None) for unit in gone}}
        world = changed(world, name, units=units)
    return world


@pytest.mark.parametrize("name", ["s2", ""], ids=["a learner that runs", "a learner that never ran"])
def test_a_learner_gets_its_vote_before_another_server_joins_because_etcd_has_one_at_a_time(
    lab: Intent, name: str
) -> None:
    world = without_control_plane(done_world(lab), "s2", "s3")
    for never in ("s3",) if name else ("s2", "s3"):
        units = {**world.nodes[never].units, "etcd.service": UnitFacts("inactive", None)}
        world = changed(world, never, etcd_data=False, units=units)
    learner = EtcdMemberFacts(2, name, (peer_url(lab.inventory.node("s2").address),), learner=True)
    members = (EtcdMemberFacts(1, "s1", (), learner=False), learner)
    planned = items(plan_of(lab, dataclasses.replace(world, etcd=EtcdFacts(members))))
    assert "s2/etcd.member" in planned["s3/etcd.member"].after
    # No one is served by it: it waits for no restart, and no restart waits for it.
    assert planned["s2/etcd.member"].after == ()


def test_a_server_that_is_a_voter_waits_for_no_learner(lab: Intent) -> None:
    world = without_control_plane(done_world(lab), "s2")
    learner = EtcdMemberFacts(2, "s2", (), learner=True)
    voters = tuple(EtcdMemberFacts(n, name, (), learner=False) for n, name in ((1, "s1"), (3, "s3")))
    units = {**world.nodes["s3"].units, "etcd.service": UnitFacts("active", "older")}
    world = dataclasses.replace(changed(world, "s3", units=units), etcd=EtcdFacts((*voters, learner)))
    assert "s2/etcd.member" not in items(plan_of(lab, world))["s3/etcd.member"].after


def test_a_token_that_a_killed_apply_left_is_taken_back(lab: Intent) -> None:
    world = done_world(lab)
    files = {**world.nodes["a1"].files, BOOTSTRAP_CONF: "left"}
    planned = items(plan_of(lab, changed(world, "a1", files=files)))
    assert {name: item.why for name, item in planned.items()} == {
        "a1/join": "the token that it joined with has not been taken back"
    }


def test_a_key_that_others_may_read_is_closed_again(lab: Intent) -> None:
    world = done_world(lab)
    key = "/etc/kubernetes/pki/apiserver.key"
    planned = items(plan_of(lab, changed(world, "s1", modes={**world.nodes["s1"].modes, key: 0o644})))
    assert {name: item.why for name, item in planned.items()} == {"s1/files": f"{key} has mode 0644, not 0600"}


def test_the_first_server_that_can_be_reached_founds_the_quorum(lab: Intent) -> None:
    world = bare_world(lab)
    assert founder_of(lab.inventory.servers, world) == "s1"
    without = ClusterFacts({name: found for name, found in world.nodes.items() if name != "s1"})
    assert founder_of(lab.inventory.servers, without) == "s2"


def test_no_one_founds_a_quorum_beside_one_whose_data_is_there(lab: Intent) -> None:
    world = bare_world(lab)
    assert founder_of(lab.inventory.servers, changed(world, "s3", kind="installed", etcd_data=True)) is None


def test_a_quorum_that_was_founded_before_is_not_founded_again_while_its_data_is_away(lab: Intent) -> None:
    lab.state.note_founded()
    world = bare_world(lab)
    away = ClusterFacts({**world.seen, "s1": Unreachable(ClusterupError("no answer", hint="start it"))})
    (problem,) = prepare(lab, away, wipe=frozenset()).problems
    assert isinstance(problem, Refused)
    assert "founded before" in str(problem)
    assert "not reached: s1" in str(problem)
    assert str(lab.state.founded_note) in problem.hint


def test_a_node_that_can_t_be_reached_is_left_alone_and_the_others_go_on(lab: Intent) -> None:
    world = bare_world(lab)
    away = ClusterFacts({**world.seen, "s2": Unreachable(ClusterupError("no answer", hint="start it"))})
    planned = items(plan_of(lab, away))
    assert not [name for name in planned if name.startswith("s2/")]
    assert {"s1/join", "s3/join", "a1/join"} <= set(planned)


def test_a_kubeconfig_that_others_can_read_is_written_again(lab: Intent) -> None:
    world = done_world(lab)
    lab.kubeconfig.chmod(0o644)
    assert items(plan_of(lab, world))["cluster/kubeconfig"].why == "others can read it"


def test_servers_that_were_all_off_start_their_etcd_together(lab: Intent) -> None:
    world = dataclasses.replace(done_world(lab), etcd=None, api=None)
    for name in lab.servers:
        units = {**world.nodes[name].units, "etcd.service": UnitFacts("failed", None)}
        world = changed(world, name, units=units)
    planned = items(plan_of(lab, world))
    assert [planned[f"{name}/etcd.start"].after for name in lab.servers] == [(), (), ()]
