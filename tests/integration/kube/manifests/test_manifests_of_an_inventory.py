"""Objects that an inventory names are brought into a cluster, kept there as they are written, and taken out when they
have left it: against a real API server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bootstrap.clients.kubernetes import Request
from bootstrap.clients.kubernetes_any import AnyKind
from bootstrap.engine.changes import DELETED, NEW, OTHER_CONTENT, REFUSED, STAYS, ObjectChange
from bootstrap.errors import ClusterupError
from bootstrap.manifests.kept import NAME, NAMESPACE, Kept, KeptObject
from bootstrap.manifests.kept import config_map as kept_in_a_config_map
from tests.integration.kube.manifests.brings import Brings, bringing, config_map, deployment, namespace
from tests.integration.kube.servers import ApiServer, running_controllers

PRUNES = "delete what has left the manifests of the inventory"


@pytest.fixture(scope="module")
def workloads(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What makes ReplicaSets of Deployments, and empties namespaces that go."""
    folder = tmp_path_factory.mktemp("workloads")
    with running_controllers(api_server, folder, "namespace,garbagecollector,deployment,replicaset,serviceaccount"):
        yield


@pytest.fixture
def brings(api_server: ApiServer, workloads: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Brings]:
    with bringing(api_server, tmp_path, monkeypatch) as operator:
        yield operator


def by_somebody(brings: Brings, path: str, patch: dict[str, Any]) -> None:
    """What another client writes."""
    content = json.dumps(patch).encode()
    brings.api.ask("PATCH", path, Request({"fieldManager": "kubectl-edit"}, content, "application/merge-patch+json"))


def test_objects_are_said_to_be_new_and_made_and_the_second_time_nothing_is_left_to_do(brings: Brings) -> None:
    brings.write("apps.yaml", config_map("web", "first", a="1"), namespace("first"))
    assert brings.said() == {"apply apps.yaml": "Namespace/first, ConfigMap/first/web are missing"}
    assert brings.changes() == [ObjectChange("Namespace/first", NEW), ObjectChange("ConfigMap/first/web", NEW)]
    brings.apply()
    assert brings.data("web", "first") == {"a": "1"}
    assert brings.said() == {}


def test_what_somebody_changed_is_shown_and_put_back_and_what_is_not_written_is_left_to_others(brings: Brings) -> None:
    brings.write("apps.yaml", config_map("drift", a="1", b="2"))
    brings.apply()
    by_somebody(brings, "/api/v1/namespaces/default/configmaps/drift", {"data": {"a": "9", "c": "3"}})
    assert brings.said() == {"apply apps.yaml": "ConfigMap/default/drift differs"}
    assert brings.changes() == [ObjectChange("ConfigMap/default/drift", OTHER_CONTENT, ('data.a: "9" -> "1"',))]
    brings.apply()
    assert brings.data("drift") == {"a": "1", "b": "2", "c": "3"}
    assert brings.said() == {}


def test_a_value_that_left_the_manifest_leaves_the_object(brings: Brings) -> None:
    brings.write("apps.yaml", config_map("less", a="1", b="2"))
    brings.apply()
    brings.write("apps.yaml", config_map("less", a="1"))
    assert brings.changes() == [ObjectChange("ConfigMap/default/less", OTHER_CONTENT, ('data.b: "2" -> nothing',))]
    brings.apply()
    assert brings.data("less") == {"a": "1"}


def test_a_service_s_port_needs_no_protocol(brings: Brings) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ported", "namespace": "default"}}
    brings.write("apps.yaml", {**service, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}})
    brings.apply()
    assert brings.said() == {}


def test_a_number_of_replicas_that_the_manifest_does_not_say_is_whoever_scales_its_own(brings: Brings) -> None:
    brings.write("apps.yaml", namespace("scaled"), deployment("web", "scaled"), wait=0)
    brings.apply()
    by_somebody(brings, "/apis/apps/v1/namespaces/scaled/deployments/web", {"spec": {"replicas": 0}})
    assert brings.said() == {}
    brings.write("apps.yaml", namespace("scaled"), deployment("web", "scaled", replicas=2), wait=0)
    assert [change.lines for change in brings.changes()] == [("spec.replicas: 0 -> 2",)]


