"""Machines that are folders, for `clusterup-node join`: what a cluster has for those that join, the real server of
artifacts, and programs in the place of systemd's."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bootstrap.constants.paths import KUBERNETES_CA
from bootstrap.constants.tokens import BOOTSTRAPPERS_GROUP
from bootstrap.node import asking
from bootstrap.node.joining import join
from bootstrap.node.joining.description import agent_of
from bootstrap.pki.token import cluster_info
from bootstrap.pki.x509 import KeyPair, Usage, issue
from bootstrap.protocol.discovery import ServerUrl
from bootstrap.protocol.token import Token, detached_signature
from tests.helpers.daemons import daemon, free_ports, wait_for
from tests.helpers.node_agent import agent
from tests.integration.kube.servers import ApiServer

ADDRESS = "192.0.2.9"
PAYLOAD, IMAGE = b"the payload " * 100_000, b"an image " * 1000
CLUSTER_ID = "c" * 32
RBAC = "rbac.authorization.k8s.io"
SYSTEMCTL = """\
#!/bin/sh
echo "$@" >>{folder}/said
case "$*" in
    *is-active*) [ -e {folder}/run/$3 ] ;;
    "stop "*) rm -f {folder}/run/$2 ;;
    "restart --no-block "*)
        touch {folder}/run/$3
        mkdir -p {root}/run/clusterup/applied
        printf '%s  -\\n' "$(cat {folder}/digests/$3)" >{root}/run/clusterup/applied/$3
        if [ $3 = kubelet.service ]; then
            {kubelet}
        fi ;;
esac
"""
SYSEXT = """\
#!/bin/sh
mkdir -p {root}/usr/lib/extension-release.d
touch {root}/usr/lib/extension-release.d/extension-release.clusterup
"""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def description() -> dict[str, Any]:
    """An agent with a file of its own for a unit of each kind."""
    settings = {"path": "/etc/kubernetes/kubelet.yaml", "mode": 0o644, "content": "node: @NODE@ at @ADDRESS@\n"}
    secret = {"path": "/etc/clusterup/private", "mode": 0o600, "content": "for @NODE@\n"}
    return {
        "format": 1,
        "cluster": {"name": "lab", "id": CLUSTER_ID},
        "kubernetes": {"minor": 20},
        "labels": {},
        "taints": [],
        "authorized_keys": [],
        "settings": {},
        "payload": {"sha256": sha256(PAYLOAD), "size": len(PAYLOAD), "components": {}},
        "images": [
            {
                "path": "/var/lib/clusterup/images/pause.tar",
                "sha256": sha256(IMAGE),
                "size": len(IMAGE),
                "reference": "pause:1",
            }
        ],
        "files": [settings, secret],
        "runtime": [{"name": "containerd.service", "reads": [secret["path"]]}],
        "kubelet": [{"name": "kubelet.service", "reads": [settings["path"]]}],
        "servers": {"s1": "127.0.0.1"},
    }


def made_machine(folder: Path, server: ApiServer, node: str, kubelet: str) -> Path:
    """The root of a machine, below an empty folder, whose programs are in `programs` there. `kubelet` is what the shell
    does when the kubelet is started."""
    for name in ("root", "run", "digests", "programs"):
        (folder / name).mkdir()
    root = folder / "root"
    agent = agent_of(json.dumps(description()), node, ADDRESS)
    for unit in (*agent.runtime, *agent.kubelet):
        (folder / "digests" / unit.name).write_text(unit.digest)
    for name, script in (("systemctl", SYSTEMCTL), ("systemd-sysext", SYSEXT)):
        (folder / "programs" / name).write_text(script.format(folder=folder, root=root, kubelet=kubelet))
        (folder / "programs" / name).chmod(0o755)
    ca = root / KUBERNETES_CA.lstrip("/")
    ca.parent.mkdir(parents=True)
    ca.write_bytes(server.pki.ca.cert_pem)
    return root


def der_of(pair: KeyPair) -> bytes:
    return base64.b64decode("".join(pair.cert_pem.decode().strip().splitlines()[1:-1]))


@contextmanager
def served_artifacts(api_server: ApiServer, folder: Path) -> Iterator[int]:
    """What a joining node reads is in the cluster; the port of the server of artifacts."""
    (folder / "payload.raw").write_bytes(PAYLOAD)
    (folder / "pause.tar").write_bytes(IMAGE)
    artifacts = {sha256(PAYLOAD): f"{folder}/payload.raw", sha256(IMAGE): f"{folder}/pause.tar"}
    with serving(api_server, folder, artifacts) as port:
        yield port


@contextmanager
def serving(api_server: ApiServer, folder: Path, artifacts: Mapping[str, str]) -> Iterator[int]:
    """A server of these artifacts (paths by SHA-256), which asks the API server about tokens; its port. What joining
    nodes may read is in the cluster."""
    (folder / "ca.crt").write_bytes(api_server.pki.ca.cert_pem)
    pair = issue(api_server.pki.ca, common_name="kube-apiserver", usage=Usage.SERVER, hosts=["127.0.0.1"])
    (folder / "tls.crt").write_bytes(pair.cert_pem)
    (folder / "tls.key").write_bytes(pair.key_pem)
    (port,) = free_ports(1)
    settings = {
        "address": "127.0.0.1",
        "port": port,
        "certificate": f"{folder}/tls.crt",
        "key": f"{folder}/tls.key",
        "question": f"https://127.0.0.1:{api_server.port}{join.AGENT}",
        "ca": f"{folder}/ca.crt",
        "artifacts": dict(artifacts),
        # In a test, tokens come and go while it waits.
        "times": {"refresh": 0.2, "remember": 0.2},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    with api_server.client() as api:
        for manifest in objects(api_server):
            api.apply(manifest)
    with daemon(agent("serve", str(folder / "settings.json")), folder / "log"):
        context = ssl.create_default_context(cadata=api_server.pki.ca.cert_pem.decode())
        asked = asking.Api(ServerUrl("127.0.0.1", port), context, {})

        def answers() -> bool:
            try:
                asked.get("/")
            except ValueError:
                return True
            except OSError:
                return False
            return True

        wait_for(answers, "the server of artifacts", 30)
        yield port


def sign(server: ApiServer, token: Token) -> None:
    """Do what the control plane does for a token: sign the cluster's description with it."""
    info = cluster_info(f"https://127.0.0.1:{server.port}", server.pki.ca.cert_pem)
    signature = detached_signature(info["data"]["kubeconfig"], token)
    with server.client() as api:
        api.merge("ConfigMap", "cluster-info", {"data": {f"jws-kubeconfig-{token.id}": signature}}, "kube-public")


