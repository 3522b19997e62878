"""What a machine does that joins as a server, beside what every node does.

A server's token that was made for one node opens what was made for that node, its keys among it. The first machine that
comes with it notes itself there: another one is told so, and the same one goes on.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import http.client
import socket
import ssl
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bootstrap.constants.paths import ETCD_PKI, KUBERNETES_CA, KUBERNETES_PKI
from bootstrap.constants.ports import API_PORT, ETCD_CLIENT_PORT, ETCD_PEER_PORT
from bootstrap.constants.tokens import CLAIMED_BY, MADE, MADE_BYTES, MADE_KEY, TOKENS_NAMESPACE
from bootstrap.node.asking import MERGE, Api
from bootstrap.node.joining.description import Agent, ServerParts, server_of
from bootstrap.node.joining.gateway import Etcd
from bootstrap.node.joining.quorum import Own, become_member, require_room, take_back
from bootstrap.node.joining.turn import turn
from bootstrap.node.machine import Machine, start, write
from bootstrap.protocol.discovery import ServerUrl
from bootstrap.protocol.exchange import unpacked
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.token import Token

SECRET = f"/api/v1/namespaces/{TOKENS_NAMESPACE}/secrets/{MADE}"
# They let in to etcd, and to the API server as an administrator.
ETCD_CLIENT = f"{KUBERNETES_PKI}/apiserver-etcd-client"
ADMINISTRATOR = f"{KUBERNETES_PKI}/apiserver-kubelet-client"
OWN_API = ServerUrl("127.0.0.1", API_PORT)
READY_SECONDS = 1800.0
EVERY_SECONDS = 2.0


@dataclass(frozen=True)
class Becoming:
    """The server that this machine is to be, and where what was made for it is kept."""

    agent: Agent
    parts: ServerParts
    secret: Mapping[str, Any]
    token: Token

    @property
    def own(self) -> Own:
        return Own(self.parts.name, self.parts.address, ETCD_PEER_PORT)


def made_for(api: Api, token: Token) -> Becoming | None:
    """What was made for this machine; None where the token is not a server's. Raises Failure."""
    status, found = api.get(SECRET.format(token.id))
    if status in (401, 403, 404):
        return None
    if status != 200:
        raise Failure(
            "the cluster does not say what this token is for",
            tried=f"GET {SECRET.format(token.id)}",
            got=f"{status}: {found.get('message')}",
            hint="look at `journalctl -u kube-apiserver` on a server; the same command goes on",
            passing=True,
        )
    try:
        text = unpacked(base64.b64decode(found["data"][MADE_KEY], validate=True), MADE_BYTES).decode()
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise Failure(
            "what was made for this server can't be read",
            hint="the cluster's operator makes another token: clusterup token create --role server --node NAME",
        ) from None
    agent, parts = server_of(text)
    return Becoming(agent, parts, found, token)


def check(becoming: Becoming, name: str, etcd: Etcd) -> None:
    """Raise Failure where this is another machine than was meant, or the quorum has no room for it now."""
    parts = becoming.parts
    if name != parts.name:
        raise Failure(
            f"the token is for the server {parts.name}, and this machine calls itself {name}",
            hint=f"if it is that machine: --name {parts.name}",
        )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((parts.address, 0))
        except OSError as error:
            raise Failure(
                f"the server {parts.name} is at {parts.address}, and this machine has no such address",
                got=error.strerror or str(error),
                hint="give it that address, or correct the inventory, apply, and make another token",
            ) from None
    require_room(etcd, becoming.own)


def claim(becoming: Becoming, api: Api, machine: Machine) -> None:
    """Note in the cluster that it is this machine that became the server. Raises Failure where another one did."""
    metadata, mine, path = becoming.secret["metadata"], _fingerprint(machine), SECRET.format(becoming.token.id)
    held = _claimed_by(becoming.secret)
    if held is None:
        # A change that fails where another machine was quicker.
        change = {"resourceVersion": metadata["resourceVersion"], "annotations": {CLAIMED_BY: mine}}
        status, found = api.send("PATCH", path, {"metadata": change}, MERGE)
        if status == 409:
            status, found = api.get(path)
        if status != 200 or _claimed_by(found) is None:
            raise Failure(
                "the token could not be used",
                tried=f"note this machine in {path.rpartition('/')[2]}",
                got=f"{status}: {found.get('message') or 'somebody changed it meanwhile'}",
                hint="the same command again; or another token, where it has ended",
                passing=True,
            )
        held = _claimed_by(found)
    if held != mine:
        raise Failure(
            "another machine has used this token",
            tried=f"become the server {becoming.parts.name} with token {becoming.token.id}",
            got="a server's token is good for one machine",
            hint="find out which one: its holder has the keys of a server. `clusterup token revoke` ends it",
        )


