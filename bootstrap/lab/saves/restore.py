"""`clusterup lab restore`: a lab as it was when it was saved, running, with its inventory and what is kept of its
cluster."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from bootstrap.errors import Refused
from bootstrap.lab.down import end_lab
from bootstrap.lab.inventory import check_inventory_place, write_inventory
from bootstrap.lab.machines import memory
from bootstrap.lab.machines.disks import LIVE_IMAGE, Shelf, linked, restore_disks
from bootstrap.lab.machines.host import available_memory, check_memory
from bootstrap.lab.machines.machine import machine_running, require_ports, start_machine, stop_machine
from bootstrap.lab.machines.qemu import CONSOLE_LOG, VARIABLES
from bootstrap.lab.networks.network import require_network_ports, start_network, stop_network
from bootstrap.lab.networks.registry import copy_images
from bootstrap.lab.networks.router import TUN, require_tun
from bootstrap.lab.saves.clocks import set_clocks
from bootstrap.lab.saves.controllers import LONG, restart_controllers, wait_for_controllers
from bootstrap.lab.saves.health import operator_of, wait_until_well
from bootstrap.lab.saves.saved import CLUSTER, Saved
from bootstrap.lab.spec import Lab
from bootstrap.lab.store import lab_locked, labs_dir, load_lab, remove_unfinished, save_lab, unfinished_folder
from bootstrap.lab.tools import lab_tree, machine_tree
from bootstrap.lab.wait import wait_until_reached
from bootstrap.paths import private_folder
from bootstrap.phases.kubeconfig import kubeconfig_beside
from bootstrap.state.cluster import state_folder
from bootstrap.written import write_private

Say = Callable[[str], None]
STEP = "lab restore"
ASIDE = ".before-restore"


def lab_restore(saved: Saved, inventory: Path, *, say: Say) -> Lab:
    """The lab, running, and well where it was: etcd has a leader, every API server answers and every Node is Ready that
    was. A lab of that name that is there ends, disks and all: the caller has asked.

    The inventory is written to `inventory`; another file that is there is set aside. Raises BadUse, Refused or
    ClusterupError.
    """
    with lab_locked(saved.lab.name, f"lab restore {saved.full_name}"):
        lab = put_back(saved, inventory, say=say)
        _wait(saved, lab, say)
    return lab


def put_back(saved: Saved, inventory: Path, *, say: Say) -> Lab:
    """All of `lab_restore` but the lock, which the caller holds, and the waiting."""
    name = saved.lab.name
    check_inventory_place(inventory, name)
    there = load_lab(name)
    if there is None:
        _require_no_cluster(name)
    lab = replace(saved.lab, folder=labs_dir() / name, inventory=inventory.absolute())
    if lab.has_router:
        require_tun(TUN)
    try:
        for arch in sorted({machine.arch for machine in lab.machines}):
            machine_tree(arch, say)
        making = _made(saved, lab, lab_tree(say))
        sizes = [lab.machine(node).memory for node in saved.running]
        if there is not None:
            # What is seen before the lab ends that is there does not end it.
            check_memory(sizes, available_memory() + _running_memory(there), STEP)
            _require_ports(lab, there.ports)
            end_lab(there, say)
            say("what was saved of it comes back, its keys too")
        _require_no_cluster(name)
        check_memory(sizes, available_memory(), STEP)
        _require_ports(lab, frozenset())
        # The lab first: who is interrupted between the two has one that the next restore ends.
        making.rename(lab.folder)
        _put_state_back(saved, lab)
    finally:
        remove_unfinished(name)
    _write_texts(saved, lab, say)
    _go_on(saved, lab, say)
    return lab


def _running_memory(lab: Lab) -> int:
    """What its machines give back when they end, in MiB, and may be less."""
    return sum(machine.memory for machine in lab.machines if machine_running(lab, machine.name))


def _require_ports(lab: Lab, own: frozenset[int]) -> None:
    """Raise Refused where somebody else has a port of the lab's. `own` are those of the lab that ends first."""
    require_network_ports(lab, own)
    for machine in lab.machines:
        require_ports(lab, machine, own)


