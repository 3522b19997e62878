"""The cluster's DNS on each node: unbound on the address that pods ask, fed by the node's agent.

The address stands on an interface of its own, the same on every node, so that a pod asks the node that it runs on. Its
packets are not tracked: nothing is translated on the way, two questions of one pod at the same moment don't hinder each
other, and what kube-proxy says of addresses of no Service does not apply to them.
Source: unbound.conf(5), https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from ipaddress import IPv4Address, IPv4Network
from pathlib import PurePosixPath

from bootstrap.constants.paths import DNS_CONF, DNS_CONTROL_CONF, DNS_KNOWN, DNS_LOADED, DNS_RULES, DNS_SOCKET
from bootstrap.image.versions import Versions
from bootstrap.inventory.model import Cluster, Inventory
from bootstrap.machine.render import render
from bootstrap.machine.units import Unit, without_rights
from bootstrap.protocol.files import NodeFile
from bootstrap.spec.topology import Shape

NAME = "clusterup-dns.service"
INTERFACE = "clusterup-dns"
# A thousand Services with five pods each take 20 MB, and what is gone another 50 at most.
MEMORY_MAX = 512 << 20
# Where pods may be whose network is somebody else's (RFC 1918, RFC 6598).
PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16")))
# Where systemd puts what root alone may read for the service's own user. Source: systemd.exec(5), "Credentials"
CREDENTIALS = f"/run/credentials/{NAME}"
VERSION = "1.1.0"
"""Of Kubernetes' specification of DNS, which is what `bootstrap.node.names` follows."""


def answers(inventory: Inventory, versions: Versions) -> bool:
    """Whether the nodes answer for the cluster's names; somebody else does otherwise, or nobody."""
    return inventory.dns.by == "nodes" and versions.unbound


def dns_unit(shape: Shape) -> Unit:
    """unbound. It begins with what it knew at its last end, and waits for nobody."""
    address = f"{shape.dns_service}/32"
    return Unit(
        name=NAME,
        description="DNS of the cluster on this node",
        kind="notify",
        argv=("/usr/sbin/unbound", "-d", "-p", "-c", f"{CREDENTIALS}/unbound.conf"),
        files=(_configuration(shape), _control(), _rules(shape.dns_service)),
        after=("network.target", "systemd-sysext.service"),
        before_start=(
            f"/bin/sh -c 'if [ -r {DNS_KNOWN} ]; then cp {DNS_KNOWN} {DNS_LOADED}; fi'",
            # What it does not take would keep it from starting again and again.
            f"/bin/sh -c '[ ! -e {DNS_LOADED} ] || unbound-checkconf {DNS_CONF} >/dev/null || rm {DNS_LOADED}'",
            # It may be there already.
            f"-/sbin/ip link add {INTERFACE} type dummy",
            f"/sbin/ip address replace {address} dev {INTERFACE}",
            f"/sbin/ip link set {INTERFACE} up",
            f"/usr/sbin/nft -f {DNS_RULES}",
        ),
        settings=(
            *_for_the_node(shape),
            f"ExecStopPost=-+/usr/sbin/nft delete table ip {TABLE}",
            f"ExecStopPost=-+/sbin/ip link delete {INTERFACE}",
            "OOMScoreAdjust=-900",
            f"MemoryMax={MEMORY_MAX}",
            f"RuntimeDirectory={PurePosixPath(DNS_SOCKET).parent.name}",
        ),
        confined=CONFINED,
    )


TABLE = "clusterup_dns"


def _for_the_node(shape: Shape) -> tuple[str, ...]:
    """systemd-resolved asks there for the cluster's names, and nowhere else; it forgets that with the interface.

    Source: resolvectl(1), systemd-resolved.service(8) "Protocols and Routing"
    """
    if not shape.inventory.dns.nodes:
        return ()
    domains = (shape.inventory.cluster.domain, *_zones(shape.inventory.cluster))
    routed = " ".join(f"~{domain}" for domain in domains)
    return (
        f"ExecStartPost=-+/usr/bin/resolvectl dns {INTERFACE} {shape.dns_service}",
        f"ExecStartPost=-+/usr/bin/resolvectl domain {INTERFACE} {routed}",
    )


def _zones(cluster: Cluster) -> tuple[str, ...]:
    return tuple(zone for network in (cluster.pod_cidr, cluster.service_cidr) for zone in reverse_zones(network))


# A user of its own, who may listen on port 53 and do nothing else. What is bound or hidden by other means than these is
# so for what root runs before it as well. Source: systemd.exec(5), "Sandboxing"
CONFINED = (
    "DynamicUser=yes",
    f"LoadCredential=unbound.conf:{DNS_CONF}",
    "AmbientCapabilities=CAP_NET_BIND_SERVICE",
    "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
    "InaccessiblePaths=/var",
    *without_rights("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"),
)


def _configuration(shape: Shape) -> NodeFile:
    cluster, dns = shape.inventory.cluster, shape.inventory.dns
    own = (cluster.pod_cidr, cluster.service_cidr)
    # Whose network it is else decides where its pods are.
    asking = own if cluster.cni == "bridge" else tuple(dict.fromkeys((*own, *PRIVATE)))
    forwarded = tuple((domain, tuple(map(str, servers))) for domain, servers in dns.forward.items())
    return _rendered(shape.dns_service, cluster.domain, asking, _zones(cluster), forwarded)


# The same on every node.
@cache
def _rendered(
    address: IPv4Address,
    domain: str,
    asking: tuple[IPv4Network, ...],
    zones: tuple[str, ...],
    forwarded: tuple[tuple[str, tuple[str, ...]], ...],
) -> NodeFile:
    content = render(
        "kubernetes/unbound.conf.j2",
        address=address,
        asking=asking,
        domain=domain,
        version=VERSION,
        zones=zones,
        forwarded=dict(forwarded),
        socket=DNS_SOCKET,
        known=DNS_LOADED,
    )
    return NodeFile(DNS_CONF, content)


def _control() -> NodeFile:
    """What unbound-control reads: it would read all that unbound does at each call otherwise."""
    lines = ("remote-control:", "control-enable: yes", f"control-interface: {DNS_SOCKET}", "control-use-cert: no")
    return NodeFile(DNS_CONTROL_CONF, "".join(f"{line}\n" for line in lines).encode())


def _rules(address: IPv4Address) -> NodeFile:
    return NodeFile(DNS_RULES, render("kubernetes/dns.nft.j2", table=TABLE, address=address))


def reverse_zones(network: IPv4Network) -> Iterator[str]:
    """The zones in which the addresses of a network are looked up, without a dot at their end: as many as it takes
    where its prefix ends within an octet (RFC 1035, 3.5)."""
    octets = max(1, -(-network.prefixlen // 8))
    for part in network.subnets(new_prefix=max(network.prefixlen, 8 * octets)):
        kept = str(part.network_address).split(".")[:octets]
        yield f"{'.'.join(reversed(kept))}.in-addr.arpa"
