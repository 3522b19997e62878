"""What a lab consists of: machines with their names, addresses, serial numbers and hardware addresses."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from bootstrap.errors import BadUse, Refused
from bootstrap.image.architecture import AMD64, ARCHITECTURES

NETWORK = "10.77.0"
PREFIX_LENGTH = 24
MAX_SEGMENTS = 4
# Around all segments' networks, in each of which the router has the first address and, in the first, the registry the
# second.
ALL_SEGMENTS = "10.77.0.0/16"
ROUTER = 1
REGISTRY_ADDRESS = f"{NETWORK}.2"
REGISTRY_PORT = 5000
MAX_SERVERS = 9
MAX_AGENTS = 30
# virtio-blk cuts a serial number after 20 characters; with a name as above there is room for a second disk's "-2".
SERIAL_LENGTH = 20
# In MiB, and in GiB.
MEMORY_LIMITS = (64, 1 << 20)
SECOND_DISK_LIMITS = (0, 1024)


V = TypeVar("V", int, str)


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
    """What a person asks for. `memory` in MiB and `cpus` are those of each machine, `disk` and `second_disk` (0: none)
    its disks' sizes in GiB; `memory_of` and `second_disk_of` have those of machines that get others, by name.

    The machines of each role go round the `segments` of the network, but for those that `on` names with another one.
    `arch` is the machines' architecture, `arch_of` that of those that have another one, by name.
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
    memory_of: tuple[tuple[str, int], ...] = ()
    second_disk: int = 0
    second_disk_of: tuple[tuple[str, int], ...] = ()
    segments: int = 1
    on: tuple[tuple[str, int], ...] = ()
    registry: bool = False
    arch: str = AMD64.name
    arch_of: tuple[tuple[str, str], ...] = ()

    @property
    def has_router(self) -> bool:
        """Whether something has to lead from one segment to another, or to the registry."""
        return self.segments > 1 or self.registry

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its machines."""
        return tuple(name for _, name, _ in planned_names(self))

    def memory_for(self, name: str) -> int:
        """The memory of the machine of that name, in MiB."""
        return dict(self.memory_of).get(name, self.memory)

    def second_disk_for(self, name: str) -> int:
        """The size of that machine's second disk in GiB, 0 where it has none."""
        return dict(self.second_disk_of).get(name, self.second_disk)

    def segment_for(self, name: str) -> int:
        """The segment of that machine, from 1 on."""
        number = int(name.rpartition("-")[2])
        return dict(self.on).get(name, (number - 1) % self.segments + 1)

    def arch_for(self, name: str) -> str:
        """The architecture of that machine."""
        return dict(self.arch_of).get(name, self.arch)

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
class LabMachine:
    """A machine of a lab. `ssh_port` and `api_port` (servers only) are ports of 127.0.0.1; `memory` in MiB, and
    `second_disk` the size of a second disk in GiB, 0 where there is none.

    `segment` is where its card is plugged in, from 1 on; `router` the address there that leads to the other ones.
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
    memory: int
    reach: Reach = Reach.SSH
    second_disk: int = 0
    segment: int = 1
    router: str | None = None
    arch: str = AMD64.name

    @property
    def second_serial(self) -> str:
        """The serial number of its second disk."""
        return f"{self.serial[: SERIAL_LENGTH - 2]}-2"

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of 127.0.0.1 that its QEMU listens on."""
        return (self.ssh_port,) if self.api_port is None else (self.ssh_port, self.api_port)


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that exists, in `folder`.

    `cpus` are those of each machine, `disk` the size of its first disk in GiB. `endpoint_port` is where the load
    balancer in front of the API servers listens on 127.0.0.1, `registry_port` where it leads to the registry.
    """

    name: str
    folder: Path
    machines: tuple[LabMachine, ...]
    cpus: int
    disk: int
    accel: Accel
    endpoint_port: int
    inventory: Path
    qemu_options: tuple[str, ...] = ()
    segments: int = 1
    registry_port: int | None = None

    @property
    def segment_numbers(self) -> range:
        """Its segments, from 1 on."""
        return range(1, self.segments + 1)

    @property
    def has_router(self) -> bool:
        """Whether something has to lead from one segment to another, or to the registry."""
        return self.segments > 1 or self.registry_port is not None

    @property
    def ports(self) -> frozenset[int]:
        """All ports of 127.0.0.1 that it listens on."""
        own = {port for machine in self.machines for port in machine.ports} | {self.endpoint_port}
        return frozenset(own if self.registry_port is None else own | {self.registry_port})

    @property
    def servers(self) -> tuple[LabMachine, ...]:
        return tuple(machine for machine in self.machines if machine.role == "server")

    @property
    def agents(self) -> tuple[LabMachine, ...]:
        return tuple(machine for machine in self.machines if machine.role == "agent")

    @property
    def key_file(self) -> Path:
        """The private SSH key that the live environments let in as root."""
        return self.folder / "ssh" / "id_ed25519"

    def machine(self, name: str) -> LabMachine:
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
        memories = _by_value((machine.name, machine.memory) for machine in self.machines)
        seconds = _by_value((machine.name, machine.second_disk) for machine in self.machines)
        each = [counted(self.cpus, "CPU"), f"a disk of {self.disk} GiB"]
        others = []
        if len(memories) == 1:
            each.insert(0, f"{self.machines[0].memory} MiB")
        else:
            others += [f"{value} MiB: {names}" for value, names in memories.items()]
        if len(seconds) > 1:
            others += [f"a second disk of {value} GiB: {names}" for value, names in seconds.items() if value]
        elif self.machines[0].second_disk:
            each.append(f"a second one of {self.machines[0].second_disk} GiB")
        arches = _by_value((machine.name, machine.arch) for machine in self.machines)
        others += [f"{arch}: {names}" for arch, names in arches.items() if arch != AMD64.name]
        if self.segments > 1:
            others.append(f"{self.segments} segments with a router")
        if self.registry_port is not None:
            others.append("a registry")
        roles = f"{counted(len(self.servers), 'server')}, {counted(len(self.agents), 'agent')}"
        return "; ".join([roles, f"each {', '.join(each)}", *others])


def _by_value(values: Iterable[tuple[str, V]]) -> dict[V, str]:
    """Which machines have each of the values, as in {1024: "agent-1, agent-2"}."""
    found: dict[V, list[str]] = {}
    for name, value in values:
        found.setdefault(value, []).append(name)
    return {value: ", ".join(found[value]) for value in sorted(found)}


def counted(count: int, noun: str) -> str:
    """ "1 server", "3 servers"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def check_spec(spec: LabSpec) -> None:
    """Raise BadUse where no lab can be made of `spec`."""
    check_name(spec.name)
    limits = [
        ("--servers", spec.servers, 1, MAX_SERVERS),
        ("--agents", spec.agents, 0, MAX_AGENTS),
        ("--cpus", spec.cpus, 1, 64),
        ("--disk", spec.disk, 1, 1024),
        ("--segments", spec.segments, 1, MAX_SEGMENTS),
        ("--memory", spec.memory, *MEMORY_LIMITS),
        ("--second-disk", spec.second_disk, *SECOND_DISK_LIMITS),
    ]
    limits += [(f"--memory {name} =", value, *MEMORY_LIMITS) for name, value in spec.memory_of]
    limits += [(f"--second-disk {name} =", value, *SECOND_DISK_LIMITS) for name, value in spec.second_disk_of]
    limits += [(f"--on {name} =", value, 1, spec.segments) for name, value in spec.on]
    for option, value, least, most in limits:
        if not least <= value <= most:
            raise bad_option(f"{option} {value}".replace(" = ", "="), f"{least} to {most}")
    named = {
        "--by-console": spec.by_console,
        "--without-card": spec.without_card,
        "--memory": [name for name, _ in spec.memory_of],
        "--second-disk": [name for name, _ in spec.second_disk_of],
        "--on": [name for name, _ in spec.on],
        "--arch": [name for name, _ in spec.arch_of],
    }
    for arch in (spec.arch, *dict(spec.arch_of).values()):
        if arch not in ARCHITECTURES:
            raise bad_option(f"--arch {arch}", ", ".join(ARCHITECTURES))
    for option, chosen in named.items():
        for name in chosen:
            if name not in spec.names:
                raise bad_option(f"{option} {name} is not a machine of this lab", ", ".join(spec.names))