def objects(server: ApiServer) -> list[dict[str, Any]]:
    """What apply keeps in a cluster for those that join, as far as it is read here."""
    agent = {"name": "clusterup-agent", "namespace": "kube-system"}
    described = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": agent}
    info = cluster_info(f"https://127.0.0.1:{server.port}", server.pki.ca.cert_pem)
    anybody = {"apiGroup": RBAC, "kind": "User", "name": "system:anonymous"}
    joiners = {"apiGroup": RBAC, "kind": "Group", "name": BOOTSTRAPPERS_GROUP}
    reading = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
    rights = [
        ("kube-public", {**reading, "resourceNames": ["cluster-info"]}, anybody),
        ("kube-system", {**reading, "resourceNames": ["clusterup-agent"]}, joiners),
    ]
    found = [{**described, "data": {"agent.json": json.dumps(description())}}, info]
    for namespace, rule, subject in rights:
        metadata = {"name": "joining", "namespace": namespace}
        head = {"apiVersion": f"{RBAC}/v1", "metadata": metadata}
        role = {"apiGroup": RBAC, "kind": "Role", "name": "joining"}
        found += [{**head, "kind": "Role", "rules": [rule]}]
        found += [{**head, "kind": "RoleBinding", "roleRef": role, "subjects": [subject]}]
    nodes = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}
    requests = {
        "apiGroups": ["certificates.k8s.io"],
        "resources": ["certificatesigningrequests"],
        "verbs": ["create", "get", "list"],
    }
    head = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": "joining"}}
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "joining"}
    found += [{**head, "kind": "ClusterRole", "rules": [nodes, requests]}]
    return [*found, {**head, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": [joiners]}]
