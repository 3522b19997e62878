"""Labs that exist on paper only."""

from __future__ import annotations

from pathlib import Path

from bootstrap.lab.plan import planned_lab, ports_needed
from bootstrap.lab.spec import Accel, Lab, LabSpec
from bootstrap.pki.sshkeys import new_ssh_key


def paper_lab(folder: Path, spec: LabSpec, accel: Accel = Accel.TCG) -> Lab:
    """The lab that `spec` would make, with ports from 20000 on."""
    ports = list(range(20000, 20000 + ports_needed(spec)))
    return planned_lab(spec, folder, accel, ports, [new_ssh_key().public for _ in spec.names])