def test_what_somebody_else_made_is_refused_until_the_inventory_takes_it_over_and_is_theirs_afterwards(
    brings: Brings,
) -> None:
    theirs = config_map("theirs", a="1", b="2")
    content = json.dumps(theirs).encode()
    brings.api.ask("POST", "/api/v1/namespaces/default/configmaps", Request({"fieldManager": "helm"}, content))
    brings.write("apps.yaml", config_map("theirs", a="9"))
    (refused,) = brings.changes()
    assert (refused.what, "helm" in refused.why) == (REFUSED, True)
    with pytest.raises(ClusterupError) as caught:
        brings.apply()
    assert caught.value.problem == "ConfigMap/default/theirs can't be applied"
    assert caught.value.tried == "apply it, as it is written at apps.yaml:1"
    assert "helm" in (caught.value.got or "")
    assert "{ path: apps.yaml, take_over: true }" in (caught.value.hint or "")
    assert brings.data("theirs") == {"a": "1", "b": "2"}
    brings.write("apps.yaml", config_map("theirs", a="9"), take_over=True)
    brings.apply()
    assert brings.data("theirs") == {"a": "9", "b": "2"}
    brings.forget("apps.yaml")
    assert brings.changes() == [ObjectChange("ConfigMap/default/theirs", STAYS, why="it was there before")]
    brings.apply()
    assert brings.data("theirs") == {"a": "9", "b": "2"}
    assert brings.said() == {}


def test_what_left_the_inventory_is_said_and_goes_the_last_one_first(brings: Brings) -> None:
    brings.write("base.yaml", namespace("going"))
    brings.write("apps.yaml", config_map("a", "going"), config_map("b", "going"))
    brings.apply()
    brings.write("apps.yaml", config_map("a", "going"))
    brings.forget("base.yaml")
    assert brings.said() == {
        "apply apps.yaml": "it was not seen at work yet, as it is written now",
        PRUNES: "ConfigMap/going/b, Namespace/going left the inventory",
    }
    assert brings.changes() == [
        ObjectChange("ConfigMap/going/b", DELETED),
        ObjectChange("Namespace/going", STAYS, why="others would go with it: ConfigMap/going/a"),
    ]
    brings.apply()
    assert brings.api.get("Namespace", "going") is not None
    assert (brings.data("b", "going"), brings.api.get("ConfigMap", "a", "going") is not None) == (None, True)


def test_a_namespace_goes_with_what_came_with_it_and_stays_for_what_somebody_put_there(brings: Brings) -> None:
    brings.write("apps.yaml", namespace("empty"), config_map("a", "empty"), namespace("used"), config_map("a", "used"))
    brings.apply()
    content = json.dumps(config_map("other", "used")).encode()
    brings.api.ask("POST", "/api/v1/namespaces/used/configmaps", Request({"fieldManager": "helm"}, content))
    brings.forget("apps.yaml")
    assert {change.key: (change.what, change.why) for change in brings.changes()} == {
        "ConfigMap/used/a": (DELETED, ""),
        "ConfigMap/empty/a": (DELETED, ""),
        "Namespace/empty": (DELETED, ""),
        "Namespace/used": (STAYS, "others would go with it: ConfigMap/used/other"),
    }
    brings.apply()
    assert brings.api.get("Namespace", "empty") is None
    assert brings.api.get("ConfigMap", "other", "used") is not None
    assert brings.said() == {}


def test_what_holds_data_is_not_deleted(brings: Brings) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "of-manifests", "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    brings.write("apps.yaml", claim)
    brings.apply()
    brings.forget("apps.yaml")
    assert brings.changes() == [ObjectChange("PersistentVolumeClaim/default/of-manifests", STAYS, why="it holds data")]
    brings.apply()
    assert brings.get("v1", "PersistentVolumeClaim", "of-manifests") is not None
    assert brings.said() == {}


def definition(plural: str, kind: str) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.example.org"},
        "spec": {
            "group": "example.org",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def lamp(name: str, **spec: object) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "example.org/v1", "kind": "Lamp", "metadata": metadata, "spec": spec}


