"""The facts of a simulated machine, in the words of templates/node/facts.sh."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bootstrap.steps.deploy_commands import PAYLOADS
from tests.simulator.image import VERSION, has_table

if TYPE_CHECKING:
    from tests.simulator.disk import Disk
    from tests.simulator.node import SimulatedMachine

MEMORY_KIB = 2 << 20


def facts_of(machine: SimulatedMachine, asked: bytes) -> bytes:
    """What the script prints; `asked` is its standard input."""
    said = [*_machine(machine), *([] if machine.installed else _disk(machine)), *_asked(machine, asked), ["end"]]
    return "".join("\t".join(line) + "\n" for line in said).encode()


def _machine(machine: SimulatedMachine) -> list[list[str]]:
    files = machine.files
    system = machine.system
    said = [
        ["hostname", machine.name if system else "clusterup-live"],
        ["machine_id", (files.content("/etc/machine-id") or b"").decode().strip() if system else f"live{machine.name}"],
        ["boot_id", machine.boot_id],
        ["clock", str(int(time.time()))],
        ["memory", str(MEMORY_KIB)],
        ["cpus", "2"],
        ["architecture", "x86_64"],
        ["uefi", "yes"],
        ["image", "clusterup", "os" if system else "live", VERSION],
        ["interface", "ens3", machine.mac, f"{machine.address}/24 "],
    ]
    if system:
        said += [["cluster", (files.content("/etc/clusterup/cluster.json") or b"").decode().strip()]]
        said += [["configuration", system.configuration]]
    if machine.etcd is not None:
        said.append(["etcd_data", "yes"])
    if machine.link is not None:
        said.append(["payload", machine.link.removeprefix(f"{PAYLOADS}/").removesuffix(".raw")])
    return said


def _disk(machine: SimulatedMachine) -> list[list[str]]:
    disk = machine.disk
    return [["disk", disk.path, str(disk.size), disk.serial, "Simulated", "0", "", contents(machine, disk), ""]]


def contents(machine: SimulatedMachine, disk: Disk) -> str:
    """What is on a disk, as blkid tells it."""
    if has_table(machine.image, disk):
        return "partitions: vda1 vfat ESP, vda2 vfat CLUSTERUP, vda3 DM_verity_hash, vda4 erofs"
    if disk.filled(0, 1 << 20) or disk.filled(disk.size - (128 << 10), 128 << 10):
        return "data without a partition table"
    return ""


def _asked(machine: SimulatedMachine, asked: bytes) -> list[list[str]]:
    files, modes, units = [], [], []
    for line in asked.decode().splitlines():
        kind, _, value = line.partition(" ")
        found = machine.files.get(value)
        if kind == "file" and found is not None:
            files.append(["file", found.sha256, value])
            modes.append(["mode", f"{found.mode:o}", value])
        elif kind == "unit":
            run = machine.systemd.runs.get(value)
            since = str(run.since if run else 0)
            units.append(["unit", value, machine.systemd.state(value), since, machine.systemd.digest(value)])
    return [*files, *modes, *units]
