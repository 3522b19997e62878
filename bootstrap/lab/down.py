"""`clusterup lab down`: end what is provably the lab's, and remove its folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from bootstrap.lab.machine import stop_machine
from bootstrap.lab.network import stop_network
from bootstrap.lab.store import lab_locked, load_lab, remove_unfinished

Say = Callable[[str], None]


def _nothing(_: str) -> None:
    """For callers that don't want to know."""


def lab_down(name: str, say: Say = _nothing) -> bool:
    """End the lab's machines and remove it, disks and all. False where there is no such lab.

    The state of the cluster that ran in it is left alone. Raises ClusterupError where a process does not end,
    Refused where another command is at work on the lab.
    """
    with lab_locked(name, "lab down"):
        remove_unfinished(name)
        lab = load_lab(name)
        if lab is None:
            return False
        for machine in lab.machines:
            if stop_machine(lab, machine.name):
                say(f"{machine.name}: switched off")
        stop_network(lab)
        # Renamed first: an end in the middle of removing leaves nothing that looks like a lab.
        going = lab.folder.with_name(f".{name}.making-removed")
        lab.folder.rename(going)
        shutil.rmtree(going)
    return True
