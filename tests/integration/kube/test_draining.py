"""Pods that have to go, against a real API server: evictions, budgets that hold them up, and force.

No kubelet runs here. What a real one would do, ending pods that were asked to go, a thread does in its place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bootstrap.clients import tunnel as ways
from bootstrap.clients.kubernetes import KubeClient, Request
from bootstrap.clients.kubernetes_errors import KubeBusy
from bootstrap.clients.tunnel import ApiServers
from bootstrap.engine.action import Action
from bootstrap.engine.connections import Connections
from bootstrap.engine.context import RunContext
from bootstrap.engine.events import ActionSays, Event
from bootstrap.errors import ClusterupError, Interrupted, Refused
from bootstrap.phases.leave import drain as steps
from bootstrap.phases.leave.drain import delete_pods, drain
from bootstrap.state.membership import Pods
from tests.helpers.daemons import wait_for
from tests.integration.kube.servers import ApiServer

NODE = "leaver"
BUDGETS = "/apis/policy/v1beta1/namespaces/default/poddisruptionbudgets"


@pytest.fixture
def api(api_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeClient]:
    """A client, also the one that a drain gets; the pods of the test are gone at its end."""
    monkeypatch.setattr(steps, "ASK_EVERY_SECONDS", 0.2)

    @contextmanager
    def any_api(*_: object) -> Iterator[KubeClient]:
        with api_server.client() as client:
            yield client

    for module in (steps, ways):
        monkeypatch.setattr(module, "any_api", any_api)
    with api_server.client() as client:
        # No controller manager makes it here, and no pod is let in without.
        client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
        account = {"name": "default", "namespace": "default"}
        client.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        yield client
        for pod in client.list("Pod", "default"):
            client.delete_at_once("Pod", pod["metadata"]["name"], "default")
        client._answer("DELETE", BUDGETS)


def pod(api: KubeClient, name: str, owner: str | None = "ReplicaSet") -> None:
    """A pod that is bound to the node and runs there."""
    reference = {"apiVersion": "apps/v1", "kind": owner, "name": "owner", "uid": "1-2", "controller": True}
    api.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": "default",
                "labels": {"app": name},
                "ownerReferences": [reference] if owner else [],
            },
            "spec": {
                "nodeName": NODE,
                "containers": [{"name": "x", "image": "x"}],
                "automountServiceAccountToken": False,
            },
        }
    )
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    path = f"/api/v1/namespaces/default/pods/{name}/status"
    api._answer("PATCH", path, Request(None, _json({"status": ready}), "application/merge-patch+json"))


def budget(api: KubeClient, app: str, allowed: int) -> None:
    """A budget for the pod of that name, as its controller would keep it: `allowed` may go now."""
    manifest = {
        "apiVersion": "policy/v1beta1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": f"{app}-budget", "namespace": "default"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": app}}},
    }
    asked = Request({"fieldManager": "test"}, _json(manifest), "application/apply-patch+yaml")
    api._answer("PATCH", f"{BUDGETS}/{app}-budget", asked)
    found = api.ask("GET", f"{BUDGETS}/{app}-budget")
    assert found is not None
    status = {
        "disruptionsAllowed": allowed,
        "currentHealthy": 1 + allowed,
        "desiredHealthy": 1,
        "expectedPods": 1 + allowed,
        "observedGeneration": found["metadata"]["generation"],
    }
    path = f"{BUDGETS}/{app}-budget/status"
    api._answer("PATCH", path, Request(None, _json({"status": status}), "application/merge-patch+json"))


@contextmanager
def kubelet(api_server: ApiServer) -> Iterator[None]:
    """Ends the node's pods that were asked to go."""
    over = threading.Event()

    def run() -> None:
        with api_server.client() as client:
            while not over.wait(0.1):
                for each in client.list("Pod", "default", fields={"spec.nodeName": NODE}):
                    if each["metadata"].get("deletionTimestamp"):
                        client.delete_at_once("Pod", each["metadata"]["name"], "default")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def context(observe: Callable[[Event], None] = lambda _: None, abort: threading.Event | None = None) -> RunContext:
    action: Action[Any] = Action(f"{NODE}/leave.drain", NODE, "leave", "drain", lambda _: "", lambda _: None)
    return RunContext(action, Connections(lambda _: pytest.fail("no way in")), observe, {}, abort or threading.Event())


