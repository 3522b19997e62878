"""What kubelets and controllers do: certificates for tokens, Nodes that become Ready, tokens that end."""

from __future__ import annotations

import base64
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import yaml

from bootstrap.constants.objects import APPROVER_USER
from bootstrap.constants.paths import BOOTSTRAP_CONF, KUBELET_CERTIFICATE, KUBELET_CONF, KUBELET_REGISTRATION
from bootstrap.constants.tokens import SERVERS, SERVERS_KEY, TOKENS_NAMESPACE, USED_BY
from bootstrap.node.approver.verdict import Denied, judge, name_of, tally_of
from bootstrap.phases.kubelet import told_at
from bootstrap.pki.x509 import KeyPair, Usage, issue
from bootstrap.protocol.token import Token, detached_signature

if TYPE_CHECKING:
    from tests.simulator.machines.node import SimulatedMachine
    from tests.simulator.objects import Object, Objects
    from tests.simulator.site import Site

API_SERVER, KUBELET, CONTROLLERS = "kube-apiserver.service", "kubelet.service", "kube-controller-manager.service"
APPROVES = "clusterup-approver.service"
DESCRIPTION = ("ConfigMap", "kube-public", "cluster-info")
# Without them no one may ask for a certificate, and no one says yes.
BINDINGS = ("kubeadm:kubelet-bootstrap", "clusterup:counted-bootstrap", APPROVER_USER)
# What a Node needs to be Ready.
NEEDED = (KUBELET, "containerd.service", "clusterup-network.service")


def serving(machine: SimulatedMachine) -> Objects | None:
    """What the API server on a machine serves; None where it does not."""
    ready = machine.systemd.active(API_SERVER) and machine.etcd is not None and machine.etcd.cluster.answers()
    return machine.etcd.cluster.objects if ready and machine.etcd is not None else None


def seen_by(machine: SimulatedMachine) -> Objects | None:
    """What the first API server serves that the balancer on a machine finds."""
    if not machine.systemd.active("clusterup-balancer.service"):
        return None
    return next((objects for each in machine.site.machines.values() if (objects := serving(each)) is not None), None)


def why_no_certificate(machine: SimulatedMachine) -> str | None:
    """None where the kubelet has a certificate, or has got one now; or why it has none."""
    if machine.files.content(KUBELET_CERTIFICATE) and machine.files.content(KUBELET_CONF):
        return None
    problem = _why_unknown(machine) or _why_denied(machine)
    signer = next((pair for each in machine.site.machines.values() if (pair := _signs(each)) is not None), None)
    if problem is not None or signer is None:
        return problem or "no one signs certificates"
    user = f"system:node:{machine.name}"
    made = issue(signer, common_name=user, usage=Usage.CLIENT, organizations=["system:nodes"])
    machine.files.write(KUBELET_CERTIFICATE, made.cert_pem + made.key_pem, 0o600, synced=True)
    machine.files.write(KUBELET_CONF, b"kubelet\n", 0o600, synced=True)
    return None


def _why_unknown(machine: SimulatedMachine) -> str | None:
    """None where the API server takes the token that the kubelet shows for good, and lets it ask."""
    objects = seen_by(machine)
    if not machine.files.content(BOOTSTRAP_CONF):
        return "there is neither a certificate nor a token"
    if objects is None:
        return "no API server answers"
    if _own_token(machine, objects) is None:
        return "Unauthorized"
    return None if all(objects.get(("ClusterRoleBinding", "", name)) for name in BINDINGS) else "Forbidden"


def _own_token(machine: SimulatedMachine, objects: Objects) -> Object | None:
    content = machine.files.content(BOOTSTRAP_CONF) or b""
    return token_of(objects, yaml.safe_load(content)["users"][0]["user"]["token"], machine.site)


def _why_denied(machine: SimulatedMachine) -> str | None:
    """None where an approver at work says yes, by its own rules, and has counted the use."""
    objects = seen_by(machine)
    secret = _own_token(machine, objects) if objects is not None else None
    if objects is None or secret is None:
        return "no one to ask"
    if not any(serving(each) is not None and each.systemd.active(APPROVES) for each in machine.site.machines.values()):
        return "no approver is at work"
    servers = objects.get(("ConfigMap", TOKENS_NAMESPACE, SERVERS))
    if servers is None:
        return "no one says which names are servers'"
    name = name_of(machine.name, objects.get(("Node", "", machine.name)), servers["data"][SERVERS_KEY].split())
    tally, groups = tally_of(secret), _value(secret, "auth-extra-groups").split(",")
    uid = f"{machine.name}-{machine.boot_id}"
    request = {"metadata": {"uid": uid}, "spec": {"groups": groups}}
    try:
        if judge(request, machine.name, tally, name):
            used_by = " ".join((*tally.used_by, uid))
            counted = {"metadata": {"annotations": {USED_BY: used_by}}}
            objects.apply(("Secret", TOKENS_NAMESPACE, secret["metadata"]["name"]), counted)
    except Denied as denied:
        return f"Denied: {denied}"
    return None


