"""Joining a server with a token: what the token opens, what comes of it with the machine, and what is kept here.

A server's token opens the cluster's keys. With them this machine becomes an operator's: the machine's entry is added to
the inventory that was handed over, and an ordinary apply of that makes it a server. Until the token is used up, nothing
of it is in the state that is kept: what is looked with lies in a folder beside it, and is removed again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootstrap.adopt import state as adopt
from bootstrap.adopt.fetch import HandedOver
from bootstrap.adopt.state import OtherHere
from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.kubernetes_errors import KubeForbidden, KubeUnauthorized
from bootstrap.constants.tokens import TOKENS_NAMESPACE
from bootstrap.engine.lock import Patience, file_lock
from bootstrap.errors import Refused
from bootstrap.inventory.adding import with_even_servers, with_node
from bootstrap.inventory.load import ReadInventory, written_of
from bootstrap.inventory.model import Inventory, Node
from bootstrap.inventory.taking_out import replace_file
from bootstrap.joining.discovery import Discovered
from bootstrap.joining.node import PATIENCE_SECONDS, STEP, JoiningMachine, token_client
from bootstrap.paths import expanded, state_dir
from bootstrap.pki.sealed import unseal
from bootstrap.pki.store import read_if_there
from bootstrap.protocol.certificate import certificates_in
from bootstrap.protocol.token import Token
from bootstrap.state.cluster import LIVE, SSH_KEY, ClusterState, state_folder
from bootstrap.state.credentials import OperatorKeys
from bootstrap.state.damage import AS_IT_IS, damaged
from bootstrap.state.handover import parse_handover
from bootstrap.tokens.server import HANDOVER_KEY, claim_server_token, server_secret_name
from bootstrap.written import write_private

AUTHORITY = "pki/ca.crt"
USED = "joined-with"
ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Prospect:
    """A server that is to join: what was handed over for it, the inventory with its entry, and the file for that.
    `notes` are what a person has to know of it."""

    token_id: str
    found: HandedOver
    node: Node
    place: Path
    written: ReadInventory
    notes: tuple[str, ...]

    @property
    def cluster(self) -> str:
        return self.found.handover.cluster

    @property
    def present(self) -> Inventory:
        """The inventory as it was handed over."""
        return self.found.handover.inventory


def opened_with(cluster: Discovered, token: Token) -> HandedOver | None:
    """What a server's token opens; None for any other token. It is not used up by that.

    Raises ClusterupError where it can't be unsealed, Refused where it is another cluster's.
    """
    try:
        with token_client(cluster, token) as api:
            secret = api.get("Secret", server_secret_name(token.id), TOKENS_NAMESPACE)
    except (KubeForbidden, KubeUnauthorized):
        return None
    if secret is None:
        return None
    content = unseal(_value(secret), token)
    found = HandedOver(str(cluster.server), parse_handover(content, node=str(cluster.server)), _digest(content))
    theirs = certificates_in(found.handover.parts[AUTHORITY].decode())
    if not set(theirs) <= set(certificates_in(cluster.ca_pem.decode())):
        raise Refused(
            "the keys that the token opens are those of another cluster",
            step=STEP,
            tried=f"compare the authority among them with the one that {cluster.server} showed",
            got="another one",
            hint="revoke the token, and find out who made it",
        )
    return found


def prospect_of(token_id: str, found: HandedOver, machine: JoiningMachine, place: Path | None) -> Prospect:
    """The server that `machine` is to be, in the inventory at `place` (NAME.yaml where nothing is said).

    Raises Refused where its name or address belongs to a node, or another file is at that place; BadUse where the
    inventory does not take the entry.
    """
    handover = found.handover
    file = place or Path(f"{handover.cluster}.yaml")
    _check_not_there(machine, handover.inventory)
    content = with_node(file, handover.written, entry_of(machine))
    notes: list[str] = []
    count = len(handover.inventory.servers) + 1
    if count % 2 == 0:
        notes.append(_even(count))
        if not handover.inventory.cluster.allow_even_servers:
            content = with_even_servers(file, content)
            notes.append(
                f"cluster.allow_even_servers: true is written into {file} as well: without it that many are refused"
            )
    adopt.check_inventory_place(file, handover.written)
    written = written_of(file, content)
    return Prospect(token_id, found, written.inventory.node(machine.name), file, written, tuple(notes))


def entry_of(machine: JoiningMachine) -> dict[str, Any]:
    """The entry of a server in an inventory, with no more in it than was said."""
    ssh = machine.ssh.model_dump(mode="json", exclude_unset=True)
    if ssh.get("host") == str(machine.address):
        del ssh["host"]
    if ssh.get("key"):
        ssh["key"] = str(expanded(ssh["key"]).absolute())
    entry = {
        "name": machine.name,
        "role": "server",
        "address": str(machine.address),
        "disk": machine.disk,
        "labels": dict(machine.labels),
        "taints": [taint.model_dump(mode="json", exclude_unset=True) for taint in machine.taints],
        "interfaces": [card.model_dump(mode="json", exclude_unset=True) for card in machine.interfaces],
        "ssh": ssh,
    }
    return {key: value for key, value in entry.items() if value}


@contextmanager
def state_to_look_with(prospect: Prospect, patience: Patience) -> Iterator[ClusterState]:
    """A state of what was handed over, apart from the one that is kept here, for as long as the block lasts. Raises
    Refused where the one that is kept does not go with it, or another clusterup joins a server to that cluster."""
    adopt.check_takes_over(prospect.found)
    kept = state_folder(prospect.cluster)
    folder = kept.with_name(f".{kept.name}.joining")
    with file_lock(kept.with_name(f".{kept.name}.joining.lock"), f"join {prospect.node.name}", patience):
        # One that was killed has left it.
        shutil.rmtree(folder, ignore_errors=True)
        try:
            state = adopt.make_state(folder, prospect.found)
            if (pins := read_if_there(ClusterState(kept).host_keys.path)) is not None:
                write_private(state.host_keys.path, pins)
            yield state
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def kept_state_locked(prospect: Prospect, patience: Patience) -> Iterator[None]:
    """Hold the lock of the state that is kept here, where there is one."""
    state = ClusterState(state_folder(prospect.cluster))
    with ExitStack() as stack:
        if state.folder.exists():
            stack.enter_context(file_lock(state.lock, f"join {prospect.node.name}", patience))
        yield


def claim(prospect: Prospect, cluster: Discovered, keys: OperatorKeys) -> None:
    """Use the token up. Raises Refused where somebody else has, or the inventory would have no place; KubeError."""
    server, place = cluster.server, prospect.place
    adopt.check_inventory_place(place, prospect.found.handover.written)
    if not os.access(place if place.exists() else place.parent, os.W_OK):
        raise Refused(
            f"{place} can't be written",
            step=STEP,
            tried="look whether the inventory has a place, before the token is used up",
            got="it is not writable, or its folder is not there",
            hint="name another file with --inventory",
        )
    with KubeClient(
        server.host,
        server.port,
        ca_pem=cluster.ca_pem,
        client=keys.admin,
        server_name=server.host,
        timeout=ANSWER_SECONDS,
        patience=PATIENCE_SECONDS,
    ) as api:
        claim_server_token(api, prospect.token_id)


def keep(prospect: Prospect, looked_with: ClusterState) -> None:
    """Make the state here an operator's, write the inventory, and note what the token was used for. The caller holds
    the state's lock, where there was a state. Raises ClusterupError."""
    found, folder = prospect.found, state_folder(prospect.cluster)
    state = ClusterState(folder)
    if not folder.exists():
        adopt.take_over(found, OtherHere.KEEP)
    elif found.sha256 not in state.handovers or not (folder / SSH_KEY).exists():
        adopt.take_into(state, found, OtherHere.KEEP)
    # Who was asked about it is not asked again.
    if (seen := looked_with.host_keys.pinned(prospect.node.name).get(LIVE)) is not None:
        state.host_keys.pin(prospect.node.name, LIVE, seen)
    note = {"node": prospect.node.name, "inventory": str(prospect.place.absolute())}
    write_private(folder / USED / prospect.token_id, json.dumps(note).encode())
    if prospect.place.exists():
        replace_file(prospect.place, found.handover.written, prospect.written.content)
    else:
        adopt.write_inventory(prospect.place, prospect.written.content)