def _made(saved: Saved, lab: Lab, tree: Path) -> Path:
    """The lab's folder, complete, under the name of one that is being made."""
    with ThreadPoolExecutor(max(1, len(saved.running))) as pool:
        checks = [saved.folder / node / memory.MEMORY for node in saved.running]
        list(pool.map(memory.check_memory_file, checks, saved.running))
    making = unfinished_folder(lab.name)
    shutil.copytree(saved.folder / "ssh", making / "ssh")
    if (saved.folder / LIVE_IMAGE).exists():
        linked(saved.folder / LIVE_IMAGE, making / LIVE_IMAGE)
    shelf = Shelf(tree, making, saved.folder)
    for machine in lab.machines:
        own, kept = making / machine.name, saved.folder / machine.name
        own.mkdir(mode=0o700)
        restore_disks(shelf, machine.name)
        for part in (VARIABLES, CONSOLE_LOG):
            if (kept / part).exists():
                shutil.copy(kept / part, own / part)
        if machine.name in saved.running:
            linked(kept / memory.MEMORY, own / memory.MEMORY)
    copy_images(saved.folder, making)
    save_lab(lab, making)
    return making


def _put_state_back(saved: Saved, lab: Lab) -> None:
    """What the operator keeps of the lab's cluster. It appears under its name when it is complete."""
    if (saved.folder / CLUSTER).is_dir():
        state = state_folder(lab.name)
        coming = private_folder(state.parent) / f".{lab.name}.restoring"
        shutil.rmtree(coming, ignore_errors=True)
        shutil.copytree(saved.folder / CLUSTER, coming)
        coming.rename(state)


def _write_texts(saved: Saved, lab: Lab, say: Say) -> None:
    """The inventory, and the kubeconfig beside it where there was one. What is there and differs is set aside."""
    text = saved.inventory.replace(str(saved.lab.folder), str(lab.folder))
    if _set_aside(lab.inventory, text.encode(), say):
        write_inventory(lab.inventory, text)
        say(f"wrote {lab.inventory}")
    beside = kubeconfig_beside(lab.inventory, lab.name)
    if saved.kubeconfig and _set_aside(beside, saved.kubeconfig.encode(), say):
        write_private(beside, saved.kubeconfig.encode())
        say(f"wrote {beside}")


def _set_aside(path: Path, content: bytes, say: Say) -> bool:
    """Whether `content` is still to be written to `path`; what is there and differs has got another name."""
    try:
        if path.read_bytes() == content:
            return False
    except FileNotFoundError:
        return True
    number, aside = 1, path.with_name(path.name + ASIDE)
    while aside.exists():
        number, aside = number + 1, path.with_name(f"{path.name}{ASIDE}.{number + 1}")
    path.rename(aside)
    say(f"{path} was another one: it is {aside.name} now")
    return True


def _go_on(saved: Saved, lab: Lab, say: Say) -> None:
    """Start the machines with the memory that they had; all go on at the same moment, or none does."""
    try:
        start_network(lab, say)
        with ThreadPoolExecutor(max(1, len(saved.running))) as pool:
            list(pool.map(lambda node: start_machine(lab, node, memory.INCOMING), saved.running))
            list(pool.map(lambda node: memory.read_memory(lab, node), saved.running))
        for node in saved.running:
            memory.resume(lab, node)
    except BaseException:
        for machine in lab.machines:
            stop_machine(lab, machine.name)
        stop_network(lab)
        raise
    say(f"the machines go on: {', '.join(saved.running) or 'none, all were off'}")


def _wait(saved: Saved, lab: Lab, say: Say) -> None:
    """Set the clocks, and wait until what was well is well again."""
    with operator_of(lab.inventory, lab.name) as operator:
        # Of those that are not part of a cluster nothing more is known than how they are reached.
        outside = set(saved.running) - set(operator.names if saved.health is not None else ())
        wait_until_reached(lab, outside, {}, say=lambda _: None)
        set_clocks(lab, operator, saved.running, say)
        if saved.health is None:
            return
        stood_still = time.time() - saved.time
        restarted = restart_controllers(operator, saved.running, say) if stood_still > LONG else None
        wait_until_well(operator, saved.health, say=say)
        if restarted is not None and saved.health.servers:
            wait_for_controllers(operator, restarted)


def _require_no_cluster(lab: str) -> None:
    """Raise Refused where there is the state of a cluster of the lab's name: it may be one of machines."""
    folder = state_folder(lab)
    if folder.exists():
        raise Refused(
            f"the lab {lab} can't be restored: there is a cluster of that name",
            step=STEP,
            tried=f"look for what is kept of a cluster {lab}",
            got=f"{folder} is there",
            hint="remove that folder, if the cluster is gone for good",
        )
