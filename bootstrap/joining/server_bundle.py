"""The Secret with what was made for one server, which the holder of one token reads, and no one else who is not an
administrator. Like all Secrets it is encrypted in etcd.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from ipaddress import IPv4Address

from bootstrap.clients.kubernetes_errors import KubeForbidden, KubeUnauthorized
from bootstrap.constants.tokens import MADE_BYTES, MADE_KEY, TOKENS_NAMESPACE
from bootstrap.errors import ClusterupError, Refused
from bootstrap.joining.discovery import Discovered
from bootstrap.joining.node import STEP, JoiningMachine, token_client
from bootstrap.outside import parsed_json
from bootstrap.protocol.exchange import unpacked
from bootstrap.protocol.token import Token
from bootstrap.tokens.server_bundle import made_secret_name


@dataclass(frozen=True, slots=True)
class MadeFor:
    """The server that a token was made for."""

    name: str
    address: IPv4Address


def made_for(cluster: Discovered, token: Token) -> MadeFor | None:
    """The server that the token was made for; None for any other token. Raises ClusterupError."""
    try:
        with token_client(cluster, token) as api:
            secret = api.get("Secret", made_secret_name(token.id), TOKENS_NAMESPACE)
    except (KubeForbidden, KubeUnauthorized):
        return None
    if secret is None:
        return None
    try:
        server = parsed_json(unpacked(base64.b64decode(secret["data"][MADE_KEY]), MADE_BYTES))["server"]
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


def check_same_server(server: MadeFor, machine: JoiningMachine) -> None:
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
