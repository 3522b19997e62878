"""This machine joins a cluster, with nothing but a server's URL, a token and a pin: as an agent or, where the token was
made for it as a server, as that.

Everything is looked at before it is done: a second run goes on where the first one ended.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import platform
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from bootstrap.constants.objects import JOIN_MANIFEST, JOIN_MANIFEST_KEY, JOIN_MANIFEST_NAMESPACE, KUBELET_SIGNER
from bootstrap.constants.paths import (
    BOOTSTRAP_CONF,
    KEPT_ETC,
    KUBELET_CERTIFICATE,
    KUBELET_PENDING_KEY,
    KUBERNETES_CA,
    PAYLOAD_LINK,
)
from bootstrap.constants.ports import LOCAL_API_PORT
from bootstrap.constants.tokens import NODE, TOKENS_NAMESPACE
from bootstrap.node.asking import Api
from bootstrap.node.joining.description import Agent, agent_of
from bootstrap.node.joining.fetch import Source
from bootstrap.node.joining.server import become_server, check, claim, etcd_of, made_for, note_on_node
from bootstrap.node.joining.trusted import require_trusted
from bootstrap.node.machine import Machine, begin, run, start, write
from bootstrap.protocol.discovery import SIGNED_SECONDS, ServerUrl, discover
from bootstrap.protocol.failure import Failure, Kind
from bootstrap.protocol.files import NodeFile
from bootstrap.protocol.nodes import is_ready
from bootstrap.protocol.token import Token

SECRETS = f"/api/v1/namespaces/{TOKENS_NAMESPACE}/secrets"
AGENT = f"/api/v1/namespaces/{JOIN_MANIFEST_NAMESPACE}/configmaps/{JOIN_MANIFEST}"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
LOCAL_API = ServerUrl("127.0.0.1", LOCAL_API_PORT)
RELEASE = "/usr/lib/extension-release.d/extension-release.clusterup"
MERGING = "/run/clusterup/merging"
MEMBERSHIP = "/etc/clusterup/cluster.json"
READY_SECONDS = 1800.0
EVERY_SECONDS = 5.0


@dataclass(frozen=True)
class Wish:
    """What was asked for: the cluster, and how this machine is to be called in it and reached by the others."""

    server: ServerUrl
    token: Token
    pins: frozenset[str]
    name: str
    address: str | None = None


def join(wish: Wish, machine: Machine) -> None:
    """Make this machine a Ready node. Raises Failure, OSError, CalledProcessError."""
    ca = discover(wish.server, wish.token, wish.pins, patience=SIGNED_SECONDS).decode()
    machine.say(f"{wish.server} is the cluster that was meant")
    api = Api(wish.server, ssl.create_default_context(cadata=ca), {"Authorization": f"Bearer {wish.token.reveal()}"})
    becoming = made_for(api, wish.token)
    agent = becoming.agent if becoming else _described(api, wish)
    _check_membership(machine, agent)
    _check_processor(agent)
    require_trusted(agent, machine)
    joined = machine.place(KUBELET_CERTIFICATE).exists()
    if not joined:
        _check_name(api, wish, wish.name if becoming else _node_of(api, wish.token))
    if becoming:
        etcd = etcd_of(becoming)
        check(becoming, wish.name, etcd)
        claim(becoming, api, machine)
    _bring(agent, Source(agent.servers, ca, wish.token.reveal()), machine)
    start(agent.runtime, machine)
    if becoming:
        # It shows the host key that its operator knows from now on; who is logged in stays.
        run("systemctl", "try-reload-or-restart", "ssh.service")
        become_server(becoming, etcd, machine)
    denied = _denied_from_now_on(api, wish)
    if not joined:
        kubeconfig = NodeFile(BOOTSTRAP_CONF, _kubeconfig(agent.cluster, ca, wish.token), 0o600)
        if write(machine, kubeconfig):
            # A kubelet that asks with an older token goes on with that, whatever is in the file.
            run("systemctl", "stop", "kubelet.service")
            machine.place(KUBELET_PENDING_KEY).unlink(missing_ok=True)
    begin(agent.kubelet, machine)
    _wait_until_ready(wish, machine, denied)
    machine.place(BOOTSTRAP_CONF).unlink(missing_ok=True)
    start(agent.kubelet, machine)
    if becoming:
        note_on_node(becoming)
    machine.say(f"{wish.name} is a Ready {'server' if becoming else 'node'} of {agent.cluster}")


def own_address(server: ServerUrl) -> str:
    """The address from which this machine reaches the server (nothing is sent). Raises OSError."""
    kind, _, _, _, place = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(kind, socket.SOCK_DGRAM) as sock:
        sock.connect(place)
        return str(sock.getsockname()[0])


def _described(api: Api, wish: Wish) -> Agent:
    status, found = api.get(AGENT)
    if status != 200:
        raise Failure(
            "the cluster does not let this token join a node of its own",
            tried=f"GET {AGENT} with token {wish.token.id}",
            got=f"{status}: {found.get('message')}",
            hint="is it a token for agents, and was the cluster applied with this version of clusterup? "
            "`clusterup token list` shows both",
        )
    return agent_of(found["data"][JOIN_MANIFEST_KEY], wish.name, wish.address or own_address(wish.server))


def _check_processor(agent: Agent) -> None:
    own = platform.machine()
    if agent.architecture != own:
        raise Failure(
            "what the cluster's servers hand out does not run on this machine's processor",
            kind=Kind.REFUSED,
            tried="compare it with that of the servers",
            got=f"{own} here, {agent.architecture} there",
            hint="the cluster's operator writes this machine into the inventory, with its architecture, and applies it",
        )


def _check_membership(machine: Machine, agent: Agent) -> None:
    place = machine.place(MEMBERSHIP)
    if place.exists() and (found := json.loads(place.read_text())).get("id") != agent.cluster_id:
        raise Failure(
            "this machine was installed for another cluster",
            got=f"{found.get('cluster')} ({str(found.get('id'))[:8]}), not {agent.cluster} ({agent.cluster_id[:8]})",
            hint="`clusterup join` from elsewhere installs it again, with --wipe",
        )


def _node_of(api: Api, token: Token) -> str | None:
    """The only node that the token is for; None where it is for any, or its holder may not look."""
    status, secret = api.get(f"{SECRETS}/bootstrap-token-{token.id}")
    found: str | None = (secret["metadata"].get("annotations") or {}).get(NODE) if status == 200 else None
    return found


def _check_name(api: Api, wish: Wish, meant: str | None) -> None:
    """Raise Failure where this machine would not get its name with the token, which is for the node `meant`."""
    if meant not in (None, wish.name):
        raise Failure(
            f"the token is for the node {meant}, and this machine calls itself {wish.name}",
            hint=f"if it is that one: --name {meant}; or another token: clusterup token create --node {wish.name}",
        )
    status, node = api.get(f"/api/v1/nodes/{quote(wish.name, safe='')}")
    if status == 200 and is_ready(node):
        raise Failure(
            f"the cluster has a node {wish.name} already, and it is Ready",
            tried="look for the name that this machine would have",
            hint="give this machine another one with --name; or remove that node first: `clusterup remove`",
        )
    if status == 200 and meant is None:
        raise Failure(
            f"the cluster has a node {wish.name} already, and the token is for new names",
            tried="look for the name that this machine would have",
            hint=f"if this machine takes its place: clusterup token create --node {wish.name}; if not, give it another "
            "name with --name",
        )


def _bring(agent: Agent, source: Source, machine: Machine) -> None:
    """Payload, images and files, in the order in which nothing half-done is ever started."""
    for image in agent.images:
        source.bring(image, machine.place(image.path), machine.say)
    source.bring(agent.payload, machine.place(agent.payload.path), machine.say)
    _merge(agent.payload.path, machine)
    changed = [file for file in agent.files if write(machine, file)]
    for file in agent.files:
        write(machine, NodeFile(f"{KEPT_ETC}{file.path}", file.content, file.mode))
    os.sync()
    if changed:
        machine.say(f"{len(changed)} files are written")
        run("systemctl", "daemon-reload")


def _merge(payload: str, machine: Machine) -> None:
    link, merging = machine.place(PAYLOAD_LINK), machine.place(MERGING)
    linked = link.is_symlink() and str(link.readlink()) == payload
    if linked and machine.place(RELEASE).exists() and not merging.exists():
        return
    merging.parent.mkdir(parents=True, exist_ok=True)
    merging.touch()
    link.parent.mkdir(parents=True, exist_ok=True)
    new = link.with_name(f"{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(payload)
    new.rename(link)
    run("systemd-sysext", "refresh")
    merging.unlink()
    machine.say("the payload is part of /usr")


def _wait_until_ready(wish: Wish, machine: Machine, denied: Callable[[], list[str]]) -> None:
    machine.say(f"waiting until {wish.name} is Ready")
    end = time.monotonic() + READY_SECONDS
    while not _ready(wish.name, machine):
        if time.monotonic() >= end:
            raise Failure(
                f"{wish.name} did not become Ready within {READY_SECONDS:.0f} s",
                hint="look at `journalctl -u kubelet`; what is done stays, and the same command goes on",
                passing=True,
            )
        time.sleep(EVERY_SECONDS)
        # Most have their certificate by now, and need not ask for the requests of all.
        if not machine.place(KUBELET_CERTIFICATE).exists() and (refused := denied()):
            raise Failure(
                "the cluster refuses this machine its certificate",
                tried=f"join as {wish.name} with token {wish.token.id}",
                got="; ".join(refused),
                hint="a machine that takes a Node's place joins with a token for its name (`clusterup token create "
                f"--node {wish.name}`), any other one with an ordinary one (`clusterup token create`)",
            )


def _ready(name: str, machine: Machine) -> bool:
    """What the node's own Node says to the node."""
    certificate = machine.place(KUBELET_CERTIFICATE)
    if not certificate.exists():
        return False
    try:
        context = ssl.create_default_context(cafile=str(machine.place(KUBERNETES_CA)))
        context.load_cert_chain(str(certificate))
        status, node = Api(LOCAL_API, context, {}).get(f"/api/v1/nodes/{quote(name, safe='')}")
    except (OSError, http.client.HTTPException, ValueError):
        return False
    return status == 200 and is_ready(node)


