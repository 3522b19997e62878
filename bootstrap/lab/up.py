"""`clusterup lab up`: make a lab where there is none, start what does not run, wait until it can be reached."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bootstrap.errors import ClusterupError, Refused
from bootstrap.image.architecture import AMD64
from bootstrap.image.files import verify_bundle
from bootstrap.image.finding import find_bundle
from bootstrap.lab.inventory import check_inventory_place, inventory_text, write_inventory
from bootstrap.lab.machines import qemu
from bootstrap.lab.machines.accel import accelerator
from bootstrap.lab.machines.awake import awake
from bootstrap.lab.machines.host import available_memory, check_memory
from bootstrap.lab.machines.machine import console_size, port_is_free, start_machine, stop_machine
from bootstrap.lab.networks.network import network_running, start_network, switch_running
from bootstrap.lab.networks.router import TUN, require_tun
from bootstrap.lab.plan import planned_lab, ports_needed
from bootstrap.lab.saves.saved import all_saved
from bootstrap.lab.spec import LIVE, Accel, Lab, LabSpec, Reach, check_same, check_spec, counted
from bootstrap.lab.stick import live_etc, write_stick
from bootstrap.lab.store import (
    lab_locked,
    labs_dir,
    load_lab,
    remembered_ports,
    remove_unfinished,
    save_lab,
    unfinished_folder,
)
from bootstrap.lab.tools import lab_tree, machine_tree
from bootstrap.lab.wait import wait_until_reached
from bootstrap.pki.sshkeys import kept_ssh_key, new_ssh_key
from bootstrap.state.cluster import state_folder

Say = Callable[[str], None]

# Below the range from which the kernel gives ports to outgoing connections.
FIRST_PORT, LAST_PORT = 20000, 32000


def lab_up(spec: LabSpec, *, say: Say) -> Lab:
    """The lab that `spec` describes, every machine of it running and answering on its SSH port.

    `say` gets a line for each thing that happens. What is there is kept and what runs is left alone. Raises
    BadUse, Refused or ClusterupError.
    """
    check_spec(spec)
    with lab_locked(spec.name, "lab up"):
        lab, console_from = started(spec, say=say)
        wait_until_reached(lab, [machine.name for machine in lab.machines], console_from, say=say)
    return lab


def started(spec: LabSpec, *, say: Say) -> tuple[Lab, dict[str, int]]:
    """The lab, with every machine switched on, and how long each one's console log was before.

    The caller holds the lab's lock. Raises BadUse, Refused or ClusterupError.
    """
    there = load_lab(spec.name)
    inventory = spec.inventory.absolute()
    check_inventory_place(inventory, spec.name)
    if there is not None:
        check_same(there, spec)
    running = awake(there, say) if there else []
    check_memory([spec.memory_for(name) for name in spec.names if name not in running], available_memory())
    if spec.has_router:
        require_tun(TUN)
    lab = there or _made(spec, say)
    if there is None or not inventory.exists():
        bundle = find_bundle(spec.bundle)
        text = inventory_text(lab, spec.bundle, bundle.versions.minor, bundle.architecture)
        write_inventory(inventory, text)
        say(f"wrote {spec.inventory}")
    if len(running) == len(lab.machines) and network_running(lab):
        say(f"the lab {lab.name} is already up: {lab.words}")
    else:
        running = _plugged_in(lab, running, say)
    console_from = {machine.name: console_size(lab, machine.name) for machine in lab.machines}
    start_network(lab, say)
    for machine in lab.machines:
        if machine.name not in running:
            start_machine(lab, machine.name)
            say(f"{machine.name}: switched on")
    for name in running:
        console_from[name] = 0
    return lab, console_from


def _plugged_in(lab: Lab, running: list[str], say: Say) -> list[str]:
    """The running machines that are still connected to their switches; the others are switched off."""
    connected = []
    for name in running:
        machine = lab.machine(name)
        if machine.reach is Reach.NO_CARD or switch_running(lab, machine.segment):
            connected.append(name)
            continue
        # QEMU does not connect to a switch a second time.
        stop_machine(lab, name)
        say(f"{name}: switched off, because the switch between the machines had ended")
    return connected


def check_name_is_free(name: str) -> None:
    """Raise Refused where there is a cluster of that name already: its keys are not those of new machines."""
    folder = state_folder(name)
    if folder.exists():
        raise Refused(
            f"a new lab can't be called {name}: there was a cluster of that name",
            step="lab up",
            tried=f"look for what is kept of a cluster {name}",
            got=f"{folder} is there",
            hint="take another --name; or remove that folder, if the cluster is gone for good",
        )


def _made(spec: LabSpec, say: Say) -> Lab:
    """A new lab, not running yet. It appears under its name when it is complete."""
    check_name_is_free(spec.name)
    bundle = find_bundle(spec.bundle)
    live = {arch: bundle.for_architecture(arch).artifact(LIVE) for arch in {spec.arch_for(name) for name in spec.names}}
    verify_bundle(bundle, [part.name for part in live.values()])
    trees = {arch: machine_tree(arch, say) for arch in live}
    tree = lab_tree(say)
    # Machines of another architecture are emulated in any case.
    own = live.get(AMD64.name)
    accel = accelerator(spec.accel, tree, own, say) if own else Accel.TCG
    host_keys = [new_ssh_key() for _ in spec.names]
    ports = free_ports(ports_needed(spec))
    lab = planned_lab(spec, labs_dir() / spec.name, accel, ports, [key.public for key in host_keys])
    say(f"making the lab {spec.name}")
    try:
        making = replace(lab, folder=unfinished_folder(spec.name))
        operator = kept_ssh_key(making.key_file)
        for machine, host_key in zip(lab.machines, host_keys, strict=True):
            folder = making.folder / machine.name
            folder.mkdir(mode=0o700)
            _empty_disk(folder / qemu.DISK, spec.disk)
            if machine.second_disk:
                _empty_disk(folder / qemu.SECOND_DISK, machine.second_disk)
            shutil.copyfile(trees[machine.arch] / qemu.BOARDS[machine.arch].variables, folder / qemu.VARIABLES)
            write_stick(live[machine.arch], folder / qemu.STICK, live_etc(machine, host_key, [operator.public]))
        save_lab(lab, making.folder)
        making.folder.rename(lab.folder)
    finally:
        remove_unfinished(spec.name)
    return lab


def _empty_disk(file: Path, size: int) -> None:
    """A disk of `size` GiB that takes no room yet."""
    with file.open("wb") as disk:
        disk.truncate(size << 30)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 on which no one listens, and which no lab counts on, saved ones included. Raises
    ClusterupError."""
    # A saved lab that comes back has the ports that it had.
    taken = remembered_ports().union(*(saved.lab.ports for saved in all_saved()))
    span = LAST_PORT - FIRST_PORT
    # Two labs of two users that are made at the same moment must not begin at the same port.
    first = secrets.randbelow(span)
    found: list[int] = []
    for step in range(span):
        port = FIRST_PORT + (first + step) % span
        if port not in taken and port_is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise ClusterupError(
        f"there are no {counted(count, 'free port')} on 127.0.0.1",
        step="lab up",
        tried=f"{FIRST_PORT} to {LAST_PORT}",
        got=counted(len(found), "free port"),
        hint="end programs that listen there (ss -ltn lists them)",
    )
