"""An inventory of which some values are wrong, with others in their places: the rules between two places are tried on
what is right in it, so that a person hears of everything at once."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from pydantic import ValidationError

from bootstrap.inventory.model import Inventory, Node, Role
from bootstrap.inventory.written_file.positions import KeyPath

# Places that no inventory may name: what stands there meets no other's address or network.
_NOWHERE = IPv4Address("255.0.0.0")
_PODS, _SERVICES = IPv4Network("240.0.0.0/8"), IPv4Network("241.0.0.0/16")
_WELL_FORMED = {"name": "unknown", "address": "192.0.2.1"}
_UNKNOWN_NETWORKS = {"pod_cidr": _PODS, "service_cidr": _SERVICES}
_SOME_RELEASE = "1.0.0"


@dataclass(frozen=True, slots=True)
class Partly:
    """What can be said of an inventory that is wrong in some places. `counted`: it is known how many servers it has."""

    inventory: Inventory
    counted: bool


def partly_right(data: Mapping[str, Any], error: ValidationError) -> Partly | None:
    """The inventory in `data` without the fields that `error` is about; None where too little is left of it."""
    wrong = {details["loc"] for details in error.errors(include_url=False, include_input=False, include_context=False)}
    left = copy.deepcopy({key: value for key, value in data.items() if key in Inventory.model_fields})
    if not isinstance(left.get("nodes"), list) or not isinstance(left.get("cluster"), dict):
        return None
    broken = _nodes_without_form(left["nodes"], wrong)
    for number, fields in _by_node(wrong).items():
        if number not in broken:
            _leave_out(left["nodes"][number], fields)
    for section in ("cluster", "kubernetes", "os", "defaults"):
        _leave_out_of_section(left, section, {place[1:2] for place in wrong if place[:1] == (section,)})
    # Numbers of nodes are places in the file.
    for number in broken:
        left["nodes"][number] = dict(_WELL_FORMED)
    try:
        inventory = Inventory.model_validate(left)
    except ValidationError:
        return None
    return Partly(_nowhere(inventory, wrong, broken), not broken and not _may_be_about_servers(error, data))


def _may_be_about_servers(error: ValidationError, data: Mapping[str, Any]) -> bool:
    """Whether something that is wrong may be what says how many servers there are: a role, or a key that may have been
    meant to be one."""
    for details in error.errors(include_url=False, include_input=False, include_context=False):
        place, unknown = details["loc"], details["type"] == "extra_forbidden"
        if "role" in place or "allow_even_servers" in place or (unknown and place[:1] == ("cluster",)):
            return True
        if unknown and len(place) == 3 and place[0] == "nodes" and "role" not in data["nodes"][place[1]]:
            return True
    return False


def _nodes_without_form(nodes: list[Any], wrong: Iterable[KeyPath]) -> set[int]:
    """The numbers of nodes that are no mappings at all."""
    whole = {place[1] for place in wrong if len(place) == 2 and place[0] == "nodes"}
    return {number for number, node in enumerate(nodes) if number in whole and not isinstance(node, dict)}


def _by_node(wrong: Iterable[KeyPath]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for place in wrong:
        if len(place) > 2 and place[0] == "nodes" and isinstance(place[1], int):
            found.setdefault(place[1], set()).add(str(place[2]))
    return found


def _leave_out(node: dict[str, Any], fields: set[str]) -> None:
    for field in fields:
        node.pop(field, None)
        if field in _WELL_FORMED:
            node[field] = _WELL_FORMED[field]
    if "role" in fields:
        # A server may have all that an agent may.
        node["role"] = Role.SERVER.value
    if "address" in fields:
        node.pop("interfaces", None)


def _leave_out_of_section(left: dict[str, Any], section: str, fields: set[KeyPath]) -> None:
    if () in fields:
        del left[section]
    for field in fields - {()}:
        left[section].pop(field[0], None)
    if section == "cluster":
        left[section].setdefault("name", "unknown")
    if section == "kubernetes" and ("version",) in fields:
        left[section]["version"] = _SOME_RELEASE


def _nowhere(inventory: Inventory, wrong: set[KeyPath], broken: set[int]) -> Inventory:
    """The inventory, with names, addresses and networks that meet no others where these are not known."""
    nodes = tuple(_node_nowhere(number, node, wrong, broken) for number, node in enumerate(inventory.nodes))
    networks = {
        name: network for name, network in _UNKNOWN_NETWORKS.items() if any(p[:2] == ("cluster", name) for p in wrong)
    }
    return inventory.model_copy(update={"nodes": nodes, "cluster": inventory.cluster.model_copy(update=networks)})


def _node_nowhere(number: int, node: Node, wrong: set[KeyPath], broken: set[int]) -> Node:
    unknown = {field for field in _WELL_FORMED if number in broken or ("nodes", number, field) in wrong}
    # As messages call it.
    elsewhere = {"name": f"node number {number + 1}", "address": _NOWHERE + number}
    return node.model_copy(update={field: value for field, value in elsewhere.items() if field in unknown})
