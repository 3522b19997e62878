"""Whether a request for a kubelet's certificate, made with a bootstrap token, is good: a pure decision.

Annotations of a counted token's Secret say how often it may be used (clusterup.dev/uses, any number without it), for
which node (clusterup.dev/node, any without it), and which requests it was used for (clusterup.dev/used-by, their UIDs:
names can be given a second time when the first request has been cleaned away). kubeadm's own tokens have none of it:
they are for any number of new names.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from bootstrap.constants.objects import CONTROL_PLANE, KUBELET_SIGNER
from bootstrap.constants.tokens import BOOTSTRAPPERS_GROUP, LIMITED_GROUP, NODE, SERVER_GROUP, USED_BY, USES
from bootstrap.node.approver.request import node_of
from bootstrap.protocol.nodes import is_ready

# Whose holders may ask for a kubelet's certificate.
GROUPS = frozenset({LIMITED_GROUP, BOOTSTRAPPERS_GROUP})
# What the signer signs for a kubelet.
USAGES = ({"digital signature", "client auth"}, {"digital signature", "key encipherment", "client auth"})
_USER = re.compile(r"system:bootstrap:([a-z0-9]{6})", re.ASCII)

Object = Mapping[str, Any]


class Denied(ValueError):
    """The request is refused; the text says why, to the person whose node does not join."""


class Name(Enum):
    """Who has a name: no one, a Node (Ready or not), or a server of the cluster, whether it has a Node now or not."""

    FREE = "free"
    TAKEN = "taken"
    SERVERS = "a server's"


@dataclass(frozen=True)
class Tally:
    """What a token's Secret says of its use. `uses` None is any number, `node` None any node."""

    uses: int | None
    node: str | None
    used_by: tuple[str, ...]

    @property
    def used_up(self) -> bool:
        return self.uses is not None and len(self.used_by) >= self.uses


def tally_of(secret: Object) -> Tally:
    """What the Secret says; a number that is none allows nothing."""
    annotations: Mapping[str, str] = secret["metadata"].get("annotations") or {}
    uses = annotations.get(USES)
    number = None if uses is None else int(uses) if re.fullmatch("[0-9]{1,9}", uses) else 0
    return Tally(number, annotations.get(NODE), tuple(annotations.get(USED_BY, "").split()))


# A token that nothing is written down of.
UNCOUNTED = Tally(None, None, ())


def token_of(csr: Object) -> str | None:
    """The id of the token that a request for a kubelet's certificate was made with; None for other requests. Who
    asked, and in which groups, was written into it by the API server."""
    spec = csr["spec"]
    found = _USER.fullmatch(spec.get("username") or "")
    if found is None or spec.get("signerName") != KUBELET_SIGNER or not GROUPS & groups_of(csr):
        return None
    return found[1]


def groups_of(csr: Object) -> frozenset[str]:
    """The groups of who asks."""
    return frozenset(csr["spec"].get("groups") or ())


def state_of(csr: Object) -> str:
    """approved, denied (or failed), or pending."""
    kinds = {condition["type"] for condition in (csr.get("status") or {}).get("conditions") or []}
    if kinds & {"Denied", "Failed"}:
        return "denied"
    return "approved" if "Approved" in kinds else "pending"


def wanted_node(csr: Object) -> str:
    """The node that a request is for. Raises Denied where it is none of a kubelet's."""
    try:
        name = node_of(base64.b64decode(csr["spec"]["request"], validate=True))
    except (binascii.Error, ValueError) as error:
        raise Denied(f"this is not a request of a kubelet: {error}") from None
    usages = csr["spec"].get("usages") or []
    if set(usages) not in USAGES or len(usages) != len(set(usages)):
        raise Denied(f"this is not a request of a kubelet: it is for {', '.join(map(repr, usages))[:200]}")
    return name


def name_of(node: str, found: Object | None, servers: Collection[str]) -> Name:
    """Who has the name `node`: `found` is its Node, `servers` are the names of the cluster's servers."""
    labels: Mapping[str, str] = (found or {}).get("metadata", {}).get("labels") or {}
    if node in servers or CONTROL_PLANE in labels:
        return Name.SERVERS
    return Name.FREE if found is None else Name.TAKEN


def judge(csr: Object, node: str, tally: Tally, name: Name) -> bool:
    """Whether the use has yet to be counted, before the request is approved. `name` is who has the name of the node
    that it is for. Raises Denied."""
    if csr["metadata"]["uid"] in tally.used_by:
        return False
    if tally.node is not None and tally.node != node:
        raise Denied(
            f"the token is for the node {tally.node}, and the machine calls itself {node}. Join it as {tally.node}, or "
            f"with another token: clusterup token create --node {node}"
        )
    if tally.used_up:
        raise Denied(
            f"the token is used up: it was for {tally.uses} and has let in {len(tally.used_by)}. Another token: "
            "clusterup token create"
        )
    if name is Name.SERVERS and (SERVER_GROUP not in groups_of(csr) or tally.node is None):
        raise Denied(
            f"the name {node} is a server's, and a token for agents never gets it. `clusterup apply` joins the server "
            f"again; a machine that is to be an agent joins under another name"
        )
    if name is Name.TAKEN and tally.node is None:
        raise Denied(
            f"the name {node} is taken: the cluster has a Node of that name. A machine that takes its place joins with "
            f"a token for that name: clusterup token create --node {node}. Any other one joins under another name, or "
            f"after clusterup remove {node}"
        )
    return True


def is_in(node: Object | None, csr: Object) -> bool:
    """Whether the Node is Ready by the word of the kubelet whose request was approved: what the one before it said,
    whose place it takes, does not count. Clocks that are apart make this later, and the token stays until then."""
    of_csr = (csr.get("status") or {}).get("conditions") or ()
    approved = next((entry.get("lastUpdateTime") for entry in of_csr if entry.get("type") == "Approved"), None)
    of_node = (node or {}).get("status", {}).get("conditions") or ()
    told = next((entry.get("lastHeartbeatTime") for entry in of_node if entry.get("type") == "Ready"), None)
    return is_ready(node) and (not told or not approved or told >= approved)


def in_turn(requests: Iterable[Object], looks: Mapping[str, int]) -> list[Object]:
    """The requests in the order in which they are answered: what was looked at least often first (`looks`, by UID), and
    of these the newest of each token, then the second of each, and so on. A kubelet that asks again waits no more for
    what it asked before; and neither who asks a thousand times nor what can't be answered keeps others waiting."""
    newest_first = sorted(requests, key=lambda csr: csr["metadata"].get("creationTimestamp") or "", reverse=True)
    numbers: Counter[str | None] = Counter()
    turns = []
    for csr in newest_first:
        token = token_of(csr)
        turns.append((looks.get(csr["metadata"]["uid"], 0), numbers[token], csr))
        numbers[token] += 1
    return [csr for _, _, csr in sorted(turns, key=lambda turn: turn[:2])]
