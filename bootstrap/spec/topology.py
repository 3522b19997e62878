"""What of the inventory the units of a node are made of, in one place and with nothing left to look up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_address

from bootstrap.constants.ports import API_PORT
from bootstrap.image.versions import Versions
from bootstrap.inventory.model import Inventory, Node, Role


@dataclass(frozen=True, slots=True)
class Shape:
    """The cluster as one node sees it.

    Flags and formats come and go with `versions`. `servers` maps names to addresses (see `servers_of`).
    """

    inventory: Inventory
    node: Node
    versions: Versions
    servers: Mapping[str, IPv4Address]

    @property
    def server(self) -> bool:
        return self.node.role is Role.SERVER

    @property
    def pod_cidr(self) -> IPv4Network:
        return self.inventory.cluster.pod_cidr

    @property
    def service_cidr(self) -> IPv4Network:
        return self.inventory.cluster.service_cidr

    @property
    def api_service(self) -> IPv4Address:
        """The address of the service `kubernetes`: the first of the range."""
        return self.service_cidr[1]

    @property
    def dns_service(self) -> IPv4Address:
        """See `dns_of`."""
        return dns_of(self.inventory)


def dns_of(inventory: Inventory) -> IPv4Address:
    """Where kubeadm puts cluster DNS: the tenth address of the range of services."""
    return inventory.cluster.service_cidr[10]


def servers_of(inventory: Inventory) -> Mapping[str, IPv4Address]:
    """The addresses of an inventory's servers, by name."""
    return {server.name: server.address for server in inventory.servers}


def endpoint_of(inventory: Inventory) -> tuple[str, int]:
    """Host and port under which operators reach the API servers."""
    configured = inventory.cluster.endpoint
    if configured is None:
        return str(inventory.servers[0].address), API_PORT
    host, colon, port = configured.rpartition(":")
    return (host, int(port)) if colon else (configured, API_PORT)


def joined_at(inventory: Inventory) -> tuple[str, int]:
    """Host and port at which machines join that have no balancer of their own: the endpoint, or the first server that
    has a network where the endpoint is the operator's own machine, as in a lab."""
    host, port = endpoint_of(inventory)
    if not is_loopback(host):
        return host, port
    return str((inventory.networked_servers or inventory.servers)[0].address), API_PORT


def is_loopback(host: str) -> bool:
    """Whether a host name or an address leads to the machine that asks."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def api_server_names(shape: Shape) -> tuple[str, ...]:
    """Host names and addresses that the API server's certificate has to carry."""
    cluster = shape.inventory.cluster
    names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{cluster.domain}",
        "localhost",
        shape.node.name,
        "127.0.0.1",
        str(shape.node.address),
        str(shape.api_service),
        endpoint_of(shape.inventory)[0],
        *cluster.certificate_names,
    ]
    return tuple(dict.fromkeys(names))
