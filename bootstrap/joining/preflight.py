"""What speaks against joining a machine with a token, found before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bootstrap.clients.kubernetes_errors import KubeForbidden, KubeUnauthorized
from bootstrap.constants.ports import API_PORT
from bootstrap.constants.tokens import NODE, TOKENS_NAMESPACE
from bootstrap.errors import ClusterupError, Refused
from bootstrap.facts.model import NodeFacts
from bootstrap.inventory.model import Node
from bootstrap.joining.node import STEP, Joining
from bootstrap.phases.preflight import Advice
from bootstrap.protocol.nodes import is_ready
from bootstrap.transport.base import Command, Transport

ADVICE = Advice(
    no_disk="name one of these: --disk /dev/...",
    other_disk="name one of these: --disk /dev/...",
    wipe="--wipe",
    foreign="take it out of the other cluster first, or start it from the live USB stick to install it again",
)
# What a bare system can make a connection with differs: the first of these that is there is asked.
_REACH = """\
places={}
reach() {{
    if command -v bash >/dev/null; then timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2"
    elif command -v nc >/dev/null; then nc -z -w 5 "$1" "$2"
    elif command -v python3 >/dev/null; then
        python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)' "$1" "$2"
    else return 126; fi
}}
for place in $places; do
    reach "${{place%:*}}" "${{place##*:}}" 2>/dev/null
    case $? in
    0) echo "yes $place" ;;
    126 | 127) echo "unknown $place" ;;
    *) echo "no $place" ;;
    esac
done
"""


def reach(places: list[str]) -> Command:
    """Print for each HOST:PORT whether it can be connected to from the machine within five seconds: yes, no, or unknown
    where nothing is there to try it with."""
    return Command.of("reach the servers", _REACH, " ".join(places))


def machine_problems(joining: Joining, facts: NodeFacts, node: Mapping[str, Any] | None) -> Iterator[ClusterupError]:
    """What speaks against joining the machine with these facts; `node` is the Node that has its name already."""
    if node is not None and is_ready(node) and not same_machine(joining, facts, node):
        yield name_taken(joining.node.name, node)
    yield from address_and_name_problems(joining.node, joining.description.cluster_id, facts)


def name_taken(name: str, node: Mapping[str, Any]) -> Refused:
    """That another machine is a live node of that name."""
    info = node.get("status", {}).get("nodeInfo") or {}
    return _refused(
        name,
        "a Ready node of that name is in the cluster already",
        tried="look for a Node of that name",
        got=f"machine {info.get('machineID') or 'unknown'} at {', '.join(_addresses(node)) or 'no address'}",
        hint="give this machine another name (--name); a node that is gone for good is taken out with "
        "`clusterup remove`",
    )


def address_and_name_problems(node: Node, cluster_id: str, facts: NodeFacts) -> Iterator[ClusterupError]:
    """Whether the machine with these facts has another address, or is installed under another name, than was told."""
    name, address = node.name, str(node.address)
    found = [each.partition("/")[0] for card in facts.interfaces for each in card.addresses]
    if found and address not in found:
        yield _refused(
            name,
            f"the machine does not have the address {address}",
            tried="look at its network cards",
            got=", ".join(found),
            hint="say at which of them the other nodes reach it: --address ADDRESS",
        )
    if facts.kind == "installed" and facts.cluster_id == cluster_id and facts.hostname != name:
        yield _refused(
            name,
            f"the machine is installed as {facts.hostname}",
            tried="read its host name",
            got=facts.hostname,
            hint=f"join it as that: --name {facts.hostname}",
        )


def token_problems(joining: Joining, node: Mapping[str, Any] | None) -> Iterator[ClusterupError]:
    """Whether the machine would not get its name with the token, as far as the cluster lets its holder read what it is
    good for; `node` is the Node that has the name already."""
    token, name = joining.token, joining.node.name
    wanted = _node_of(joining)
    if wanted not in (None, name):
        yield _refused(
            name,
            "the token is for another node",
            tried=f"read what token {token.id} is good for",
            got=f"node {wanted}",
            hint=f"join it as that (--name {wanted}), or make another token: clusterup token create --node {name}",
        )
    elif name in joining.description.servers:
        yield _refused(
            name,
            "the name is a server's, and a token for agents never gets it",
            tried="look for the name among the cluster's servers",
            got=f"{name} at {joining.description.servers[name]}",
            hint="give this machine another name (--name); the server itself is joined again by `clusterup apply`",
        )
    # One that is Ready is another problem: see `machine_problems`.
    elif wanted is None and node is not None and not is_ready(node):
        yield _refused(
            name,
            "a node of that name is in the cluster already, and the token is for new names",
            tried="look for a Node of that name",
            got=f"one that is not Ready, at {', '.join(_addresses(node)) or 'no address'}",
            hint=f"if this machine takes its place: clusterup token create --node {name}; if not, give it another name "
            f"(--name), or take that node out: clusterup remove {name}",
        )


def _node_of(joining: Joining) -> str | None:
    """The only node that the token is for; None where it is for any, or its holder may not look."""
    try:
        with joining.api() as api:
            secret = api.get("Secret", f"bootstrap-token-{joining.token.id}", TOKENS_NAMESPACE)
    except (KubeForbidden, KubeUnauthorized):
        return None
    found: str | None = ((secret or {}).get("metadata", {}).get("annotations") or {}).get(NODE)
    return found


def way_problems(joining: Joining, transport: Transport) -> Iterator[ClusterupError]:
    """Whether the machine reaches none of the API servers."""
    places = [f"{address}:{API_PORT}" for address in joining.description.servers.values()]
    out_of_reach = places_out_of_reach(places, transport)
    if places and out_of_reach == places:
        yield _refused(
            joining.node.name,
            "the machine reaches none of the cluster's API servers",
            tried=f"connect from the machine to {', '.join(places)}",
            got="no connection",
            hint="is it on the cluster's network, and does a firewall let it through to that port?",
        )


def places_out_of_reach(places: list[str], transport: Transport) -> list[str]:
    """Those of the places HOST:PORT that can't be connected to from the machine."""
    said = transport.check(reach(places), timeout=30 + 6 * len(places)).text.splitlines()
    return [line.removeprefix("no ") for line in said if line.startswith("no ")]


def same_machine(joining: Joining, facts: NodeFacts, node: Mapping[str, Any]) -> bool:
    """Whether the Node is the machine's own: it joined before."""
    info = node.get("status", {}).get("nodeInfo") or {}
    ours = facts.kind == "installed" and facts.cluster_id == joining.description.cluster_id
    return ours and info.get("machineID") == facts.machine_id


def _addresses(node: Mapping[str, Any]) -> list[str]:
    return [str(each.get("address")) for each in node.get("status", {}).get("addresses") or ()]


def _refused(node: str, problem: str, *, tried: str, got: str, hint: str) -> Refused:
    return Refused(problem, node=node, step=STEP, tried=tried, got=got, hint=hint)
