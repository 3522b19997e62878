"""What a person types to join a machine, understood: the token, the machine's name and address, labels and taints."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import Any

from bootstrap.errors import BadUse
from bootstrap.inventory.hosts import NOT_IPV6
from bootstrap.inventory.model import Node
from bootstrap.inventory.words import problems_in_words
from bootstrap.joining.node import STEP, JoiningMachine
from bootstrap.pki.token import parse_token
from bootstrap.protocol.token import Token
from bootstrap.spec.node_services import of_kubernetes
from bootstrap.transport.secrets import secret_source
from bootstrap.transport.target import Destination

VARIABLE = "CLUSTERUP_TOKEN"
INPUT = "-"
WHAT = "token"


def given_token(token: str | None, file: Path | None) -> Token:
    """The token: as it was typed, from standard input ("-"), from a file, from the environment, or asked for on the
    terminal without echo. Raises BadUse, without repeating what might be a secret."""
    if token is not None and file is not None:
        raise BadUse("two tokens were given", step=STEP, hint="leave out either --token or --token-file")
    if token == INPUT:
        return parse_token(sys.stdin.readline())
    if token is not None:
        return parse_token(token)
    source = f"file:{file}" if file is not None else f"env:{VARIABLE}" if os.environ.get(VARIABLE) else "prompt"
    try:
        return parse_token(secret_source(source, WHAT)())
    except BadUse as error:
        if source == "prompt" and not sys.stdin.isatty():
            raise BadUse(
                "no token was given, and there is no terminal to ask for one",
                step=STEP,
                hint=f"--token-file FILE, the environment variable {VARIABLE}, or --token - for standard input",
            ) from None
        raise error from None


def machine_of(
    place: Destination,
    ssh: Mapping[str, Any],
    *,
    name: str | None,
    address: str | None,
    disk: str | None,
    labels: Sequence[str],
    taints: Sequence[str],
    interfaces: Sequence[str] = (),
) -> JoiningMachine:
    """The machine that joins. `ssh` are keys of an inventory's `ssh`; `labels` are KEY=VALUE, `taints` are
    KEY=VALUE:EFFECT, `interfaces` MAC=dhcp or MAC=ADDRESS/PREFIX[,GATEWAY]. Raises BadUse."""
    from pydantic import ValidationError

    found = {
        "name": name or _name(place.host),
        "address": address or _address(place.host),
        "labels": dict(_label(text) for text in labels),
        "taints": list(taints),
        "interfaces": [_interface(text) for text in interfaces],
        "disk": disk,
    }
    way = {"host": place.host, **{key: value for key, value in ssh.items() if value is not None}}
    try:
        node = Node.model_validate({**found, "ssh": way})
    except ValidationError as error:
        raise BadUse(
            "the machine can't be joined as it was described",
            step=STEP,
            got="; ".join(problems_in_words(error, ("nodes", 0))[:3]),
            hint="correct that, and join again; docs/inventory.md has all that a node may have",
        ) from None
    return JoiningMachine(node.name, node.address, node.ssh, node.disk, node.labels, node.taints, node.interfaces)


def _name(host: str) -> str:
    if _is_address(host) or ":" in host:
        raise BadUse(
            "the machine needs a name",
            step=STEP,
            got=f"only its address, {host}",
            hint="the name of its Node, which is its host name too: --name NAME",
        )
    return host.partition(".")[0].lower()


def _address(host: str) -> str:
    """The address that is in `host`, or that this machine knows for it."""
    try:
        if ":" in host:
            raise OSError(None, NOT_IPV6)
        found = host if _is_address(host) else socket.getaddrinfo(host, None, socket.AF_INET)[0][4][0]
        if not IPv4Address(found).is_loopback:
            return str(found)
        got = f"{host} leads to {found}"
    except OSError as error:
        got = f"{host}: {error.strerror}"
    raise BadUse(
        "it is not known under which address the other nodes reach the machine",
        step=STEP,
        got=got,
        hint="an IPv4 address of one of its network cards: --address ADDRESS",
    )


def _is_address(host: str) -> bool:
    try:
        IPv4Address(host)
    except AddressValueError:
        return False
    return True


def _label(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    if of_kubernetes(key):
        raise BadUse(
            "a node may not give itself labels of Kubernetes' own domains",
            step=STEP,
            got=text,
            hint=f"when it has joined: kubectl label node NAME {text}",
        )
    return key, value


def _interface(text: str) -> dict[str, Any]:
    mac, _, told = text.partition("=")
    if told == "dhcp":
        return {"mac": mac, "dhcp": True}
    address, comma, gateway = told.partition(",")
    return {"mac": mac, "addresses": [address], **({"gateway": gateway} if comma else {})}
