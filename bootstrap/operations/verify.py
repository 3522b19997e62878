"""Proof that a cluster works: a pod on each node fetches a page from a pod on each node, reaches the API through the
service `kubernetes`, looks up names, and reads what another pod has written into a volume. Everything that this makes
is in a namespace of its own, which is deleted at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.kubernetes_errors import KubeError
from bootstrap.constants.objects import STORAGE_CLASS
from bootstrap.engine.patience import until
from bootstrap.errors import ClusterupError
from bootstrap.protocol.nodes import is_ready

NAMESPACE = "clusterup-verify"
IMAGE = "clusterup.local/busybox:1"
PORT = 8080
HEADLESS = "serve"
CLAIMED, CLAIMED_OF = "1Mi", f"claim:{STORAGE_CLASS}"
CLAIMED_AT = "/data"
EVERY_SECONDS = 1.0
# What is done at the end is worth no longer wait.
END_SECONDS = 30.0
Say = Callable[[str], None]

_SERVE = f"mkdir -p /tmp/www && echo page of $NODE >/tmp/www/index.html && exec httpd -f -p {PORT} -h /tmp/www"
# Routes and service rules of a node that has just joined may be some seconds late.
_FETCH = """\
try() {
    for attempt in 1 2 3 4 5 6 7 8 9 10 11 12; do "$@" && return; sleep 5; done
    return 1
}
now() { read -r up _ </proc/uptime; echo "${up%.*}${up#*.}"; }
# How long the attempt took that went well, in milliseconds: /proc/uptime counts hundredths of a second.
told() {
    what=$1
    shift
    if try timed "$@"; then echo "fetched $what $took"; else echo "missed $what 0"; fi
}
timed() {
    began=$(now)
    "$@" >/dev/null && took=$((($(now) - began) * 10))
}
page() { [ "$(wget -q -O - -T 10 "http://$2:$PORT/")" = "page of $1" ]; }
api() { wget -q -O - -T 10 --no-check-certificate "https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/version"; }
kept() { [ "$(cat /data/file)" = "data of $NODE" ]; }
named() { nslookup -type=a "$1." | grep -q '^Name:'; }
for target in $TARGETS; do told "${target%=*}" page "${target%=*}" "${target#*=}"; done
told api api
for name in $NAMES; do told "name:$name" named "$name"; done
if [ -n "$CLAIM" ]; then if kept; then echo "fetched $CLASS $CLAIM"; else echo "missed $CLASS 0"; fi; fi
"""
_WRITE = f'echo "data of $NODE" >{CLAIMED_AT}/file && sync'


@dataclass(frozen=True, slots=True)
class Fetch:
    """What a pod on node `source` tried to fetch: from a pod on node `target`, from "api", the address of a name
    ("name:" and the name), or what an earlier pod has written into its volume ("claim:" and its class); whether it
    could, and in how many milliseconds. For a volume, that is the time in which the pod that wrote came up with it, in
    whole seconds."""

    source: str
    target: str
    fetched: bool
    milliseconds: int

    @property
    def in_words(self) -> str:
        """As a person reads it."""
        kind, colon, name = self.target.partition(":")
        took = f" ({self.milliseconds} ms)" if self.fetched else ""
        if colon and kind == "claim":
            reads = "reads" if self.fetched else "DOES NOT READ"
            return f"the pod on {self.source} {reads} what another one has written into a volume{took}"
        if colon:
            return f"the pod on {self.source} {'finds' if self.fetched else 'DOES NOT FIND'} the name {name}{took}"
        target = "the API's service address" if kind == "api" else f"the pod on {kind}"
        return f"the pod on {self.source} {'reaches' if self.fetched else 'DOES NOT REACH'} {target}{took}"


def names_to_find(domain: str) -> tuple[str, ...]:
    """Names that the DNS of every cluster knows: a Service with an address of its own, and, while a proof is made, a
    headless one. `domain` is the cluster's."""
    return f"kubernetes.default.svc.{domain}", f"{HEADLESS}.{NAMESPACE}.svc.{domain}"


def ready_nodes(client: KubeClient, timeout: float) -> list[str]:
    """The names of the nodes that are Ready, asked for `timeout` seconds. Raises ClusterupError as below."""
    return [node["metadata"]["name"] for node in client.within(timeout).list("Node") if is_ready(node)]


def verify_cluster(
    client: KubeClient,
    nodes: Sequence[str],
    *,
    names: Sequence[str] = (),
    claiming: Sequence[str] = (),
    timeout: float,
    say: Say,
) -> tuple[Fetch, ...]:
    """Run the pods on `nodes` and say what they could fetch, which of the `names` they find, and of those nodes that
    are `claiming`, whether a pod finds in its volume what another one has written. `timeout` (seconds) bounds each of
    the rounds: what an earlier run left, the pods that serve and write, the pods that fetch. Within it a slow answer,
    or none, is not a failure: the same is asked again.

    Raises ClusterupError when pods don't come up or the API does not answer in that time, and at once for what the API
    refuses.
    """
    _begin(client, timeout, say)
    try:
        say(f"starting a pod on each of {len(nodes)} nodes")
        for manifest in (_headless(), *(_claim(node) for node in claiming)):
            client.within(timeout).apply(manifest)
        serving = {f"serve-{node}": _pod(f"serve-{node}", node, _SERVE, {}) for node in nodes}
        writing = {f"write-{node}": _claiming(_pod(f"write-{node}", node, _WRITE, {}), node) for node in claiming}
        ends = dict.fromkeys(serving, "Running") | dict.fromkeys(writing, "Succeeded")
        there = _round(client, {**serving, **writing}, ends, timeout)
        addresses = {node: there[f"serve-{node}"]["status"]["podIP"] for node in nodes}
        say("fetching from each of them on every node, and from the API's service address; looking up names")
        targets = " ".join(f"{node}={address}" for node, address in addresses.items())
        settings = {"TARGETS": targets, "PORT": str(PORT), "NAMES": " ".join(names)}
        fetching = {f"fetch-{node}": _pod(f"fetch-{node}", node, _FETCH, settings) for node in nodes}
        for node in claiming:
            took = {"CLASS": CLAIMED_OF, "CLAIM": str(_came_up(there[f"write-{node}"]))}
            fetching[f"fetch-{node}"] = _claiming(_pod(f"fetch-{node}", node, _FETCH, settings | took), node)
        _round(client, fetching, dict.fromkeys(fetching, "Succeeded"), timeout)
        asked = client.within(timeout)
        return tuple(fetch for node in nodes for fetch in _fetches(node, asked.log(f"fetch-{node}", NAMESPACE)))
    finally:
        _end(client.within(min(timeout, END_SECONDS)), say)


def _begin(client: KubeClient, timeout: float, say: Say) -> None:
    """An empty namespace with its service account, one of an earlier run deleted first."""
    asked = client.within(timeout)
    if asked.get("Namespace", NAMESPACE) is not None:
        say("removing what an earlier run left")
        asked.delete("Namespace", NAMESPACE)
        _until(lambda: asked.get("Namespace", NAMESPACE) is None, f"namespace {NAMESPACE} to go away", timeout)
    asked = client.within(timeout)
    asked.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    _until(
        lambda: asked.get("ServiceAccount", "default", NAMESPACE) is not None,
        "the namespace's service account (the controller manager makes it)",
        timeout,
    )


def _end(client: KubeClient, say: Say) -> None:
    """Delete the namespace. Where that fails, what the pods have found counts more; the next run deletes it first."""
    try:
        client.delete("Namespace", NAMESPACE)
    except KubeError as error:
        say(f"the namespace {NAMESPACE} is still there: {error.got or error.problem}")


def _claiming(pod: dict[str, Any], node: str) -> dict[str, Any]:
    """The same pod with the volume of that node's claim."""
    container = {**pod["spec"]["containers"][0], "volumeMounts": [{"name": "data", "mountPath": CLAIMED_AT}]}
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": f"claim-{node}"}}
    return {**pod, "spec": {**pod["spec"], "containers": [container], "volumes": [volume]}}


def _claim(node: str) -> dict[str, Any]:
    """A small volume of the class that the nodes make."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"claim-{node}", "namespace": NAMESPACE},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": CLAIMED}},
            "storageClassName": STORAGE_CLASS,
        },
    }


def _came_up(pod: dict[str, Any]) -> int:
    """How many milliseconds after it was made a pod began that has ended, in whole seconds; 0 where it does not say."""
    containers: list[dict[str, Any]] = pod.get("status", {}).get("containerStatuses") or [{}]
    ended = containers[0].get("state", {}).get("terminated") or {}
    made, began = pod["metadata"].get("creationTimestamp"), ended.get("startedAt")
    if not made or not began:
        return 0
    return max(0, round((datetime.fromisoformat(began) - datetime.fromisoformat(made)).total_seconds() * 1000))


def _pod(name: str, node: str, script: str, environment: dict[str, str]) -> dict[str, Any]:
    """A pod that the scheduler puts on `node`, whatever its taints."""
    own: list[dict[str, Any]] = [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]
    own += [{"name": key, "value": value} for key, value in environment.items()]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"part": name.partition("-")[0]}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "nodeSelector": {"kubernetes.io/hostname": node},
            "tolerations": [{"operator": "Exists"}],
            "containers": [
                {
                    "name": "main",
                    "image": IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", script],
                    "env": own,
                }
            ],
        },
    }


def _round(
    client: KubeClient, pods: Mapping[str, dict[str, Any]], ends: Mapping[str, str], timeout: float
) -> dict[str, dict[str, Any]]:
    """Start pods, by name, and wait until each has come to the phase that `ends` says; the pods by name."""
    end, asked = time.monotonic() + timeout, client.within(timeout)
    for pod in pods.values():
        asked.apply(pod)
    found: dict[str, dict[str, Any]] = {}

    def there() -> bool:
        found.update({pod["metadata"]["name"]: pod for pod in asked.list_remembered("Pod", NAMESPACE)})
        return all(_in_phase(found.get(name, {}), ends[name]) for name in pods)

    def told() -> str:
        return "; ".join(
            _told(found[name]) for name in pods if name in found and not _in_phase(found[name], ends[name])
        )

    _until(there, f"pods to be {' or '.join(sorted(set(ends.values())))}", max(0.0, end - time.monotonic()), told)
    return {name: found[name] for name in pods}


def _in_phase(pod: dict[str, Any], phase: str) -> bool:
    return bool(pod.get("status", {}).get("phase") == phase)


def _told(pod: dict[str, Any]) -> str:
    """Why a pod is where it is, as far as it says so."""
    status = pod.get("status", {})
    waiting = [
        state.get("state", {}).get("waiting", {}).get("message")
        or state.get("state", {}).get("waiting", {}).get("reason")
        for state in status.get("containerStatuses") or []
    ]
    scheduled = [entry.get("message") for entry in status.get("conditions") or [] if entry.get("status") == "False"]
    words = [word for word in (*waiting, *scheduled) if word]
    return f"{pod['metadata']['name']} is {status.get('phase')}" + (f" ({words[0]})" if words else "")


def _until(condition: Callable[[], bool], what: str, timeout: float, told: Callable[[], str] = lambda: "") -> None:
    """Raises ClusterupError as `until` does, with what helps here."""
    hint = f"kubectl -n {NAMESPACE} describe pods, while it runs again, says more"
    try:
        until(lambda: condition() or None, what=what, seconds=timeout, every=EVERY_SECONDS, told=told, hint=hint)
    except ClusterupError as error:
        error.step = error.step or "verify"
        raise


def _fetches(node: str, log: str) -> list[Fetch]:
    rows = [line.split() for line in log.splitlines()]
    return [
        Fetch(node, row[1], row[0] == "fetched", int(row[2]))
        for row in rows
        if len(row) == 3 and row[0] in ("fetched", "missed") and row[2].isdecimal()
    ]


def _headless() -> dict[str, Any]:
    """A Service whose name has the addresses of the pods that serve."""
    metadata = {"name": HEADLESS, "namespace": NAMESPACE}
    spec = {
        "clusterIP": "None",
        "selector": {"part": HEADLESS},
        "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
