"""Labs that exist on paper only."""

from __future__ import annotations

from pathlib import Path

from bootstrap.lab.spec import Accel, Lab, LabSpec, planned_machines, ports_needed
from bootstrap.pki.sshkeys import new_ssh_key


def paper_lab(folder: Path, spec: LabSpec, accel: Accel = Accel.TCG) -> Lab:
    """The lab that `spec` would make, with ports from 20000 on."""
    ports = list(range(20000, 20000 + ports_needed(spec)))
    keys = [new_ssh_key().public for _ in range(spec.servers + spec.agents)]
    return Lab(
        name=spec.name,
        folder=folder,
        machines=planned_machines(spec, ports[1:], keys),
        memory=spec.memory,
        cpus=spec.cpus,
        disk=spec.disk,
        accel=accel,
        endpoint_port=ports[0],
        inventory=spec.inventory,
        qemu_options=spec.qemu_options,
    )
