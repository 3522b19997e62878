"""What a lab consists of: machines with their names, addresses, serial numbers and hardware addresses."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bootstrap.errors import BadUse, Refused

NETWORK = "10.77.0"
PREFIX_LENGTH = 24
MAX_SERVERS = 9
MAX_AGENTS = 30
# virtio-blk cuts a serial number after 20 characters.
SERIAL_LENGTH = 20
# Translated code, devices and page tables of one emulated machine, in MiB.
QEMU_OWN = 200


class Accel(StrEnum):
    """How guests are executed. AUTO is a wish, never the answer: a trial boot decides between the other two."""

    AUTO = "auto"
    KVM = "kvm"
    TCG = "tcg"

    @property
    def words(self) -> str:
        """What to tell a person about it."""
        return {
            Accel.AUTO: "KVM where a trial boot works",
            Accel.KVM: "KVM",
            Accel.TCG: "software emulation (slow: no KVM here that boots a kernel)",
        }[self]


class Reach(StrEnum):
    """How a machine is reached while it is bare: over SSH; over its console alone, until somebody gives it a network;
    or over its console for good, because it has no network card."""

    SSH = "ssh"
    CONSOLE = "console"
    NO_CARD = "no-card"


@dataclass(frozen=True, slots=True)
class LabSpec:
    """What a person asks for. `memory` in MiB and `cpus` are those of each machine, `disk` its size in GiB.

    `by_console` and `without_card` name machines (see `Reach`). `bundle` is a bundle's folder (default: the newest).
    `qemu_options` go to the end of every QEMU's arguments.
    """

    name: str = "lab"
    servers: int = 3
    agents: int = 0
    memory: int = 2048
    cpus: int = 2
    disk: int = 8
    inventory: Path = Path("lab.yaml")
    bundle: str | None = None
    accel: Accel = Accel.AUTO
    qemu_options: tuple[str, ...] = ()
    by_console: tuple[str, ...] = ()
    without_card: tuple[str, ...] = ()

    def reach(self, name: str) -> Reach:
        """How the machine of that name is reached."""
        if name in self.without_card:
            return Reach.NO_CARD
        return Reach.CONSOLE if name in self.by_console else Reach.SSH


def fitting_cpus(machines: int, host: int) -> int:
    """How many CPUs each of `machines` gets on a host with `host` of them: two where there are enough, else one.

    Emulated CPUs that share a real one wait for locks that a sleeping one holds: three machines of two CPUs each took
    three times as long to start on two cores as three of one.
    """
    return 2 if host >= 2 * machines else 1


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of a lab. `ssh_port` and `api_port` (servers only) are ports of 127.0.0.1.

    `private_mac` is the card on the switch between the machines, `access_mac` the one that the ports lead to.
    `host_key` is the public SSH host key of its live environment.
    """

    name: str
    role: str
    address: str
    serial: str
    private_mac: str
    access_mac: str
    ssh_port: int
    api_port: int | None
    host_key: str
    reach: Reach = Reach.SSH

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of 127.0.0.1 that its QEMU listens on."""
        return (self.ssh_port,) if self.api_port is None else (self.ssh_port, self.api_port)


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that exists, in `folder`.

    `memory` in MiB and `cpus` are those of each machine, `disk` its size in GiB; `endpoint_port` is where the
    load balancer in front of the API servers listens on 127.0.0.1.
    """

    name: str
    folder: Path
    machines: tuple[Machine, ...]
    memory: int
    cpus: int
    disk: int
    accel: Accel
    endpoint_port: int
    inventory: Path
    qemu_options: tuple[str, ...] = ()

    @property
    def servers(self) -> tuple[Machine, ...]:
        return tuple(machine for machine in self.machines if machine.role == "server")

    @property
    def agents(self) -> tuple[Machine, ...]:
        return tuple(machine for machine in self.machines if machine.role == "agent")

    @property
    def key_file(self) -> Path:
        """The private SSH key that the live environments let in as root."""
        return self.folder / "ssh" / "id_ed25519"

    def machine(self, name: str) -> Machine:
        """The machine of that name. Raises BadUse that names the ones there are."""
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise BadUse(
            f"the lab {self.name} has no machine {name}",
            step="lab",
            got=", ".join(machine.name for machine in self.machines),
            hint="name one of these",
        )

    @property
    def words(self) -> str:
        """What it consists of, as in "3 servers, 1 agent; each 2048 MiB, 2 CPUs, a disk of 8 GiB"."""
        return (
            f"{counted(len(self.servers), 'server')}, {counted(len(self.agents), 'agent')}; "
            f"each {self.memory} MiB, {counted(self.cpus, 'CPU')}, a disk of {self.disk} GiB"
        )