def test_a_kind_and_objects_of_it_come_and_go_together_and_with_another_s_objects_the_kind_stays(
    brings: Brings,
) -> None:
    brings.write("lamps.yaml", lamp("desk", on=True), definition("lamps", "Lamp"))
    brings.apply()
    assert brings.said() == {}
    desk = brings.get("example.org/v1", "Lamp", "desk")
    assert desk is not None and desk["spec"] == {"on": True}
    kind = AnyKind(brings.api).kind("example.org/v1", "Lamp")
    assert kind is not None
    content = json.dumps(lamp("floor")).encode()
    brings.api.ask("POST", kind.path(None, "default"), Request({"fieldManager": "helm"}, content))
    brings.forget("lamps.yaml")
    brings.write("other.yaml", config_map("other"))
    brings.apply()
    stays = brings.get("example.org/v1", "Lamp", "floor")
    assert (brings.get("example.org/v1", "Lamp", "desk"), stays is not None) == (None, True)


def test_a_kind_that_nobody_defines_is_said_with_where_it_is_written(brings: Brings) -> None:
    brings.write("apps.yaml", {**lamp("desk"), "kind": "Chandelier"})
    assert brings.said() == {"apply apps.yaml": "Chandelier/default/desk is missing"}
    with pytest.raises(ClusterupError) as caught:
        brings.apply()
    assert caught.value.problem == "the API server knows no Chandelier of example.org/v1"
    assert caught.value.tried == "apply what is written at apps.yaml:1"
    assert caught.value.final


def test_a_namespace_that_is_missing_and_a_value_that_is_wrong_are_said_with_the_object(brings: Brings) -> None:
    brings.write("apps.yaml", config_map("web", "nowhere"))
    with pytest.raises(ClusterupError, match="ConfigMap/nowhere/web can't be applied") as caught:
        brings.apply()
    assert 'namespaces "nowhere" not found' in (caught.value.got or "")
    wrong = config_map("wrong")
    brings.write("apps.yaml", {**wrong, "data": {"a": {"b": 1}}})
    (change,) = brings.changes()
    assert change.what == REFUSED
    with pytest.raises(ClusterupError, match="ConfigMap/default/wrong can't be applied") as caught:
        brings.apply()
    assert caught.value.hint == "mend the manifest, then run the command again: it goes on from here"


def test_the_next_entry_waits_until_the_one_before_is_at_work_and_the_next_apply_goes_on(brings: Brings) -> None:
    brings.write("web.yaml", namespace("waits"), deployment("web", "waits", replicas=1), wait=3)
    brings.write("after.yaml", config_map("after", "waits"))
    with pytest.raises(ClusterupError) as caught:
        brings.apply()
    assert "Deployment/waits/web: 0 of 1 pods are" in str(caught.value)
    assert "kubectl -n waits describe deployment web" in str(caught.value)
    assert brings.data("after", "waits") is None
    assert brings.said()["apply web.yaml"] == "it was not seen at work yet, as it is written now"
    brings.write("web.yaml", namespace("waits"), deployment("web", "waits", replicas=0), wait=30)
    brings.entries.reverse()
    brings.apply()
    assert brings.api.get("ConfigMap", "after", "waits") is not None
    assert brings.said() == {}


def test_what_was_noted_and_never_made_is_no_reason_to_stop_and_is_forgotten(brings: Brings) -> None:
    # As it is left when apply was killed between the two.
    brings.api.apply(kept_in_a_config_map(Kept((KeptObject("v1", "ConfigMap", "default", "never"),))))
    brings.write("apps.yaml", config_map("never", a="1"))
    brings.apply()
    brings.forget("apps.yaml")
    brings.api.delete("ConfigMap", "never", "default")
    assert brings.said() == {PRUNES: "ConfigMap/default/never left the inventory"}
    assert brings.changes() == []
    brings.apply()
    assert brings.said() == {}


