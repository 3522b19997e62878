"""A machine that was reached over its console gets its network, and lets the operator in over SSH."""

from __future__ import annotations

from dataclasses import dataclass

from bootstrap.errors import ClusterupError
from bootstrap.inventory.model import Interface, Node
from bootstrap.machine.render import render
from bootstrap.paths import templates_dir
from bootstrap.transport.base import Command, Transport

ADDRESS_SECONDS = 60
BEST_FIRST = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")


@dataclass(frozen=True, slots=True)
class Networked:
    """What a machine says after it got its network: the public line of its SSH host key, and each card's addresses with
    prefix length."""

    host_key: str
    addresses: tuple[tuple[str, str], ...]

    @property
    def words(self) -> str:
        """As in "enp0s2 192.0.2.11/24", of every address."""
        return ", ".join(f"{card} {address}" for card, address in self.addresses) or "none"


def give_network(transport: Transport, node: Node, key: str) -> Networked:
    """Bring up the node's cards as the inventory says (DHCP on all of them where it says nothing), start its SSH server
    and have it let in `key`, a public key line. Nothing of it outlives a restart of a live environment.

    Raises ClusterupError when the machine can't do it.
    """
    result = transport.check(network_command(node, key), timeout=ADDRESS_SECONDS + 60.0)
    return networked(result.text, node.name)


def network_command(node: Node, key: str) -> Command:
    """The command of `give_network`."""
    parts = [Command.of("", "let_in {} {}\n", node.ssh.user or "root", key).script]
    parts += [_card(interface) for interface in node.interfaces]
    if not node.interfaces:
        parts.append(Command.of("", "every_card {}\n", render("node/wired.network.j2").decode()).script)
    parts.append(f"settle {ADDRESS_SECONDS}\n")
    script = (templates_dir() / "node" / "network.sh").read_text(encoding="utf-8")
    return Command("give the machine its network", script + "".join(parts))


def networked(text: str, node: str) -> Networked:
    """What the command said. Raises ClusterupError when no host key is in it."""
    lines = [line.split() for line in text.splitlines()]
    keys = {words[1]: f"{words[1]} {words[2]}" for words in lines if words[:1] == ["host_key"] and len(words) == 3}
    addresses = tuple((words[1], words[2]) for words in lines if words[:1] == ["address"] and len(words) == 3)
    for kind in (*BEST_FIRST, *keys):
        if kind in keys:
            return Networked(keys[kind], addresses)
    raise ClusterupError(
        "its SSH server has no host key",
        node=node,
        step="console",
        tried="look for /etc/ssh/ssh_host_*_key.pub over its console",
        got=f"addresses: {Networked('', addresses).words}",
        hint="make some on the node: ssh-keygen -A; then try again",
    )


def _card(interface: Interface) -> str:
    content = render("node/card.network.j2", interface=interface).decode()
    words = [interface.mac.lower(), "yes" if interface.dhcp else "no", str(interface.gateway or ""), content]
    words += [str(address) for address in interface.addresses]
    lines = [("card", *words)]
    lines += [("route", interface.mac.lower(), str(route.to), str(route.via)) for route in interface.routes]
    return "".join(Command.of("", " ".join("{}" for _ in line) + "\n", *line).script for line in lines)
