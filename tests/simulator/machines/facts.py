"""The facts of a simulated machine, in the words of templates/node/facts.sh."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from bootstrap.constants.paths import ETCD_DATA, KEPT_ETC, PAYLOADS
from tests.simulator.image import VERSION, has_table

if TYPE_CHECKING:
    from tests.simulator.machines.node import SimulatedMachine

MEMORY_KIB = 2 << 20
MIB = 1 << 20
PARTITIONS = ("esp", "CLUSTERUP", "clusterup-verity", "clusterup-root")


def facts_of(machine: SimulatedMachine, asked: bytes) -> bytes:
    """What the script prints; `asked` is its standard input."""
    lines = [line.split() for line in asked.decode().splitlines()]
    said = [*_machine(machine), *([] if machine.installed else _disk(machine, lines)), *_asked(machine, lines), ["end"]]
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
    said += [["trace", path] for path in traces(machine)]
    if machine.link is not None and machine.merged is not None:
        said.append(["payload", machine.link.removeprefix(f"{PAYLOADS}/").removesuffix(".raw")])
    return said


def traces(machine: SimulatedMachine) -> list[str]:
    """What is on an installed system that an installation does not make."""
    if not machine.installed:
        return []
    grown = [ETCD_DATA] if machine.etcd is not None else []
    there = sorted({"/".join(path.split("/")[:5]) for path in machine.files.below(KEPT_ETC)})
    kept = ["/var/lib/kubelet"] if machine.files.below("/var/lib/kubelet") else []
    link = ["/var/lib/extensions/clusterup.raw"] if machine.link else []
    return [*there, *link, *grown, *kept, *(["/etc/kubernetes"] if machine.files.below("/etc/kubernetes") else [])]


def _disk(machine: SimulatedMachine, asked: list[list[str]]) -> list[list[str]]:
    disk, said = machine.disk, []
    contents = ""
    if has_table(machine.image, disk):
        said = [["partition", disk.path, label] for label in PARTITIONS]
        contents = "partitions: " + ", ".join(f"vda{number} {label}" for number, label in enumerate(PARTITIONS, 1))
    elif disk.filled(0, MIB) or disk.filled(disk.size - MIB // 8, MIB // 8):
        contents = "data without a partition table"
    said.append(["disk", disk.path, str(disk.size), disk.serial, "Simulated", "0", "", contents, ""])
    for name, offset, size in (line[1:] for line in asked if contents and line[0] == "range"):
        digest = hashlib.sha256(disk.read(int(offset), int(size))).hexdigest()
        said.append(["range", disk.path, name, digest])
    return said


def _asked(machine: SimulatedMachine, asked: list[list[str]]) -> list[list[str]]:
    files, modes, units = [], [], []
    for kind, value in (line for line in asked if line[0] in ("file", "unit")):
        found = machine.files.get(value)
        if kind == "file" and found is not None:
            files.append(["file", found.sha256, value])
            modes.append(["mode", f"{found.mode:o}", value])
        elif kind == "unit":
            run = machine.systemd.runs.get(value)
            since = str(run.since if run else 0)
            units.append(["unit", value, machine.systemd.state(value), since, machine.systemd.digest(value)])
    return [*files, *modes, *units]
