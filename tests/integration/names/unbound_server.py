"""A real unbound of the image's release, with the configuration that nodes have, on an address of this machine."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from bootstrap.constants.paths import DNS_CONF, DNS_CONTROL_CONF, DNS_LOADED, DNS_SOCKET
from bootstrap.image.osimage import SUITE
from bootstrap.image.trees import bwrap_argv, ensure_tree
from bootstrap.image.versions import Versions
from bootstrap.inventory.model import Inventory
from bootstrap.node.names.unbound import Control
from bootstrap.spec.dns import dns_unit
from bootstrap.spec.topology import Shape, dns_of
from tests.helpers.daemons import daemon, wait_for

# What stands for the address that all nodes have; each process of a run (-n) has its own.
ADDRESS = f"127.96.{os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw')}.10"
# Name servers of these tests are on this machine, whom unbound does not ask on a node.
ASKS_THIS_MACHINE = "server:\n    do-not-query-localhost: no\n"


@dataclass(frozen=True)
class Place:
    """Where unbound runs: the address on which it answers, and what has to be put before a command to be there."""

    address: str
    within: tuple[str, ...] = ()


HERE = Place(ADDRESS)


@dataclass(frozen=True)
class Unbound:
    """Where it is, how it is told things, the folder of its files, and its process."""

    control: Control
    folder: Path
    process: subprocess.Popen[bytes]
    place: Place = HERE

    @property
    def settings(self) -> dict[str, str]:
        """Those of a node's agent."""
        return {
            "domain": "cluster.local",
            "address": self.place.address,
            "control": self.control.path,
            "socket": str(self.folder / "control"),
            "known": str(self.folder / "kept.conf"),
            "loaded": str(self.folder / "names.conf"),
        }

    def answer(self, name: str, kind: str = "A", *, tcp: bool = False) -> tuple[str, frozenset[str]]:
        """What it answers: the code, and the records ("A 10.0.0.1") of the answer, those of an alias among them."""
        ask = dns.query.tcp if tcp else dns.query.udp
        found = ask(dns.message.make_query(name, kind), ADDRESS, timeout=10)
        records = (
            f"{dns.rdatatype.to_text(rrset.rdtype)} {item.to_text()}" for rrset in found.answer for item in rrset
        )
        return dns.rcode.to_text(found.rcode()), frozenset(records)

    def records(self, name: str, kind: str = "A") -> frozenset[str]:
        """The records of the answer."""
        return self.answer(name, kind)[1]


def files_of(folder: Path, inventory: Inventory, versions: Versions, address: str) -> None:
    """Write what a node of the inventory has, at places below `folder`, for that address."""
    unit = dns_unit(Shape(inventory, inventory.nodes[0], versions, {}))
    places = {
        str(dns_of(inventory)): address,
        DNS_SOCKET: str(folder / "control"),
        DNS_LOADED: str(folder / "names.conf"),
    }
    for file in unit.files:
        text = file.content.decode()
        for there, here in places.items():
            text = text.replace(there, here)
        (folder / Path(file.path).name).write_text(text)


@contextmanager
def running_unbound(
    folder: Path, inventory: Inventory, versions: Versions, more: str = "", place: Place = HERE
) -> Iterator[Unbound]:
    """It runs as on a node of the inventory; `more` is added to its configuration."""
    tree = ensure_tree("names", SUITE, ("unbound",), log=print)
    files_of(folder, inventory, versions, place.address)
    configuration = folder / Path(DNS_CONF).name
    configuration.write_text(configuration.read_text() + more)

    def inside(*argv: str) -> list[str]:
        return bwrap_argv(tree, argv, binds={folder: str(folder)}, environment={})

    for name in ("unbound-control", "unbound-checkconf"):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join(inside(name))} "$@"\n')
        program.chmod(0o755)
    # On a node, systemd removes what an earlier one left.
    (folder / "control").unlink(missing_ok=True)
    control = Control(str(folder / Path(DNS_CONTROL_CONF).name), str(folder / "unbound-control"))
    argv = [*place.within, *inside("unbound", "-d", "-p", "-c", str(configuration))]
    with daemon(argv, folder / "unbound.log") as process:
        wait_for((folder / "control").exists, "unbound", 30)
        yield Unbound(control, folder, process, place)