def _denied_from_now_on(api: Api, wish: Wish) -> Callable[[], list[str]]:
    """What asks why requests with this token were denied since. A request that was decided before has an older version
    than the cluster has now, which no list of them is needed to know."""
    now = _answer(api, "?fieldSelector=metadata.name%3Dnone").get("metadata", {}).get("resourceVersion")
    user = f"system:bootstrap:{wish.token.id}"

    def denied() -> list[str]:
        if now is None:
            return []
        # Out of the API server's memory, the quorum is not asked; other signers' requests are none of ours.
        found = _answer(api, f"?fieldSelector=spec.signerName%3D{quote(KUBELET_SIGNER)}&resourceVersion=0")
        return [
            str(condition.get("message") or condition.get("reason"))
            for csr in found.get("items") or []
            if csr["spec"].get("username") == user and int(csr["metadata"]["resourceVersion"]) > int(now)
            for condition in csr.get("status", {}).get("conditions") or []
            if condition.get("type") == "Denied"
        ]

    return denied


def _answer(api: Api, question: str) -> dict[str, Any]:
    """A list of requests for certificates; empty where it is not to be had."""
    try:
        status, found = api.get(f"{REQUESTS}{question}")
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    return found if status == 200 else {}


def _kubeconfig(cluster: str, ca: str, token: Token) -> bytes:
    """JSON, which is YAML as well: what a kubelet joins with, through the node's own balancer."""
    authority = base64.b64encode(ca.encode()).decode()
    found = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": str(LOCAL_API), "certificate-authority-data": authority}}],
        "users": [{"name": "bootstrap", "user": {"token": token.reveal()}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": "bootstrap"}}],
        "current-context": cluster,
    }
    return (json.dumps(found, indent=1) + "\n").encode()
