"""A machine's USB stick: the bundle's live environment, with a configuration for this one machine."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from ipaddress import IPv4Interface
from pathlib import Path

from bootstrap.image.bundle import Artifact
from bootstrap.image.disk.configuration import LABEL, EtcFile, configuration_image
from bootstrap.image.disk.copying import copy_image
from bootstrap.inventory.model import CardRoute, Interface
from bootstrap.lab.spec import ALL_SEGMENTS, PREFIX_LENGTH, LabMachine, Reach
from bootstrap.machine.render import render
from bootstrap.pki.sshkeys import SshKey

# Before the image's own, which asks for an address on every card, and behind those that name a card.
UNMANAGED = b"[Match]\nType=ether\n\n[Link]\nUnmanaged=yes\n"


def cards(machine: LabMachine) -> tuple[Interface, Interface]:
    """The machine's network cards: a fixed address between the machines, with a way to those behind the router where
    there is one, and DHCP where the ports lead to."""
    routes = (CardRoute.model_validate({"to": ALL_SEGMENTS, "via": machine.router}),) if machine.router else ()
    address = IPv4Interface(f"{machine.address}/{PREFIX_LENGTH}")
    return (
        Interface(mac=machine.private_mac, addresses=(address,), routes=routes),
        Interface(mac=machine.access_mac, dhcp=True),
    )


def live_etc(machine: LabMachine, host_key: SshKey, authorized_keys: Sequence[str]) -> list[EtcFile]:
    """What the live environment finds in its /etc: nothing of a network where only the console is to lead in."""
    own = [
        EtcFile("machine-id", f"{secrets.token_hex(16)}\n".encode(), 0o444),
        EtcFile("ssh/ssh_host_ed25519_key", host_key.private, 0o600),
        EtcFile("ssh/ssh_host_ed25519_key.pub", f"{host_key.public}\n".encode()),
    ]
    if machine.reach is not Reach.SSH:
        return [*own, EtcFile("systemd/network/70-lab.network", UNMANAGED)]
    return [
        *own,
        EtcFile("ssh/authorized_keys.d/root", "".join(f"{key}\n" for key in authorized_keys).encode(), 0o600),
        *(
            EtcFile(
                f"systemd/network/10-{card.mac.replace(':', '')}.network",
                render("node/card.network.j2", interface=card),
            )
            for card in cards(machine)
        ),
    ]


def write_stick(live: Artifact, target: Path, files: Sequence[EtcFile]) -> None:
    """Make the stick `target` (mode 0600) out of the live image. Raises ClusterupError where there is no room."""
    partition = live.partition(LABEL)
    copy_image(live.content, target)
    with target.open("r+b") as handle:
        handle.seek(partition.offset)
        handle.write(configuration_image(files, image=live.sha256, size=partition.size))