def counted(count: int, noun: str) -> str:
    """ "1 server", "3 servers"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def check_spec(spec: LabSpec) -> None:
    """Raise BadUse where no lab can be made of `spec`."""
    check_name(spec.name)
    limits = (
        ("--servers", spec.servers, 1, MAX_SERVERS),
        ("--agents", spec.agents, 0, MAX_AGENTS),
        ("--memory", spec.memory, 64, 1 << 20),
        ("--cpus", spec.cpus, 1, 64),
        ("--disk", spec.disk, 1, 1024),
    )
    for option, value, least, most in limits:
        if not least <= value <= most:
            raise _bad(f"{option} {value}", f"{least} to {most}")
    names = [name for _, name, _ in _names(spec)]
    for option, chosen in (("--by-console", spec.by_console), ("--without-card", spec.without_card)):
        for name in chosen:
            if name not in names:
                raise _bad(f"{option} {name} is none of its machines", ", ".join(names))


def check_name(name: str) -> None:
    """Raise BadUse where no lab can have that name: it becomes a folder's and a cluster's."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", name):
        raise _bad(f"{name!r} can't be the name of a lab", "small letters, digits and dashes, 40 at most")


def _bad(problem: str, allowed: str) -> BadUse:
    return BadUse(problem, step="lab", tried="read the command line", hint=f"allowed: {allowed}")


def ports_needed(spec: LabSpec) -> int:
    """How many ports of 127.0.0.1 the lab takes."""
    return 2 * spec.servers + spec.agents + 1


def planned_machines(spec: LabSpec, ports: Sequence[int], host_keys: Sequence[str]) -> tuple[Machine, ...]:
    """The machines of a lab, with `ports` given out in order and a public host key each."""
    left = iter(ports)
    keys = iter(host_keys)
    return tuple(
        Machine(
            name=name,
            role=role,
            address=f"{NETWORK}.{last}",
            serial=f"lab-{name}"[:SERIAL_LENGTH],
            private_mac=hardware_address(spec.name, name, "private"),
            access_mac=hardware_address(spec.name, name, "access"),
            ssh_port=next(left),
            api_port=next(left) if role == "server" else None,
            host_key=next(keys),
            reach=spec.reach(name),
        )
        for role, name, last in _names(spec)
    )


def _names(spec: LabSpec) -> Iterator[tuple[str, str, int]]:
    for number in range(1, spec.servers + 1):
        yield "server", f"server-{number}", 10 + number
    for number in range(1, spec.agents + 1):
        yield "agent", f"agent-{number}", 20 + number


def hardware_address(lab: str, node: str, card: str) -> str:
    """The hardware address of a card: the same at every start, another one for every card of every lab."""
    digest = hashlib.sha256(f"{lab}/{node}/{card}".encode()).digest()
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in digest[:3])


def check_same(lab: Lab, spec: LabSpec) -> None:
    """Raise Refused where `spec` asks for another lab than the one that is there."""
    there = {
        "--servers": len(lab.servers),
        "--agents": len(lab.agents),
        "--memory": lab.memory,
        "--cpus": lab.cpus,
        "--disk": lab.disk,
    }
    asked = {
        "--servers": spec.servers,
        "--agents": spec.agents,
        "--memory": spec.memory,
        "--cpus": spec.cpus,
        "--disk": spec.disk,
    }
    differing = [f"{option} {asked[option]}" for option in there if asked[option] != there[option]]
    differing += [
        f"{machine.name} by another way" for machine in lab.machines if machine.reach != spec.reach(machine.name)
    ]
    if differing:
        raise Refused(
            f"there is a lab {lab.name} already, and it is another one",
            step="lab up",
            tried=" ".join(differing),
            got=f"the lab {lab.name} has {lab.words}",
            hint=f"leave the options out to start it as it is, end it first (clusterup lab down --name {lab.name}), "
            "or give the new one another --name",
        )


def check_memory(starting: int, each: int, available: int) -> None:
    """Raise Refused where `starting` machines of `each` MiB don't fit into `available` MiB."""
    with_qemu = each + QEMU_OWN
    if starting * with_qemu > available:
        raise Refused(
            f"there is too little memory for {counted(starting, 'machine')} of {each} MiB",
            step="lab up",
            tried=f"{starting} x ({each} + {QEMU_OWN} for QEMU itself) = {starting * with_qemu} MiB",
            got=f"{available} MiB available",
            hint=f"{counted(max(available // with_qemu, 0), 'machine')} would fit; start fewer (--servers, --agents), "
            f"or smaller ones (--memory {max(available // starting - QEMU_OWN, 0)})",
        )
