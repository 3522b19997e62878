"""What people type who join machines of a lab with a token."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import yaml

from bootstrap.engine.events import unobserved
from bootstrap.lab.store import load_lab
from bootstrap.operations.connections import connections_of
from bootstrap.operations.reading import intent_of_file
from bootstrap.transport.base import Command
from tests.e2e.operator import Operator

Entry = dict[str, Any]


def entry(operator: Operator, name: str) -> Entry:
    """A node's entry in the operator's inventory."""
    found: list[Entry] = yaml.safe_load(operator.inventory.read_bytes())["nodes"]
    return next(node for node in found if node["name"] == name)


def made(operator: Operator, *options: str) -> dict[str, Any]:
    """A new token, and what is printed with it."""
    found: dict[str, Any] = json.loads(operator.clusterup("token", "create", "lab.yaml", "-o", "json", *options))
    return found


def cards_of(way: Entry) -> list[str]:
    """The options for the network cards of a lab's machine."""
    cards = [f"{card['mac']}={'dhcp' if card.get('dhcp') else card['addresses'][0]}" for card in way["interfaces"]]
    return [word for card in cards for word in ("--interface", card)]


def at_endpoint(operator: Operator, token: dict[str, Any]) -> list[str]:
    """The options for the cluster, as it is reached from this machine: a lab's servers at its balancer's port."""
    endpoint = yaml.safe_load(operator.inventory.read_text())["cluster"]["endpoint"]
    return ["--server", f"https://{endpoint}", "--ca-cert-hash", token["ca_cert_hash"]]


def from_here(operator: Operator, way: Entry, token: dict[str, Any]) -> list[str]:
    """`clusterup join` of a lab's machine; the token itself comes from the environment."""
    ssh = way["ssh"]
    return [
        *("join", f"{ssh['user']}@{ssh['host']}:{ssh['port']}", "--name", way["name"], "--address", way["address"]),
        *at_endpoint(operator, token),
        *("--disk", way["disk"], *cards_of(way), "--key", ssh["key"], "--host-key", ssh["host_key"], "--yes"),
    ]


def stick_of(operator: Operator, way: Entry, token: dict[str, Any]) -> list[str]:
    """`clusterup stick` for a lab's machine; the token itself comes from the environment."""
    place = operator.state / "clusterup" / "labs" / operator.name / way["name"] / "stick.raw"
    own = ("--address", way["address"], "--disk", way["disk"], "--out", str(place), *cards_of(way))
    return ["stick", way["name"], *at_endpoint(operator, token), *own]


def boots_a_stick(operator: Operator, way: Entry, token: dict[str, Any], maker: Operator, *options: str) -> None:
    """The machine of a lab, switched off, gets a new disk and starts from a stick that `maker` makes with the token,
    and with further `options` of the command."""
    folder = operator.state / "clusterup" / "labs" / operator.name / way["name"]
    lab = load_lab(operator.name)
    assert lab is not None
    with (folder / "disk.raw").open("wb") as bare:
        bare.truncate(lab.disk << 30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "CLUSTERUP_TOKEN", token["token"])
        said = maker.clusterup(*stick_of(operator, way, token), *options)
    assert f"installs {way['name']} to" in said
    operator.runs("lab", "up", "--name", operator.name, "--inventory", "machines.yaml")


def typed_on(operator: Operator, node: str, script: str, typed: str) -> str:
    """What a command says that somebody types on a node of the inventory, with `typed` on its standard input."""
    with connections_of(intent_of_file(operator.inventory, None), unobserved) as connections:
        return connections.on(node).run(Command("by hand", script), stdin=typed.encode(), timeout=1800).text
