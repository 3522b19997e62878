"""Rules that need two places of an inventory at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bootstrap.constants.objects import CONTROL_PLANE
from bootstrap.inventory.model import Inventory, Node, NodeSettings, Role
from bootstrap.inventory.networks import network_problems
from bootstrap.inventory.serial_target import carrier_of
from bootstrap.inventory.written_file.positions import Document, KeyPath, Problem
from bootstrap.releases import DEBIAN_KUBERNETES

Rule = Callable[[Inventory, Document], Iterator[Problem]]


@dataclass(frozen=True, slots=True)
class Rules:
    """Those about an inventory as it is written, and those about nodes with the defaults in them."""

    written: tuple[Rule, ...]
    meant: tuple[Rule, ...]


def broken_rules(inventory: Inventory, merged: Inventory, document: Document, rules: Rules) -> list[Problem]:
    """Every rule that the inventory breaks, at the place that breaks it. `inventory` is as it is written, `merged` has
    the defaults in every node."""
    found = [problem for rule in rules.written for problem in rule(inventory, document)]
    found += [problem for rule in rules.meant for problem in rule(merged, document)]
    return sorted(found, key=lambda problem: (problem.line, problem.column))


def _unique(inventory: Inventory, document: Document) -> Iterator[Problem]:
    yield from _twice(inventory, document, "name", lambda node: node.name)
    yield from _twice(inventory, document, "address", lambda node: str(node.address))
    # The names in /dev depend on the machine; a serial number is one disk in the world.
    yield from _twice(
        inventory, document, "disk", lambda node: node.disk if (node.disk or "").startswith("serial:") else None
    )
    seen: dict[str, KeyPath] = {}
    for number, node in enumerate(inventory.nodes):
        for card, interface in enumerate(node.interfaces):
            place: KeyPath = ("nodes", number, "interfaces", card, "mac")
            mac = interface.mac.lower()
            if mac in seen:
                yield _second(document, place, seen[mac], f"two cards have the hardware address {mac}")
            seen.setdefault(mac, place)


def _consoles(inventory: Inventory, document: Document) -> Iterator[Problem]:
    if inventory.defaults.console.url is not None:
        place: KeyPath = ("defaults", "console", "url")
        yield Problem(document.file, *document.key_at(place), "a line leads to one machine", "console.url of each node")
    seen: dict[str, KeyPath] = {}
    for number, node in enumerate(inventory.nodes):
        place = ("nodes", number, "console")
        if node.console.url is None:
            if "console" in node.model_fields_set:
                yield Problem(
                    document.file, *document.key_at(place), f"{node.name}'s console has no url", "console.url as well"
                )
            continue
        identity = carrier_of(node.console.url).identity
        if identity in seen:
            yield _second(document, (*place, "url"), seen[identity], f"two nodes have the console {node.console.url!r}")
        seen.setdefault(identity, (*place, "url"))


def _twice(
    inventory: Inventory, document: Document, key: str, value_of: Callable[[Node], str | None]
) -> Iterator[Problem]:
    seen: dict[str, KeyPath] = {}
    for number, node in enumerate(inventory.nodes):
        place: KeyPath = ("nodes", number, key)
        value = value_of(node)
        if value is None:
            continue
        if value in seen:
            yield _second(document, place, seen[value], f"two nodes have the {key} {value!r}")
        seen.setdefault(value, place)


def _second(document: Document, place: KeyPath, first: KeyPath, what: str) -> Problem:
    return Problem(document.file, *document.at(place), f"{what} (first in line {document.at(first)[0]})", "one each")


def _servers(inventory: Inventory, document: Document) -> Iterator[Problem]:
    count = len(inventory.servers)
    if count == 0:
        yield Problem(document.file, *document.at(("nodes",)), "no node has role: server", "1, 3 or 5 servers")
    elif count % 2 == 0 and not inventory.cluster.allow_even_servers:
        quorum = count // 2 + 1
        yield Problem(
            document.file,
            *document.at(("nodes",)),
            f"{count} servers: {quorum} of them have to be up, so that {count - quorum} may fail, no more than with "
            f"{count - 1}, and there is one more that can",
            f"an odd number ({count - 1} or {count + 1}), or cluster.allow_even_servers: true",
        )


def _schedulable(inventory: Inventory, document: Document) -> Iterator[Problem]:
    """`schedulable` speaks of the taint of a server's role: agents have none, and no one has it against their word."""
    for number, node in enumerate(inventory.nodes):
        own: KeyPath = ("nodes", number, "schedulable")
        said = "schedulable" in node.model_fields_set
        schedulable = node.schedulable if said else inventory.defaults.schedulable
        place: KeyPath = own if said else ("defaults", "schedulable")
        if node.role is Role.AGENT and schedulable is False:
            yield Problem(
                document.file,
                *document.key_at(place),
                f"schedulable: false, and {node.name} is an agent: agents are there to run pods",
                "schedulable of servers; to keep pods away from an agent: taints, as in "
                "{ key: dedicated, value: batch, effect: NoSchedule }, or for a while `kubectl cordon`",
            )
        taints = node.taints if "taints" in node.model_fields_set else inventory.defaults.taints
        if schedulable and any(taint.key == CONTROL_PLANE and taint.effect != "PreferNoSchedule" for taint in taints):
            yield Problem(
                document.file,
                *document.key_at(place),
                f"{node.name} is schedulable: true, and has the taint {CONTROL_PLANE}, which keeps pods away",
                "one of the two",
            )