def etcd_of(becoming: Becoming) -> Etcd:
    """The quorum of the other servers, asked with what was made for this one. Raises Failure, OSError."""
    files = {file.path: file.content for file in becoming.agent.files}
    context = _showing(files, f"{ETCD_PKI}/ca.crt", ETCD_CLIENT)
    return Etcd([ServerUrl(address, ETCD_CLIENT_PORT) for address in becoming.agent.servers], context)


def become_server(becoming: Becoming, etcd: Etcd, machine: Machine) -> None:
    """Join etcd and start the control plane, with the cluster's lock held; what joined as a learner and fails is taken
    out again. Raises Failure, OSError, SubprocessError."""
    doing = f"{becoming.parts.name} becomes a server by itself"
    with turn(etcd, doing, machine.say) as still_ours:
        # Whoever held the lock meanwhile may have changed the quorum.
        require_room(etcd, becoming.own)
        _vote(becoming, etcd, machine)
        still_ours()
        _control_plane(becoming, machine)


def _vote(becoming: Becoming, etcd: Etcd, machine: Machine) -> None:
    try:
        become_member(etcd, becoming.own, machine, lambda: start(becoming.parts.etcd, machine))
    except Exception:
        machine.say(f"this server did not get its vote; {take_back(etcd, becoming.own)}")
        raise


def _control_plane(becoming: Becoming, machine: Machine) -> None:
    parts = becoming.parts
    write(machine, parts.handover)
    api_server, *others = parts.control_plane
    start([api_server], machine)
    machine.say("waiting until the API server is ready")
    _wait_until_ready(becoming)
    start(others, machine)


def note_on_node(becoming: Becoming) -> None:
    """Give this server's Node what a kubelet may not give itself. Raises Failure, OSError, HTTPException."""
    path = f"/api/v1/nodes/{quote(becoming.parts.name, safe='')}"
    status, said = _administrator(becoming).send("PATCH", path, becoming.parts.node, MERGE)
    if status != 200:
        raise Failure(
            "its Node does not get the labels of a server",
            tried=f"PATCH {path}",
            got=f"{status}: {said.get('message')}",
            hint="`clusterup apply` of the cluster's operator gives them to it",
            passing=True,
        )


def _wait_until_ready(becoming: Becoming) -> None:
    api, said = _administrator(becoming), ""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        try:
            if api.ready():
                return
            said = "/readyz says no"
        except (OSError, http.client.HTTPException) as error:
            said = str(error) or type(error).__name__
        time.sleep(EVERY_SECONDS)
    raise Failure(
        f"its API server is not ready after {READY_SECONDS:.0f} s",
        got=said,
        hint="look at `journalctl -u kube-apiserver`; what is done stays, and the same command goes on",
        passing=True,
    )


def _administrator(becoming: Becoming) -> Api:
    files = {file.path: file.content for file in becoming.agent.files}
    return Api(OWN_API, _showing(files, KUBERNETES_CA, ADMINISTRATOR), {})


def _showing(files: Mapping[str, bytes], authority: str, pair: str) -> ssl.SSLContext:
    """A context that shows a certificate. ssl reads it from files only: one that no one else reads, for a moment."""
    try:
        context = ssl.create_default_context(cadata=files[authority].decode())
        shown = files[f"{pair}.crt"] + b"\n" + files[f"{pair}.key"]
    except KeyError as error:
        raise Failure("what was made for this server lacks a part", got=str(error), hint="make another token") from None
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "pair.pem"
        place.touch(mode=0o600)
        place.write_bytes(shown)
        context.load_cert_chain(place)
    return context


def _claimed_by(secret: Mapping[str, Any]) -> str | None:
    held: str | None = (secret["metadata"].get("annotations") or {}).get(CLAIMED_BY)
    return held


def _fingerprint(machine: Machine) -> str:
    """Which machine it is, without telling its id. Source: machine-id(5)."""
    found = machine.place("/etc/machine-id").read_text().strip()
    return hashlib.sha256(f"clusterup join {found}".encode()).hexdigest()[:32]
