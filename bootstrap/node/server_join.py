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

import quorum
from asking import MERGE, Api
from description import Agent, ServerParts, server_of
from exchange import unpacked
from machine import Machine, start, write
from quorum import Etcd, Own, become_member, require_room, take_back
from trouble import Trouble
from trust import Server, Token
from turn import turn

MADE = "/api/v1/namespaces/kube-system/secrets/clusterup-made-{}"
KEY = "server.json.gz"
# No server comes near to it: what is packed has room in a Secret, 1 MiB.
LARGEST = 64 << 20
CLAIMED = "clusterup.dev/claimed-by"
PKI = "/etc/kubernetes/pki"
CA = f"{PKI}/ca.crt"
# They let in to etcd, and to the API server as an administrator.
ETCD_CLIENT, ADMINISTRATOR = f"{PKI}/apiserver-etcd-client", f"{PKI}/apiserver-kubelet-client"
OWN_API = Server("127.0.0.1", 6443)
READY_SECONDS = 600.0
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
        return Own(self.parts.name, self.parts.address, quorum.PEER_PORT)


def made_for(api: Api, token: Token) -> Becoming | None:
    """What was made for this machine; None where the token is no server's. Raises Trouble."""
    status, found = api.get(MADE.format(token.id))
    if status in (401, 403, 404):
        return None
    if status != 200:
        raise Trouble(
            "the cluster does not say what this token is for",
            tried=f"GET {MADE.format(token.id)}",
            got=f"{status}: {found.get('message')}",
            hint="look at `journalctl -u kube-apiserver` on a server; the same command goes on",
            passing=True,
        )
    try:
        text = unpacked(base64.b64decode(found["data"][KEY], validate=True), LARGEST).decode()
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise Trouble(
            "what was made for this server can't be read",
            hint="the cluster's operator makes another token: clusterup token create --role server --node NAME",
        ) from None
    agent, parts = server_of(text)
    return Becoming(agent, parts, found, token)


def check(becoming: Becoming, name: str, etcd: Etcd) -> None:
    """Raise Trouble where this is another machine than was meant, or the quorum has no room for it now."""
    parts = becoming.parts
    if name != parts.name:
        raise Trouble(
            f"the token is for the server {parts.name}, and this machine calls itself {name}",
            hint=f"if it is that machine: --name {parts.name}",
        )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((parts.address, 0))
        except OSError as error:
            raise Trouble(
                f"the server {parts.name} is at {parts.address}, and this machine has no such address",
                got=error.strerror or str(error),
                hint="give it that address, or correct the inventory, apply, and make another token",
            ) from None
    require_room(etcd, becoming.own)


def claim(becoming: Becoming, api: Api, machine: Machine) -> None:
    """Note in the cluster that it is this machine that became the server. Raises Trouble where another one did."""
    metadata, mine, path = becoming.secret["metadata"], _fingerprint(machine), MADE.format(becoming.token.id)
    held = _claimed_by(becoming.secret)
    if held is None:
        # A change that fails where another machine was quicker.
        change = {"resourceVersion": metadata["resourceVersion"], "annotations": {CLAIMED: mine}}
        status, found = api.send("PATCH", path, {"metadata": change}, MERGE)
        if status == 409:
            status, found = api.get(path)
        if status != 200 or _claimed_by(found) is None:
            raise Trouble(
                "the token could not be used",
                tried=f"note this machine in {path.rpartition('/')[2]}",
                got=f"{status}: {found.get('message') or 'somebody changed it meanwhile'}",
                hint="the same command again; or another token, where it has ended",
                passing=True,
            )
        held = _claimed_by(found)
    if held != mine:
        raise Trouble(
            "another machine has used this token",
            tried=f"become the server {becoming.parts.name} with token {becoming.token.id}",
            got="a server's token is good for one machine",
            hint="find out which one: its holder has the keys of a server. `clusterup token revoke` ends it",
        )


def etcd_of(becoming: Becoming) -> Etcd:
    """The quorum of the other servers, asked with what was made for this one. Raises Trouble, OSError."""
    files = {file.path: file.content for file in becoming.agent.files}
    context = _showing(files, f"{PKI}/etcd/ca.crt", ETCD_CLIENT)
    return Etcd([Server(address, quorum.CLIENT_PORT) for address in becoming.agent.servers], context)


def become_server(becoming: Becoming, etcd: Etcd, machine: Machine) -> None:
    """Join etcd and start the control plane, with the cluster's lock held; what joined as a learner and fails is taken
    out again. Raises Trouble, OSError, SubprocessError."""
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
    """Give this server's Node what a kubelet may not give itself. Raises Trouble, OSError, HTTPException."""
    path = f"/api/v1/nodes/{quote(becoming.parts.name, safe='')}"
    status, said = _administrator(becoming).send("PATCH", path, becoming.parts.node, MERGE)
    if status != 200:
        raise Trouble(
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
    raise Trouble(
        f"its API server is not ready after {READY_SECONDS:.0f} s",
        got=said,
        hint="look at `journalctl -u kube-apiserver`; what is done stays, and the same command goes on",
        passing=True,
    )


def _administrator(becoming: Becoming) -> Api:
    files = {file.path: file.content for file in becoming.agent.files}
    return Api(OWN_API, _showing(files, CA, ADMINISTRATOR), {})


def _showing(files: Mapping[str, bytes], authority: str, pair: str) -> ssl.SSLContext:
    """A context that shows a certificate. ssl reads it from files only: one that nobody else reads, for a moment."""
    try:
        context = ssl.create_default_context(cadata=files[authority].decode())
        shown = files[f"{pair}.crt"] + b"\n" + files[f"{pair}.key"]
    except KeyError as error:
        raise Trouble("what was made for this server lacks a part", got=str(error), hint="make another token") from None
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "pair.pem"
        place.touch(mode=0o600)
        place.write_bytes(shown)
        context.load_cert_chain(place)
    return context


def _claimed_by(secret: Mapping[str, Any]) -> str | None:
    held: str | None = (secret["metadata"].get("annotations") or {}).get(CLAIMED)
    return held


def _fingerprint(machine: Machine) -> str:
    """Which machine it is, without telling its id. Source: machine-id(5)."""
    found = machine.place("/etc/machine-id").read_text().strip()
    return hashlib.sha256(f"clusterup join {found}".encode()).hexdigest()[:32]
