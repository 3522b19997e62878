"""What of a lab runs, as data and as lines for a person."""

from __future__ import annotations

from typing import Any

from bootstrap.lab.machines.machine import machine_folder, machine_running
from bootstrap.lab.machines.qemu import CONSOLE_SOCKET
from bootstrap.lab.networks.network import balancer_running, switch_running
from bootstrap.lab.networks.registry import registry_running
from bootstrap.lab.networks.router import router_running
from bootstrap.lab.plan import network_of
from bootstrap.lab.spec import REGISTRY_ADDRESS, REGISTRY_PORT, Lab
from bootstrap.state.cluster import SSH_KEY, state_folder


def lab_as_data(lab: Lab) -> dict[str, Any]:
    """The lab for machines that read: keys are stable."""
    memories = {machine.memory for machine in lab.machines}
    return {
        "name": lab.name,
        "folder": str(lab.folder),
        "accel": lab.accel.value,
        "inventory": str(lab.inventory),
        "ssh_key": str(lab.key_file),
        "endpoint": f"127.0.0.1:{lab.endpoint_port}",
        "switch_running": all(switch_running(lab, segment) for segment in lab.segment_numbers),
        "load_balancer_running": balancer_running(lab),
        "segments": [
            {"number": segment, "network": network_of(segment), "switch_running": switch_running(lab, segment)}
            for segment in lab.segment_numbers
        ],
        "router_running": router_running(lab) if lab.has_router else None,
        "registry": _registry(lab),
        # Of each machine, where all have the same.
        "memory_mib": memories.pop() if len(memories) == 1 else None,
        "cpus": lab.cpus,
        "disk_gib": lab.disk,
        "machines": [
            {
                "name": machine.name,
                "role": machine.role,
                "running": machine_running(lab, machine.name),
                "address": machine.address,
                "segment": machine.segment,
                "memory_mib": machine.memory,
                "disk": machine.serial,
                "second_disk": machine.second_serial if machine.second_disk else None,
                "second_disk_gib": machine.second_disk,
                "ssh_port": machine.ssh_port,
                "api_port": machine.api_port,
                "console": str(machine_folder(lab, machine.name) / CONSOLE_SOCKET),
            }
            for machine in lab.machines
        ],
    }


def _registry(lab: Lab) -> dict[str, Any] | None:
    if lab.registry_port is None:
        return None
    return {
        "running": registry_running(lab),
        "address": f"{REGISTRY_ADDRESS}:{REGISTRY_PORT}",
        "push": f"127.0.0.1:{lab.registry_port}",
    }


def lab_lines(lab: Lab) -> list[str]:
    """The lab for a person."""
    data = lab_as_data(lab)
    lines = [
        f"lab {lab.name}: {lab.words}; {lab.accel.words}",
        f"  folder {lab.folder}, inventory {lab.inventory}",
        f"  {_between(data)}",
    ]
    if lab.segments > 1:
        lines += [
            f"  segment {each['number']}: {each['network']}, switch {_running(each['switch_running'])}"
            for each in data["segments"]
        ]
    if registry := data["registry"]:
        lines.append(
            f"  registry {_running(registry['running'])}: push to {registry['push']}, machines pull from "
            f"{registry['address']}"
        )
    lines.append(f"  ssh -i {lab.key_file} -p PORT root@127.0.0.1")
    own = state_folder(lab.name) / SSH_KEY
    if own.is_file():
        lines.append(f"  ssh -i {own} -p PORT root@127.0.0.1, where clusterup has installed the machine")
    lines.append("")
    columns = _columns(lab, data["machines"])
    widths = [max(len(cell) for cell in column) for column in columns[:-1]]
    for row in zip(*columns, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[-1]]))
    return lines


def _between(data: dict[str, Any]) -> str:
    """What runs between the machines."""
    parts = [f"switch {_running(data['switch_running'])}"]
    if data["router_running"] is not None:
        parts.append(f"router {_running(data['router_running'])}")
    parts.append(f"load balancer {_running(data['load_balancer_running'])}: API servers at {data['endpoint']}")
    return ", ".join(parts)


def _columns(lab: Lab, machines: list[dict[str, Any]]) -> list[list[str]]:
    """The table of the machines, column by column; one that says the same of all labs without it is left out."""
    named = "" if lab.name == "lab" else f" --name {lab.name}"
    columns = [
        ["MACHINE", *(each["name"] for each in machines)],
        ["STATE", *(_running(each["running"]) for each in machines)],
        ["ADDRESS", *(each["address"] for each in machines)],
        ["SSH PORT", *(str(each["ssh_port"]) for each in machines)],
        ["MEMORY", *(f"{each['memory_mib']} MiB" for each in machines)],
    ]
    if any(each["second_disk"] for each in machines):
        columns.append(["SECOND DISK", *(_second_disk(each) for each in machines)])
    if lab.segments > 1:
        columns.append(["SEGMENT", *(str(each["segment"]) for each in machines)])
    columns.append(["CONSOLE", *(f"clusterup lab console {each['name']}{named}" for each in machines)])
    return columns


def _second_disk(machine: dict[str, Any]) -> str:
    return f"{machine['second_disk']} ({machine['second_disk_gib']} GiB)" if machine["second_disk"] else "-"


def _running(state: bool) -> str:
    return "running" if state else "off"