def check_name(name: str) -> None:
    """Raise BadUse where no lab can have that name: it becomes a folder's and a cluster's."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", name):
        raise bad_option(f"{name!r} can't be the name of a lab", "small letters, digits and dashes, 40 at most")


def bad_option(problem: str, allowed: str) -> BadUse:
    """What is said of an option of `lab up` that no lab can be made with."""
    return BadUse(problem, step="lab", tried="read the command line", hint=f"allowed: {allowed}")


def planned_names(spec: LabSpec) -> Iterator[tuple[str, str, int]]:
    """Role and name of each machine, and the last byte of its address."""
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
        "--cpus": lab.cpus,
        "--disk": lab.disk,
        "--segments": lab.segments,
    }
    asked = {
        "--servers": spec.servers,
        "--agents": spec.agents,
        "--cpus": spec.cpus,
        "--disk": spec.disk,
        "--segments": spec.segments,
    }
    differing = [f"{option} {asked[option]}" for option in there if asked[option] != there[option]]
    if spec.registry != (lab.registry_port is not None):
        differing.append("--registry" if spec.registry else "no --registry")
    for machine in lab.machines:
        differing += _differing(machine, spec)
    if differing:
        raise Refused(
            f"there is a lab {lab.name} already, and it is another one",
            step="lab up",
            tried=" ".join(dict.fromkeys(differing)),
            got=f"the lab {lab.name} has {lab.words}",
            hint=f"leave the options out to start it as it is, end it first (clusterup lab down --name {lab.name}), "
            "or give the new one another --name",
        )


def _differing(machine: LabMachine, spec: LabSpec) -> Iterator[str]:
    """What `spec` asks for that this machine is not."""
    name = machine.name
    memory, second_disk = spec.memory_for(name), spec.second_disk_for(name)
    if memory != machine.memory:
        yield f"--memory {name}={memory}" if spec.memory_of else f"--memory {memory}"
    if second_disk != machine.second_disk:
        yield f"--second-disk {name}={second_disk}" if spec.second_disk_of else f"--second-disk {second_disk}"
    if spec.segment_for(name) != machine.segment:
        yield f"--on {name}={spec.segment_for(name)}"
    if spec.arch_for(name) != machine.arch:
        yield f"--arch {name}={spec.arch_for(name)}"
    if spec.reach(name) != machine.reach:
        yield f"{name} by another way"


LIVE = "live"
