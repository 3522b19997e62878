"""Whether a request for a kubelet's certificate, made with a counted token, is good: a pure decision.

Annotations of the token's Secret say how often it may be used (clusterup.dev/uses, any number without it), for which
node (clusterup.dev/node, any without it), and which requests it was used for (clusterup.dev/used-by, their UIDs: names
can be given a second time when the first request has been cleaned away).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from request import node_of

GROUP = "system:bootstrappers:clusterup:counted"
SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
USES, NODE, USED_BY = "clusterup.dev/uses", "clusterup.dev/node", "clusterup.dev/used-by"
# What the signer signs for a kubelet.
USAGES = ({"digital signature", "client auth"}, {"digital signature", "key encipherment", "client auth"})
_USER = re.compile(r"system:bootstrap:([a-z0-9]{6})", re.ASCII)

Object = Mapping[str, Any]


class Denied(ValueError):
    """The request is refused; the text says why, to the person whose node does not join."""


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


def token_of(csr: Object) -> str | None:
    """The id of the counted token that a request for a kubelet's certificate was made with; None for other requests.
    Who asked, and in which groups, was written into it by the API server."""
    spec = csr["spec"]
    found = _USER.fullmatch(spec.get("username") or "")
    if found is None or spec.get("signerName") != SIGNER or GROUP not in (spec.get("groups") or []):
        return None
    return found[1]


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
        raise Denied(f"this is no request of a kubelet: {error}") from None
    usages = csr["spec"].get("usages") or []
    if set(usages) not in USAGES:
        raise Denied(f"this is no request of a kubelet: it is for {', '.join(map(repr, usages))[:200]}")
    return name


def judge(csr: Object, node: str, tally: Tally, live: bool) -> bool:
    """Whether the use has yet to be counted, before the request is approved. `live` is whether the cluster has a Ready
    Node of that name. Raises Denied."""
    if csr["metadata"]["uid"] in tally.used_by:
        return False
    if tally.node is not None and tally.node != node:
        raise Denied(f"the token is for the node {tally.node}, and the machine calls itself {node}")
    if tally.used_up:
        raise Denied(f"the token is used up: it was for {tally.uses} of them, and {len(tally.used_by)} have joined")
    if live:
        raise Denied(
            f"the name {node} is taken: a live Node has it (it is Ready). Join under another name, or remove that node "
            "first"
        )
    return True


def is_ready(node: Object | None) -> bool:
    """Whether there is such a Node, and its kubelet tells that it is well."""
    conditions = (node or {}).get("status", {}).get("conditions") or []
    return any(entry.get("type") == "Ready" and entry.get("status") == "True" for entry in conditions)
