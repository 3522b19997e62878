"""Which names a Service has in the cluster's DNS: a pure calculation.

A record is its type and its data as a zone file has them: "A 10.96.0.1". Names are lower case and end with a dot.
Source: https://github.com/kubernetes/dns/blob/master/docs/specification.md (1.1.0)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

Object = Mapping[str, Any]
# Seconds for which an answer may be kept.
TTL = 5
# Priority and weight of SRV records (RFC 2782): all are the same.
PRIORITY, WEIGHT = 0, 100
# From which Service a slice is: https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetesio-service-name
SERVICE_LABEL = "kubernetes.io/service-name"
# The older way to ask for addresses of pods that are not ready; the newer one is a field.
UNREADY_ANNOTATION = "service.alpha.kubernetes.io/tolerate-unready-endpoints"
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_LONGEST = 253
LONGEST_LABEL = 63


@dataclass(frozen=True, slots=True)
class Port:
    """A named port: `name` and `protocol` in lower case."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True, slots=True)
class Service:
    """What of a Service makes names. `addresses` are those of the cluster (none: it is headless, or has none yet),
    `external` is what an ExternalName points to; `unready` is whether pods count that are not ready."""

    namespace: str
    name: str
    addresses: tuple[str, ...]
    ports: tuple[Port, ...]
    headless: bool
    external: str
    unready: bool


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a pod answers: its `addresses`, and its host name where it has one of its own."""

    addresses: tuple[str, ...]
    hostname: str
    ready: bool


@dataclass(frozen=True, slots=True)
class Slice:
    """Some of a Service's endpoints; `service` is "namespace/name"."""

    service: str
    endpoints: tuple[Endpoint, ...]
    ports: tuple[Port, ...]


def service_of(item: Object) -> Service:
    """The Service in an object of the API. Raises ValueError for what is none."""
    try:
        metadata, spec = item["metadata"], item.get("spec") or {}
        kind, first = spec.get("type"), spec.get("clusterIP") or ""
        external = kind == "ExternalName"
        headless = not external and first == "None"
        given = [] if external or headless else (spec.get("clusterIPs") or [first])
        return Service(
            namespace=_label(metadata["namespace"]),
            name=_label(metadata["name"]),
            addresses=tuple(_address(address) for address in given if address),
            ports=_ports(spec.get("ports"), "port"),
            headless=headless,
            external=_host(spec.get("externalName") or "") if external else "",
            unready=spec.get("publishNotReadyAddresses") is True
            or (metadata.get("annotations") or {}).get(UNREADY_ANNOTATION) == "true",
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"a Service can't be understood: {type(error).__name__}: {error}"[:200]) from None


def slice_of(item: Object) -> Slice | None:
    """The endpoints in an EndpointSlice, or None where it is of no Service. Raises ValueError for what is none."""
    try:
        metadata = item["metadata"]
        service = (metadata.get("labels") or {}).get(SERVICE_LABEL)
        if not service or item.get("addressType") not in ("IPv4", "IPv6"):
            return None
        endpoints = tuple(_endpoint(each) for each in item.get("endpoints") or [])
        return Slice(f"{metadata['namespace']}/{service}", endpoints, _ports(item.get("ports"), "port"))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"an EndpointSlice can't be understood: {type(error).__name__}: {error}"[:200]) from None


def _endpoint(each: Object) -> Endpoint:
    # Whether it is ready is not known where nothing is said, and that counts as ready.
    # Source: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#ready
    ready = (each.get("conditions") or {}).get("ready") is not False
    hostname = str(each.get("hostname") or "").lower()
    addresses = tuple(_address(address) for address in each["addresses"])
    return Endpoint(addresses, _label(hostname) if hostname else "", ready)


def _address(text: str) -> str:
    """An address without a scope, which may hold any text. Raises ValueError."""
    if "%" in text:
        raise ValueError("an address of a link")
    return str(ip_address(text))


def fits(name: str) -> bool:
    """Whether a name that ends with a dot is short enough for DNS (RFC 1035, 2.3.4); a Service's port may have a name
    that is not, with its underscore before it."""
    return len(name) <= _LONGEST + 1 and all(len(label) <= LONGEST_LABEL for label in name.split("."))


def _ports(found: Any, number: str) -> tuple[Port, ...]:
    """The ports with a name: others have no SRV record."""
    return tuple(
        Port(_label(str(port["name"])), _label(str(port.get("protocol") or "TCP")), int(port[number]))
        for port in found or []
        if port.get("name") and port.get(number) is not None
    )


def _label(text: str) -> str:
    lower = text.lower()
    if not _LABEL.fullmatch(lower):
        raise ValueError(f"no name in DNS: {text[:80]!r}")
    return lower


def _host(text: str) -> str:
    """A host name with its dot at the end. What is an address gets no answer from anybody, but is a name."""
    name = text.rstrip(".").lower()
    if len(name) > _LONGEST or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError(f"no host name: {text[:80]!r}")
    return f"{name}."


def records_of(service: Service, slices: Iterable[Slice], domain: str) -> dict[str, frozenset[str]]:
    """All records of a Service by name, with the `slices` that are its own. `domain` is the cluster's, without a dot at
    its end."""
    own = f"{service.name}.{service.namespace}.svc.{domain}."
    found: dict[str, set[str]] = {}

    def add(name: str, record: str) -> None:
        if fits(name) and fits(record.rpartition(" ")[2]):
            found.setdefault(name, set()).add(record)

    if service.external:
        add(own, f"CNAME {service.external}")
    elif service.headless:
        for part in slices:
            for endpoint in part.endpoints:
                if endpoint.ready or service.unready:
                    _add_endpoint(add, own, endpoint, part.ports)
    else:
        for address in service.addresses:
            add(own, address_record(address))
            add(reverse(address), f"PTR {own}")
        if service.addresses:
            for port in service.ports:
                add(f"_{port.name}._{port.protocol}.{own}", f"SRV {PRIORITY} {WEIGHT} {port.number} {own}")
    return {name: frozenset(records) for name, records in found.items()}


def _add_endpoint(add: Any, own: str, endpoint: Endpoint, ports: tuple[Port, ...]) -> None:
    for address in endpoint.addresses:
        # Without a host name of its own, the address tells it from the others of its Service.
        host = f"{endpoint.hostname or re.sub('[.:]', '-', address)}.{own}"
        add(own, address_record(address))
        add(host, address_record(address))
        add(reverse(address), f"PTR {host}")
        for port in ports:
            add(f"_{port.name}._{port.protocol}.{own}", f"SRV {PRIORITY} {WEIGHT} {port.number} {host}")


def address_record(address: str) -> str:
    """The record of an address, of either version."""
    return f"{'AAAA' if ':' in address else 'A'} {address}"


def reverse(address: str) -> str:
    """The name under which an address is looked up (RFC 1035, 3.5; RFC 3596, 2.5)."""
    return f"{ip_address(address).reverse_pointer}."