def test_without_what_the_cluster_keeps_of_them_whatever_is_made_is_still_known_by_its_mark(brings: Brings) -> None:
    brings.write("apps.yaml", config_map("mark"))
    brings.apply()
    brings.api.delete("ConfigMap", NAME, NAMESPACE)
    assert brings.said() == {"apply apps.yaml": "it was not seen at work yet, as it is written now"}
    brings.apply()
    brings.forget("apps.yaml")
    assert brings.changes() == [ObjectChange("ConfigMap/default/mark", DELETED)]


def test_what_somebody_made_anew_under_its_name_is_theirs(brings: Brings) -> None:
    brings.write("apps.yaml", config_map("anew"))
    brings.apply()
    brings.api.delete("ConfigMap", "anew", "default")
    content = json.dumps(config_map("anew")).encode()
    brings.api.ask("POST", "/api/v1/namespaces/default/configmaps", Request({"fieldManager": "helm"}, content))
    brings.forget("apps.yaml")
    assert brings.changes() == [ObjectChange("ConfigMap/default/anew", STAYS, why="somebody else has made it anew")]
    brings.apply()
    assert brings.api.get("ConfigMap", "anew", "default") is not None


def test_damage_to_what_the_cluster_keeps_of_them_is_said_by_the_plan(brings: Brings) -> None:
    damaged = {**kept_in_a_config_map(Kept()), "data": {"objects": "["}}
    brings.api.apply(damaged)
    brings.write("apps.yaml", config_map("web"))
    with pytest.raises(ClusterupError, match="what the cluster keeps of manifests can't be read"):
        brings.said()


def test_nothing_of_a_secret_is_in_a_plan_or_in_what_the_cluster_keeps(brings: Brings) -> None:
    metadata = {"name": "key", "namespace": "default"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": "hunter2"}}
    brings.write("apps.yaml", secret)
    brings.apply()
    assert brings.said() == {}
    brings.write("apps.yaml", {**secret, "stringData": {"password": "hunter3"}})
    (change,) = brings.changes()
    assert change.lines == ("data.password: another value (secret: it is not shown)",)
    brings.apply()
    assert "hunter" not in json.dumps(brings.api.get("ConfigMap", NAME, NAMESPACE))
    assert brings.said() == {}


def webhook(name: str, **more: object) -> dict[str, Any]:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1beta1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": f"{name}.example.org",
                "clientConfig": {"url": "https://127.0.0.1:1/"},
                "rules": [rule],
                "timeoutSeconds": 1,
                "objectSelector": {"matchLabels": {"asked": name}},
                **more,
            }
        ],
    }


def test_where_others_are_asked_who_would_do_something_at_it_the_plan_compares_by_itself(brings: Brings) -> None:
    asks = webhook("counts", sideEffects="Unknown", failurePolicy="Ignore")
    asked = config_map("asked", a="1")
    asked["metadata"]["labels"] = {"asked": "counts"}
    brings.write("webhook.yaml", asks)
    brings.apply()
    brings.write("apps.yaml", asked)
    assert brings.said() == {"apply apps.yaml": "ConfigMap/default/asked is missing"}
    brings.apply()
    assert brings.said() == {}
    by_somebody(brings, "/api/v1/namespaces/default/configmaps/asked", {"data": {"a": "2", "b": "3"}})
    assert [change.lines for change in brings.changes()] == [('data.a: "2" -> "1"',)]


def test_where_nobody_answers_who_is_to_be_asked_the_plan_says_so_of_the_object_alone(brings: Brings) -> None:
    asks = webhook("away", sideEffects="None", failurePolicy="Fail")
    asked = config_map("away")
    asked["metadata"]["labels"] = {"asked": "away"}
    brings.write("webhook.yaml", asks)
    brings.apply()
    brings.write("apps.yaml", asked, config_map("near"))
    found = {change.key: (change.what, change.why) for change in brings.changes()}
    assert found["ConfigMap/default/near"] == (NEW, "")
    what, why = found["ConfigMap/default/away"]
    assert (what, "failed calling webhook" in why) == (REFUSED, True)
    assert brings.said() == {
        "apply apps.yaml": "ConfigMap/default/near is missing; ConfigMap/default/away is refused as it is"
    }