def used_here(token_id: str) -> Refused | None:
    """What to say to somebody who types the command a second time: the token was used up by the first."""
    for path in state_dir().glob(f"clusters/*/{USED}/{token_id}"):
        try:
            note = json.loads(path.read_bytes())
            node, inventory = str(note["node"]), str(note["inventory"])
        except (OSError, ValueError, KeyError, TypeError):
            raise damaged(path, "it does not say for which machine the token was used", AS_IT_IS) from None
        return Refused(
            "the token was used up, by the join that was begun from here; this machine has the cluster's keys now",
            node=node,
            step=STEP,
            tried=f"join with the token {token_id} once more",
            got="a server's token is good for one join",
            hint=f"clusterup apply {inventory} goes on; clusterup remove {node} {inventory} takes it back",
        )
    return None


def _check_not_there(machine: JoiningMachine, inventory: Inventory) -> None:
    for node in inventory.nodes:
        if (machine.name, machine.address) == (node.name, node.address):
            raise Refused(
                "it is in the cluster's inventory already",
                node=machine.name,
                step=STEP,
                tried="look for its name and its address there",
                got=f"{node.role.value} {node.name} at {node.address}",
                hint="`clusterup apply` of the cluster's operator makes it what is written there; where that is "
                "another machine that is gone for good, `clusterup remove` it first, and make a new token",
            )
        if machine.name == node.name or machine.address == node.address:
            what = f"name {node.name}" if machine.name == node.name else f"address {node.address}"
            raise Refused(
                f"the {what} belongs to a node of the cluster",
                node=machine.name,
                step=STEP,
                tried="look for both in the cluster's inventory",
                got=f"{node.role.value} {node.name} at {node.address}",
                hint="join it under another name and at its own address; a node that is gone for good is taken out "
                "first (`clusterup remove`), and then a new token made",
            )


def _even(count: int) -> str:
    needed = count // 2 + 1
    if count == needed:
        return (
            "with 2 servers both have to be up: until a third one has joined, no failure is tolerated, and there are "
            "two machines that can fail"
        )
    return (
        f"with {count} servers {needed} have to be up: until one more has joined, {count - needed} may fail, no more "
        f"than with {count - 1}"
    )


def _value(secret: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode((secret.get("data") or {})[HANDOVER_KEY], validate=True)
    except (KeyError, ValueError):
        # Whatever it is, it is nothing that was sealed; `unseal` says so.
        return b""


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
