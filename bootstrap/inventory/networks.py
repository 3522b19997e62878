"""Rules about networks: those of nodes' cards, of pods and of services, and who is where in them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

from bootstrap.inventory.hosts import is_host_in
from bootstrap.inventory.model import Interface, Inventory, Node
from bootstrap.inventory.written_file.positions import Document, KeyPath, Problem

# Every node's pods get a /24, and Kubernetes' controller manager divides no network by more than 2^16.
PODS_OF_A_NODE = 24
LARGEST_PODS = 8
# kube-apiserver takes no larger one; clusterup needs the tenth address.
LARGEST_SERVICES, SMALLEST_SERVICES = 12, 28


def network_problems(inventory: Inventory, document: Document) -> Iterator[Problem]:
    """Every rule about networks that the inventory breaks. Its nodes are merged with the defaults."""
    yield from _ranges(inventory, document)
    yield from _addresses(inventory, document)
    yield from _cards(inventory, document)
    yield from _owners(inventory, document)


def _ranges(inventory: Inventory, document: Document) -> Iterator[Problem]:
    cluster = inventory.cluster
    pods, services = cluster.pod_cidr, cluster.service_cidr
    written = [name for name in ("pod_cidr", "service_cidr") if name in cluster.model_fields_set]
    place = document.at(("cluster", written[0] if written else "name"))
    if pods.overlaps(services):
        yield Problem(
            document.file,
            *place,
            f"pods' network {pods} and services' network {services} overlap",
            "two networks apart, as in 10.244.0.0/16 and 10.96.0.0/16",
        )
    at_pods = document.at(("cluster", "pod_cidr"))
    if pods.prefixlen > PODS_OF_A_NODE or 2 ** (PODS_OF_A_NODE - pods.prefixlen) < len(inventory.nodes):
        yield Problem(
            document.file,
            *at_pods,
            f"pods' network {pods} has no /{PODS_OF_A_NODE} for each node",
            "a larger network, as in 10.244.0.0/16",
        )
    if pods.prefixlen < LARGEST_PODS:
        yield Problem(document.file, *at_pods, f"pods' network {pods} is too large", f"/{LARGEST_PODS} or smaller")
    if not LARGEST_SERVICES <= services.prefixlen <= SMALLEST_SERVICES:
        size = "small" if services.prefixlen > SMALLEST_SERVICES else "large"
        yield Problem(
            document.file,
            *document.at(("cluster", "service_cidr")),
            f"services' network {services} is too {size}",
            f"from /{LARGEST_SERVICES} to /{SMALLEST_SERVICES}, as in 10.96.0.0/16",
        )


def _addresses(inventory: Inventory, document: Document) -> Iterator[Problem]:
    for number, node in enumerate(inventory.nodes):
        place: KeyPath = ("nodes", number, "address")
        for name, network in _own(inventory):
            if node.address in network:
                yield Problem(
                    document.file,
                    *document.at(place),
                    f"{node.name}'s address {node.address} lies in cluster.{name} ({network})",
                    "an address outside of pods' and services' networks",
                )
        cards = [address for card in node.interfaces for address in card.addresses]
        for address in cards:
            if node.address in address.network and not is_host_in(node.address, address.network):
                yield Problem(
                    document.file,
                    *document.at(place),
                    f"{node.name}'s address {node.address} is that of its card's network {address.network}",
                    f"the address of a host in it, as in {address.ip}",
                )
        if cards and not any(card.dhcp for card in node.interfaces) and node.address not in {each.ip for each in cards}:
            yield Problem(
                document.file,
                *document.at(place),
                f"none of {node.name}'s cards has its address {node.address}",
                f"one that a card has ({', '.join(str(each.ip) for each in cards[:3])}), or dhcp: true for a card",
            )


def _cards(inventory: Inventory, document: Document) -> Iterator[Problem]:
    for number, node in enumerate(inventory.nodes):
        for card, interface in enumerate(node.interfaces):
            place: KeyPath = ("nodes", number, "interfaces", card)
            for index, address in enumerate(interface.addresses):
                for name, network in _own(inventory):
                    # A wide network around it is fine: routes to pods and services are the more exact ones.
                    if address.ip in network or address.network.subnet_of(network):
                        yield Problem(
                            document.file,
                            *document.at((*place, "addresses", index)),
                            f"the network {address.network} of {node.name}'s card overlaps cluster.{name} ({network})",
                            f"another cluster.{name}: what is in both is reached on one of them alone",
                        )
            if interface.gateway is not None:
                said = f"{node.name}'s gateway {interface.gateway}"
                yield from _router(interface.gateway, said, interface, (*place, "gateway"), document)
        yield from _routes(inventory, node, ("nodes", number), document)


def _routes(inventory: Inventory, node: Node, place: KeyPath, document: Document) -> Iterator[Problem]:
    first: dict[IPv4Network, KeyPath] = {}
    own_networks = {address.network for interface in node.interfaces for address in interface.addresses}
    for card, interface in enumerate(node.interfaces):
        for index, route in enumerate(interface.routes):
            own: KeyPath = (*place, "interfaces", card, "routes", index)
            said = f"{node.name}'s route to {route.to} through {route.via}"
            yield from _router(route.via, said, interface, (*own, "via"), document)
            at = document.at((*own, "to"))
            if route.to in first:
                line = document.at((*first[route.to], "to"))[0]
                yield Problem(
                    document.file, *at, f"{node.name} has two routes to {route.to} (first in line {line})", "one"
                )
            first.setdefault(route.to, own)
            if route.to in own_networks:
                yield Problem(
                    document.file, *at, f"{said} leads to a network of its own cards", "a network behind a router"
                )
            for name, network in _own(inventory):
                if route.to.subnet_of(network):
                    yield Problem(
                        document.file,
                        *at,
                        f"{said} takes addresses of cluster.{name} ({network})",
                        "a network outside of pods' and services' networks, or a wide one around them",
                    )


def _router(
    router: IPv4Address, said: str, interface: Interface, place: KeyPath, document: Document
) -> Iterator[Problem]:
    """What keeps the card from reaching a router, which is its gateway or that of one of its routes."""
    networks = [address.network for address in interface.addresses]
    where = document.at(place)
    if not networks:
        if not interface.dhcp:
            yield Problem(
                document.file, *where, f"{said} is that of a card without an address", "addresses, or dhcp: true"
            )
        return
    if router in {address.ip for address in interface.addresses}:
        yield Problem(document.file, *where, f"{said} is the card's own address", _host_of(networks[0], interface))
    elif not interface.dhcp and not any(router in net and is_host_in(router, net) for net in networks):
        listed = ", ".join(str(network) for network in networks[:3])
        yield Problem(
            document.file,
            *where,
            f"{said} is not a host of the card's network {listed}",
            _host_of(networks[0], interface),
        )


def _host_of(network: IPv4Network, interface: Interface) -> str:
    """An example of a gateway in a card's network."""
    own = {address.ip for address in interface.addresses}
    first = network.network_address + (1 if network.prefixlen < 31 else 0)
    example = next((each for each in (first, first + 1) if each in network and each not in own), None)
    return "a router in that network" + (f", as in {example}" if example is not None else ": it needs room for one")


def _owners(inventory: Inventory, document: Document) -> Iterator[Problem]:
    """Each address belongs to one node, and to one of its cards."""
    owners: dict[IPv4Address, tuple[str, KeyPath]] = {}
    for number, node in enumerate(inventory.nodes):
        owners.setdefault(node.address, (node.name, ("nodes", number, "address")))
    cards: dict[IPv4Address, KeyPath] = {}
    for number, node in enumerate(inventory.nodes):
        for card, interface in enumerate(node.interfaces):
            for index, address in enumerate(interface.addresses):
                place: KeyPath = ("nodes", number, "interfaces", card, "addresses", index)
                owner, first = owners.get(address.ip, (node.name, place))
                if owner == node.name:
                    first = cards.get(address.ip, place)
                cards.setdefault(address.ip, place)
                if first != place:
                    yield Problem(
                        document.file,
                        *document.at(place),
                        f"two cards or nodes have the address {address.ip} (first in line {document.at(first)[0]})",
                        "one each",
                    )


def _own(inventory: Inventory) -> tuple[tuple[str, IPv4Network], ...]:
    cluster = inventory.cluster
    return ("pod_cidr", cluster.pod_cidr), ("service_cidr", cluster.service_cidr)