def _taints(inventory: Inventory, document: Document) -> Iterator[Problem]:
    """A Node has one taint of each key and effect."""
    listed: list[tuple[KeyPath, NodeSettings]] = [
        (("defaults",), inventory.defaults),
        *((("nodes", n), each) for n, each in enumerate(inventory.nodes)),
    ]
    for around, settings in listed:
        seen: dict[tuple[str, str], KeyPath] = {}
        for number, taint in enumerate(settings.taints):
            place: KeyPath = (*around, "taints", number)
            first = seen.setdefault((taint.key, taint.effect), place)
            if first != place:
                yield _second(
                    document, place, first, f"two taints have the key {taint.key} and the effect {taint.effect}"
                )


def _release(inventory: Inventory, document: Document) -> Iterator[Problem]:
    wanted = inventory.kubernetes.version
    minor = ".".join(DEBIAN_KUBERNETES.split(".")[:2])
    if inventory.kubernetes.source == "debian" and wanted not in (None, minor, DEBIAN_KUBERNETES):
        yield Problem(
            document.file,
            *document.at(("kubernetes", "version")),
            f"Debian has no Kubernetes {wanted}",
            f"{DEBIAN_KUBERNETES}, or another source: auto, upstream, or a folder",
        )


def _names(inventory: Inventory, document: Document) -> Iterator[Problem]:
    """Nodes that answer for nobody have nobody to ask, and the cluster's own names are nobody else's."""
    for domain in inventory.dns.forward:
        place: KeyPath = ("dns", "forward", domain)
        own = inventory.cluster.domain
        if inventory.dns.by == "none":
            yield Problem(
                document.file,
                *document.key_at(place),
                "nodes that answer for no names forward none",
                "dns.by: nodes, or no dns.forward",
            )
        elif domain.lower() == own or domain.lower().endswith(f".{own}"):
            yield Problem(
                document.file,
                *document.key_at(place),
                f"the names of {own} are the cluster's own, which the nodes answer themselves",
                "another domain, or another cluster.domain",
            )


def _names_on_nodes(inventory: Inventory, document: Document) -> Iterator[Problem]:
    """systemd-resolved sends names to where they are known; a node with name servers of its own does not ask it."""
    if not inventory.dns.nodes:
        return
    place: KeyPath = ("dns", "nodes")
    if inventory.dns.by == "none":
        yield Problem(
            document.file,
            *document.key_at(place),
            "nodes that answer for no names find none",
            "dns.by: nodes, or no dns.nodes",
        )
    for node in inventory.nodes:
        if node.dns:
            yield Problem(
                document.file,
                *document.key_at(place),
                f"{node.name} has name servers of its own (dns), which don't know the cluster's names",
                "the name servers at its interfaces instead, or no dns.nodes",
            )
            return


def _manifests(inventory: Inventory, document: Document) -> Iterator[Problem]:
    """An entry that names no place, or two, and a file of a server that nothing tells from another."""
    names: dict[str, int] = {}
    for number, source in enumerate(inventory.manifests):
        at = document.at(("manifests", number))
        if (first := names.setdefault(source.name, number)) != number:
            yield Problem(document.file, *at, f"{source.name} is entry {first + 1} of manifests already", "each once")
        if (source.path is None) == (source.url is None):
            found = "neither path nor url" if source.path is None else "both path and url"
            yield Problem(document.file, *at, found, "one of them")
        elif source.url is not None and source.sha256 is None:
            yield Problem(
                document.file,
                *at,
                f"no sha256 of {source.url}, so that whoever answers there could bring anything into the cluster",
                "{ url: ..., sha256: ... }, as in: curl --location URL | sha256sum",
            )
        elif source.url is None and source.sha256 is not None:
            yield Problem(document.file, *at, "sha256 without a url", "sha256 of what is fetched")


# Where it is not known of each node whether it is a server.
NOT_COUNTED = Rules(
    (_consoles, _schedulable, _taints, _release, _names, _manifests), (_unique, network_problems, _names_on_nodes)
)
ALL_RULES = Rules((_servers, *NOT_COUNTED.written), NOT_COUNTED.meant)
