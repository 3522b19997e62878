"""Who answers for the cluster's names: what a plan does about it, and what it refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bootstrap.engine.changes import STOPS
from bootstrap.engine.plan import Plan
from bootstrap.facts.model import ClusterFacts
from bootstrap.inventory.dns import Dns
from bootstrap.operations.intent import Intent, intent_of
from bootstrap.operations.planning import prepare
from bootstrap.phases.prepared import Prepared
from bootstrap.ui.review import plan_lines
from tests.helpers.worlds import bundle, finished_world, intent, keeping, new_intent, written

SERVICE = "Service/kube-system/kube-dns"
DNS, AGENT = "clusterup-dns.service", "clusterup-network.service"


@pytest.fixture
def lab(tmp_path: Path) -> Intent:
    return intent(tmp_path)


def answered_by(lab: Intent, who: Any) -> Intent:
    """The same cluster, whose inventory says who answers for names."""
    changed = lab.inventory.model_copy(update={"dns": Dns(by=who)})
    return intent_of(changed, lab.state, lab.bundle, lab.kubeconfig, written=written())


def prepared(lab: Intent, world: ClusterFacts) -> Prepared:
    return prepare(lab, world, wipe=frozenset())


def with_object(world: ClusterFacts, key: str, manifest: dict[str, Any] | None) -> ClusterFacts:
    assert world.api is not None
    objects = {name: found for name, found in world.api.objects.items() if name != key}
    api = dataclasses.replace(world.api, objects=objects | ({key: manifest} if manifest else {}))
    return dataclasses.replace(world, api=api)


def actions(plan: Plan[ClusterFacts]) -> set[str]:
    """What is done in the cluster: the operator's own file is left out."""
    return {item.action.id for item in plan.items} - {"cluster/kubeconfig"}


def test_every_node_answers_with_what_the_payload_has(lab: Intent) -> None:
    assert all({DNS, AGENT} <= {unit.name for unit in node.units} for node in lab.nodes.values())
    assert SERVICE in {f"{each['kind']}/kube-system/{each['metadata']['name']}" for each in lab.objects}
    assert actions(prepared(lab, finished_world(lab)).plan) == set()


def test_where_somebody_else_is_to_answer_the_nodes_stop_and_the_service_is_taken_out(lab: Intent) -> None:
    plan = prepared(answered_by(lab, "none"), finished_world(lab)).plan
    assert {f"{name}/unwanted" for name in lab.nodes} <= actions(plan)
    assert "cluster/objects" in actions(plan)
    stopping = [change for item in plan.items for change in item.changes.units if change.does == STOPS]
    assert {change.unit for change in stopping} == {DNS}
    assert "  a1: clusterup-dns" in list(plan_lines(plan))


def test_nothing_is_to_be_done_once_somebody_else_answers(lab: Intent) -> None:
    other = answered_by(lab, "none")
    coredns = {"metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}}
    assert actions(prepared(other, with_object(finished_world(other), SERVICE, coredns)).plan) == set()


def test_names_are_not_taken_from_somebody_who_answers_for_them(lab: Intent) -> None:
    coredns = {"metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}}
    (problem,) = prepared(lab, with_object(finished_world(lab), SERVICE, coredns)).problems
    assert problem.exit_code == 4
    assert "write `dns: none`" in str(problem)


def test_a_service_that_is_gone_is_made_again(lab: Intent) -> None:
    assert actions(prepared(lab, with_object(finished_world(lab), SERVICE, None)).plan) == {"cluster/objects"}


def without_unbound(of: Intent) -> Intent:
    """With a bundle that an earlier clusterup made."""
    made = bundle(of.bundle.directory)
    payload = made.artifact("payload")
    components = {name: found for name, found in payload.components.items() if name != "unbound"}
    older = {**made.artifacts, "payload": dataclasses.replace(payload, components=components)}
    return intent_of(
        of.inventory, of.state, dataclasses.replace(made, artifacts=older), of.kubeconfig, written=of.written
    )


def test_a_new_cluster_of_a_bundle_that_has_nothing_to_answer_with_is_refused(tmp_path: Path) -> None:
    of = without_unbound(new_intent(tmp_path))
    (problem,) = prepared(of, ClusterFacts({})).problems
    assert "nothing to answer with" in str(problem)
    assert prepared(answered_by(of, "none"), ClusterFacts({})).problems == ()


def test_a_cluster_from_before_there_were_names_stays_as_it_is(tmp_path: Path) -> None:
    of = without_unbound(keeping(new_intent(tmp_path)))
    of = keeping(of)
    world = finished_world(of)
    assert DNS not in {unit.name for unit in of.nodes["a1"].units}
    coredns = {"metadata": {"name": "kube-dns", "namespace": "kube-system"}}
    found = prepared(of, with_object(world, SERVICE, coredns))
    assert actions(found.plan) == set()
