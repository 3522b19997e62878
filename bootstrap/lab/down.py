"""`clusterup lab down`: end what is provably the lab's, and remove its folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from bootstrap.lab.machines.machine import stop_machine
from bootstrap.lab.networks.network import stop_network
from bootstrap.lab.spec import Lab, LabMachine, Reach
from bootstrap.lab.store import lab_locked, load_lab, remove_unfinished
from bootstrap.state.cluster import forget_cluster, state_folder
from bootstrap.transport.hostkeys import public_key

Say = Callable[[str], None]


def _live_key(machine: LabMachine) -> str | None:
    """What an apply has pinned of its live environment: nothing without a network."""
    return None if machine.reach is Reach.NO_CARD else public_key(machine.host_key)


def _nothing(_: str) -> None:
    """For callers that don't want to know."""


def lab_down(name: str, say: Say = _nothing) -> bool:
    """End the lab's machines and remove it, disks and all, and what is kept of the cluster that ran on them. False
    where there is no such lab.

    Raises ClusterupError where a process does not end, Refused where another command is at work on the lab or its
    cluster.
    """
    with lab_locked(name, "lab down"):
        remove_unfinished(name)
        lab = load_lab(name)
        if lab is None:
            return False
        end_lab(lab, say)
    return True


def end_lab(lab: Lab, say: Say) -> None:
    """End the lab's machines and remove it, and what is kept of the cluster that ran on them. The caller holds its
    lock. Raises as `lab_down`."""
    # First, because it refuses while an apply is at work.
    if forget_cluster(lab.name, {machine.name: _live_key(machine) for machine in lab.machines}):
        say(f"forgot the cluster {lab.name}: its keys, certificates and pinned host keys")
    elif (kept := state_folder(lab.name)).is_dir():
        say(f"{kept} stays: not all machines of that cluster {lab.name} can be told to be the lab's")
    for machine in lab.machines:
        if stop_machine(lab, machine.name):
            say(f"{machine.name}: switched off")
    stop_network(lab)
    # Renamed first: an end in the middle of removing leaves nothing that looks like a lab.
    going = lab.folder.with_name(f".{lab.name}.making-removed")
    lab.folder.rename(going)
    shutil.rmtree(going)
