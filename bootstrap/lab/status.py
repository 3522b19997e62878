"""What of a lab runs, as data and as lines for a person."""

from __future__ import annotations

from typing import Any

from bootstrap.lab.machine import machine_folder, machine_running
from bootstrap.lab.network import balancer_running, switch_running
from bootstrap.lab.qemu import CONSOLE_SOCKET
from bootstrap.lab.spec import Lab


def lab_as_data(lab: Lab) -> dict[str, Any]:
    """The lab for machines that read: keys are stable."""
    return {
        "name": lab.name,
        "folder": str(lab.folder),
        "accel": lab.accel.value,
        "inventory": str(lab.inventory),
        "ssh_key": str(lab.key_file),
        "endpoint": f"127.0.0.1:{lab.endpoint_port}",
        "switch_running": switch_running(lab),
        "load_balancer_running": balancer_running(lab),
        "memory_mib": lab.memory,
        "cpus": lab.cpus,
        "disk_gib": lab.disk,
        "machines": [
            {
                "name": machine.name,
                "role": machine.role,
                "running": machine_running(lab, machine.name),
                "address": machine.address,
                "ssh_port": machine.ssh_port,
                "api_port": machine.api_port,
                "console": str(machine_folder(lab, machine.name) / CONSOLE_SOCKET),
            }
            for machine in lab.machines
        ],
    }


def lab_lines(lab: Lab) -> list[str]:
    """The lab for a person."""
    data = lab_as_data(lab)
    switch, balancer = (_running(data[f"{what}_running"]) for what in ("switch", "load_balancer"))
    lines = [
        f"lab {lab.name}: {lab.words}; {lab.accel.words}",
        f"  folder {lab.folder}, inventory {lab.inventory}",
        f"  switch {switch}, load balancer {balancer}: API servers at {data['endpoint']}",
        f"  ssh -i {lab.key_file} -p PORT root@127.0.0.1",
        "",
    ]
    rows = [("MACHINE", "STATE", "ADDRESS", "SSH PORT", "CONSOLE")]
    rows += [
        (
            machine["name"],
            _running(machine["running"]),
            machine["address"],
            str(machine["ssh_port"]),
            f"clusterup lab console {machine['name']}" + ("" if lab.name == "lab" else f" --name {lab.name}"),
        )
        for machine in data["machines"]
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines += [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows
    ]
    return lines


def _running(state: bool) -> str:
    return "running" if state else "off"
