"""The Secret with what was made for one server, which the holder of one token reads, and nobody else who is not an
administrator. Like all Secrets it is encrypted in etcd.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from bootstrap.errors import ClusterupError, Refused
from bootstrap.outside import parsed_json
from bootstrap.pki.token import NAMESPACE, Token
from bootstrap.steps.discovery import Discovered
from bootstrap.steps.in_time import unpacked
from bootstrap.steps.joining import STEP, Machine, token_client
from bootstrap.steps.kube_client import KubeClient, KubeForbidden, KubeUnauthorized
from bootstrap.steps.server_tokens import LARGEST
from bootstrap.steps.token_objects import Manifest, delete_secret_for_holder, secret_for_holder

KEY = "server.json.gz"
# No server comes near to it: packed, it has room in a Secret.
UNPACKED = 64 << 20


@dataclass(frozen=True, slots=True)
class MadeFor:
    """The server that a token was made for."""

    name: str
    address: IPv4Address


def made_secret_name(token_id: str) -> str:
    """The name of the Secret, and of the Role and RoleBinding that open it."""
    return f"clusterup-made-{token_id}"


def made_server_objects(token_id: str, bootstrap_secret: Mapping[str, Any], made: bytes) -> tuple[Manifest, ...]:
    """The Secret with what was made, and what lets exactly the token's holder read it and note who used it. All of it
    goes when the token's own Secret goes. Raises ClusterupError for one that is too large."""
    if len(made) > LARGEST:
        raise ClusterupError(
            "what this server would hold is too large for a token",
            step=STEP,
            tried="put it into a Secret, compressed",
            got=f"{len(made)} bytes, and {LARGEST} are possible",
            hint="let it join from here: `clusterup apply`",
        )
    return secret_for_holder(made_secret_name(token_id), token_id, {KEY: made}, ["get", "patch"], bootstrap_secret)


def delete_made_objects(api: KubeClient, token_id: str) -> bool:
    """Delete them. Whether there were any. Raises KubeError."""
    return delete_secret_for_holder(api, made_secret_name(token_id))


def made_for(cluster: Discovered, token: Token) -> MadeFor | None:
    """The server that the token was made for; None for any other token. Raises ClusterupError."""
    try:
        with token_client(cluster, token) as api:
            secret = api.get("Secret", made_secret_name(token.id), NAMESPACE)
    except (KubeForbidden, KubeUnauthorized):
        return None
    if secret is None:
        return None
    try:
        server = parsed_json(unpacked(base64.b64decode(secret["data"][KEY]), UNPACKED))["server"]
        return MadeFor(str(server["name"]), IPv4Address(server["address"]))
    except (KeyError, TypeError, ValueError):
        raise ClusterupError(
            "what was made for the token's server can't be read",
            step=STEP,
            hint="make another token: clusterup token create --role server --node NAME",
        ) from None


def joins_by_itself(server: MadeFor) -> Refused:
    """What to say to somebody who would join another machine's way with such a token."""
    return Refused(
        f"the token is for the server {server.name}, which joins by itself",
        node=server.name,
        step=STEP,
        tried="find out what the token is good for",
        got=f"it opens what was made for {server.name} at {server.address}, and was not used up",
        hint="type `clusterup-node join` on that machine, or make a stick for it (`clusterup stick`); from here a "
        "server joins with a token that was made without --node, or from its operator's inventory",
    )


def check_same_server(server: MadeFor, machine: Machine) -> None:
    """Raise Refused where a machine is to be another one than the token was made for."""
    if (machine.name, machine.address) != (server.name, server.address):
        raise Refused(
            f"the token is for the server {server.name} at {server.address}",
            node=machine.name,
            step=STEP,
            tried="compare it with what was asked for",
            got=f"{machine.name} at {machine.address}",
            hint="use its name and address; another server needs a token of its own",
        )