def keep_cluster(site: Site) -> None:
    """What controllers and kubelets bring about, as far as they run."""
    for machine in site.machines.values():
        objects = serving(machine)
        if objects is not None and machine.systemd.active(CONTROLLERS):
            objects.apply(("ServiceAccount", "kube-system", "default"), {"apiVersion": "v1", "kind": "ServiceAccount"})
            _end_tokens(objects, site)
            _give_ranges(objects)
            _judge_silent(objects, site)
    for machine in site.machines.values():
        objects = seen_by(machine) if machine.on else None
        if objects is not None and machine.systemd.active(KUBELET):
            _tell(machine, objects)


def token_of(objects: Objects, token: str, site: Site) -> Object | None:
    """The Secret that makes a token good; None for one that is not."""
    number, _, secret = token.partition(".")
    found = objects.get(("Secret", "kube-system", f"bootstrap-token-{number}"))
    return found if found and _value(found, "token-secret") == secret and not _ended(found, site) else None


def signed_cluster_info(objects: Objects, site: Site) -> Object | None:
    """What the cluster tells strangers, signed for each token as its bootstrap signer does."""
    found = objects.get(DESCRIPTION)
    if found is None:
        return None
    for secret in objects.all("Secret", "kube-system"):
        if _value(secret, "usage-bootstrap-signing") == "true" and not _ended(secret, site):
            token = Token(_value(secret, "token-id"), _value(secret, "token-secret"))
            signature = detached_signature(found["data"]["kubeconfig"], token)
            found["data"][f"jws-kubeconfig-{token.id}"] = signature
    return found


def _value(secret: Object, key: str) -> str:
    return base64.b64decode(secret.get("data", {}).get(key, "")).decode()


def _ended(secret: Object, site: Site) -> bool:
    until = datetime.strptime(_value(secret, "expiration"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return until.timestamp() <= time.time() + site.watch.ahead


def _end_tokens(objects: Objects, site: Site) -> None:
    for secret in objects.all("Secret", "kube-system"):
        if secret.get("type") == "bootstrap.kubernetes.io/token" and _ended(secret, site):
            objects.delete(("Secret", "kube-system", secret["metadata"]["name"]))


def _signs(machine: SimulatedMachine) -> KeyPair | None:
    if serving(machine) is None or not machine.systemd.active(CONTROLLERS):
        return None
    pair = [machine.files.content(f"/etc/kubernetes/pki/ca.{kind}") for kind in ("crt", "key")]
    return KeyPair(pair[0], pair[1]) if pair[0] and pair[1] else None


def _give_ranges(objects: Objects) -> None:
    given = {node["spec"].get("podCIDR") for node in objects.look("Node")}
    for name in [node["metadata"]["name"] for node in objects.look("Node") if "podCIDR" not in node["spec"]]:
        free = next(text for number in range(256) if (text := f"10.244.{number}.0/24") not in given)
        given.add(free)
        objects.apply(("Node", "", name), {"spec": {"podCIDR": free}})


def _judge_silent(objects: Objects, site: Site) -> None:
    for name in [node["metadata"]["name"] for node in objects.look("Node")]:
        machine = site.machines.get(name)
        if name not in site.elsewhere and (machine is None or not machine.systemd.active(KUBELET)):
            _say_ready(objects, name, "Unknown", told_at(objects.get(("Node", "", name)) or {}))


def _tell(machine: SimulatedMachine, objects: Objects) -> None:
    name = ("Node", "", machine.name)
    node = objects.get(name)
    if node is None:
        node = objects.apply(name, {"apiVersion": "v1", "kind": "Node", **_registration(machine)})
    objects.apply(name, {"status": {"nodeInfo": {"machineID": _machine_id(machine)}}})
    ready = all(map(machine.systemd.active, NEEDED)) and "podCIDR" in node["spec"]
    # Once when it has started: after that nothing changes that it would tell.
    told = datetime.fromtimestamp(machine.systemd.runs[KUBELET].since / 1e6, UTC).isoformat()
    _say_ready(objects, machine.name, "True" if ready else "False", told)


def _say_ready(objects: Objects, name: str, status: str, told: str | None) -> None:
    condition = {"type": "Ready", "status": status, "lastHeartbeatTime": told}
    objects.apply(("Node", "", name), {"status": {"conditions": [condition]}})


def _registration(machine: SimulatedMachine) -> dict[str, Any]:
    """The Node that a kubelet makes: with the labels and taints that it was started with."""
    told = (machine.files.content(KUBELET_REGISTRATION) or b"").decode()
    labels = re.search(r"--node-labels=(\S+)", told)
    taints = re.search(r"--register-with-taints=(\S+)", told)
    addresses = [{"type": "InternalIP", "address": machine.address}]
    return {
        "metadata": {"labels": dict(pair.split("=", 1) for pair in labels[1].split(",")) if labels else {}},
        "spec": {"taints": [_taint(text) for text in taints[1].split(",")]} if taints else {},
        "status": {
            "addresses": addresses,
            "nodeInfo": {"kubeletVersion": "v1.20.2", "machineID": _machine_id(machine)},
            "conditions": [],
        },
    }


def _machine_id(machine: SimulatedMachine) -> str:
    return (machine.files.content("/etc/machine-id") or b"").decode().strip()


def _taint(text: str) -> dict[str, str]:
    rest, _, effect = text.rpartition(":")
    key, _, value = rest.partition("=")
    return {"key": key, "effect": effect, **({"value": value} if value else {})}