def servers() -> ApiServers:
    keys: Any = None
    return ApiServers("lab", ("s1",), keys)


def names(api: KubeClient) -> set[str]:
    return {each["metadata"]["name"] for each in api.list("Pod", "default", fields={"spec.nodeName": NODE})}


def test_pods_go_and_those_of_the_node_itself_stay(api_server: ApiServer, api: KubeClient) -> None:
    pod(api, "web")
    pod(api, "of-the-node", "DaemonSet")
    with kubelet(api_server):
        drain(context(), NODE, servers(), Pods.WAIT, 60)
    assert names(api) == {"of-the-node"}


def test_a_budget_that_allows_no_disruption_is_named_and_the_pod_stays(api: KubeClient) -> None:
    pod(api, "web")
    budget(api, "web", allowed=0)
    with pytest.raises(KubeBusy) as busy:
        api.evict("web", "default")
    assert busy.value.got == "429: The disruption budget web-budget needs 1 healthy pods and has 1 currently"
    with pytest.raises(ClusterupError) as held:
        drain(context(), NODE, servers(), Pods.WAIT, 1)
    assert "1 pod of leaver may not go" in str(held.value)
    assert "default/web: 429: The disruption budget web-budget needs 1 healthy pods" in str(held.value)
    assert names(api) == {"web"}
    assert not (api.get("Pod", "web", "default") or {})["metadata"].get("deletionTimestamp")


def test_it_is_asked_again_until_the_budget_allows_it(api_server: ApiServer, api: KubeClient) -> None:
    pod(api, "web")
    budget(api, "web", allowed=0)
    held = threading.Event()

    def observe(event: Event) -> None:
        if isinstance(event, ActionSays) and "1 held up" in event.text:
            held.set()

    with kubelet(api_server):
        draining = threading.Thread(target=lambda: drain(context(observe), NODE, servers(), Pods.WAIT, 60))
        draining.start()
        wait_for(held.is_set, "a pod that is held up")
        budget(api, "web", allowed=1)
        draining.join(60)
    assert names(api) == set()


def test_force_deletes_what_is_left_in_the_end(api: KubeClient) -> None:
    pod(api, "web")
    pod(api, "alone", owner=None)
    budget(api, "web", allowed=0)
    drain(context(), NODE, servers(), Pods.DELETE, 1)
    assert names(api) == set()


def test_a_pod_that_nothing_starts_elsewhere_keeps_all_others_from_being_asked(api: KubeClient) -> None:
    pod(api, "web")
    pod(api, "alone", owner=None)
    with pytest.raises(Refused, match="1 pod would be lost") as refused:
        drain(context(), NODE, servers(), Pods.WAIT, 60)
    assert refused.value.got == "no controller: default/alone"
    assert not (api.get("Pod", "web", "default") or {})["metadata"].get("deletionTimestamp")


def test_whoever_is_interrupted_deletes_nothing(api: KubeClient) -> None:
    pod(api, "web")
    budget(api, "web", allowed=0)
    abort = threading.Event()
    abort.set()
    with pytest.raises(Interrupted):
        drain(context(abort=abort), NODE, servers(), Pods.DELETE, 60)
    assert names(api) == {"web"}


def test_pods_that_no_one_ends_are_named(api: KubeClient) -> None:
    pod(api, "web")
    with pytest.raises(ClusterupError) as waited:
        drain(context(), NODE, servers(), Pods.WAIT, 1)
    assert "1 pod of leaver did not end yet (default/web)" in str(waited.value)


def test_those_of_a_dead_machine_are_deleted_whatever_their_budget_says(api: KubeClient) -> None:
    pod(api, "web")
    budget(api, "web", allowed=0)
    delete_pods(context(), NODE, servers())
    assert names(api) == set()


def test_a_pod_that_has_gone_need_not_be_asked(api: KubeClient) -> None:
    assert not api.evict("nobody", "default")


def _json(value: object) -> bytes:
    import json

    return json.dumps(value).encode()
