"""`clusterup lab save`: put a lab aside as it is, with its inventory and what the operator keeps of its cluster."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import yaml

import bootstrap
from bootstrap.engine.lock import file_lock
from bootstrap.errors import BadUse, ClusterupError, Refused
from bootstrap.image.bundle import Bundle
from bootstrap.image.cache import content_key
from bootstrap.image.disk.copying import copy_image
from bootstrap.image.finding import find_bundle
from bootstrap.lab.machines import memory
from bootstrap.lab.machines.awake import awake
from bootstrap.lab.machines.disks import LIVE_IMAGE, Shelf, linked, save_disks
from bootstrap.lab.machines.machine import machine_running
from bootstrap.lab.machines.qemu import CONSOLE_LOG, VARIABLES
from bootstrap.lab.networks.registry import copy_images, image_files, registry_standing_still
from bootstrap.lab.saves.clocks import set_clocks
from bootstrap.lab.saves.health import lab_health, operator_of
from bootstrap.lab.saves.saved import (
    CLUSTER,
    Health,
    Saved,
    check_saved_name,
    remove_left_over,
    saves_dir,
    unfinished_saved,
    write_saved,
)
from bootstrap.lab.spec import LIVE, Lab
from bootstrap.lab.store import lab_locked, labs_dir, load_lab
from bootstrap.lab.tools import lab_tree
from bootstrap.locks import waiting_lock
from bootstrap.paths import private_folder
from bootstrap.phases.kubeconfig import kubeconfig_beside
from bootstrap.signals import handled
from bootstrap.state.cluster import state_folder

Say = Callable[[str], None]
STEP = "lab save"


def lab_save(lab_name: str, name: str, *, say: Say) -> Saved:
    """Put the lab aside under that name. Its machines stand still meanwhile, and go on afterwards, with clocks that are
    right.

    Raises BadUse, Refused (while another command is at work on the lab or its cluster) or ClusterupError.
    """
    check_saved_name(name)
    with _told_to_end(), lab_locked(lab_name, f"lab save {name}"), _cluster_locked(lab_name, name):
        try:
            return put_aside(lab_name, name, say=say)
        finally:
            lab = load_lab(lab_name)
            if lab is not None:
                _set_clocks(lab, say)


def put_aside(lab_name: str, name: str, *, say: Say) -> Saved:
    """All of `lab_save` but the locks, which the caller holds, and the clocks."""
    lab = lab_to_save(lab_name)
    tree = lab_tree(say)
    # What a killed save has left standing still goes on: QEMU would not write its memory a second time.
    awake(lab, say)
    saved = _described(lab, name, say)
    remove_left_over(name)
    folder = unfinished_saved(saved.full_name)
    try:
        _written(lab, saved, Shelf(tree, lab.folder, folder), say)
        write_saved(saved, folder)
        with waiting_lock(saves_dir() / ".lock"):
            folder.rename(saved.folder)
    finally:
        remove_left_over(name)
        for node in saved.running:
            (lab.folder / node / memory.MEMORY).unlink(missing_ok=True)
    return saved


def lab_to_save(name: str) -> Lab:
    """The lab of that name. Raises BadUse where there is none."""
    lab = load_lab(name)
    if lab is None:
        others = ", ".join(sorted(path.name for path in labs_dir().glob("[!.]*") if path.is_dir()))
        raise BadUse(
            f"there is no lab {name}",
            step=STEP,
            hint=f"clusterup lab save ... --name NAME; there are: {others}" if others else "clusterup lab up makes one",
        )
    return lab


@contextmanager
def _told_to_end() -> Iterator[None]:
    """SIGTERM and a hang-up end a save as Ctrl-C does: the machines go on. What is ignored stays so (nohup)."""

    def end(*_: object) -> None:
        _say_at_once("ending: the machines go on first")
        raise KeyboardInterrupt

    with handled(_not_ignored(), end):
        yield


@contextmanager
def _undisturbed() -> Iterator[None]:
    """What is done here takes a moment, and is done to its end however often the process is told to end."""
    with handled(_not_ignored(), lambda *_: _say_at_once("the machines are being set going: a moment")):
        yield


def _not_ignored() -> list[signal.Signals]:
    """The signals that tell a process to end, without those that it was started to ignore."""
    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    return [number for number in ends if signal.getsignal(number) is not signal.SIG_IGN]


def _say_at_once(text: str) -> None:
    """From a signal's handler: what was about to be printed at that moment may hold the stream."""
    with suppress(OSError):
        os.write(2, f"{text}\n".encode())


@contextmanager
def _cluster_locked(lab: str, name: str) -> Iterator[None]:
    """No one changes the lab's cluster meanwhile, where there is one."""
    folder = state_folder(lab)
    if not folder.is_dir():
        yield
        return
    with file_lock(folder / "lock", f"lab save {name}"):
        yield


def _described(lab: Lab, name: str, say: Say) -> Saved:
    """What is known of the lab before anything of it is saved. Raises Refused where the same was saved before."""
    try:
        inventory = lab.inventory.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadUse(
            "the inventory of the lab can't be read",
            step=STEP,
            tried=f"read {lab.inventory}",
            got=getattr(error, "strerror", None) or str(error),
            hint="it belongs to what is saved: put it back, or write it again: clusterup lab up --inventory FILE",
        ) from None
    bundle = _bundle(inventory)
    beside = kubeconfig_beside(lab.inventory, lab.name)
    parts = {"bundle": bundle.version, "inventory": inventory, "version": bootstrap.__version__}
    key = content_key(parts | {"machines": _machines_now(lab)})
    running = tuple(machine.name for machine in lab.machines if machine_running(lab, machine.name))
    folder = private_folder(saves_dir()) / f"{name}@{key}"
    if folder.exists():
        raise Refused(
            f"the same lab is saved as {name} already",
            step=STEP,
            got=folder.name,
            hint=f"take another name, or forget that one first: clusterup lab forget {folder.name}",
        )
    return Saved(
        name=name,
        key=key,
        folder=folder,
        lab=lab,
        running=running,
        time=time.time(),
        bundle=bundle.version,
        kubernetes=bundle.kubernetes_version,
        version=bootstrap.__version__,
        health=_health(lab, say),
        inventory=inventory,
        kubeconfig=beside.read_text() if beside.is_file() else "",
    )


def _machines_now(lab: Lab) -> str:
    """What tells this moment of the lab from another: the last changes of its disks, and of its registry's images."""
    found = hashlib.sha256()
    files = [path for machine in lab.machines for path in sorted((lab.folder / machine.name).iterdir())]
    for path in (*files, *image_files(lab.folder)):
        found.update(f"{path.relative_to(lab.folder)} {path.stat().st_mtime_ns}\n".encode())
    return found.hexdigest()


def _bundle(inventory: str) -> Bundle:
    named = wanted = None
    with suppress(yaml.YAMLError, AttributeError, TypeError):
        said = yaml.safe_load(inventory)
        named = (said.get("os") or {}).get("bundle")
        wanted = (said.get("kubernetes") or {}).get("version")
    return find_bundle(named).of_release(None if wanted is None else str(wanted))


def _health(lab: Lab, say: Say) -> Health | None:
    """What of the lab's cluster is well now; None where there is no cluster."""
    try:
        with operator_of(lab.inventory, lab.name) as operator:
            if operator.keys is None:
                return None
            found = lab_health(operator)
            well = Health(tuple(sorted(found.answering & found.led)), tuple(sorted(found.ready)))
            for name in (*set(operator.servers) - set(well.servers), *set(operator.names) - set(well.nodes)):
                say(f"{name} is not well now, and is saved like that")
            return well
    except ClusterupError as error:
        say(f"how the cluster is can't be told: {error.problem}")
        return None


def _written(lab: Lab, saved: Saved, shelf: Shelf, say: Say) -> None:
    """Write all of the lab into the folder of the shelf."""
    with suppress(ClusterupError):
        # Without it, a stick is saved whole.
        live = _bundle(saved.inventory).artifact(LIVE).content
        if live.is_whole_file:
            linked(live.file, shelf.saved / LIVE_IMAGE)
        else:
            copy_image(live, shelf.saved / LIVE_IMAGE)
    shutil.copytree(lab.key_file.parent, shelf.saved / "ssh")
    for machine in lab.machines:
        (shelf.saved / machine.name).mkdir(mode=0o700)
    with _standing_still(lab, saved.running, say):
        with ThreadPoolExecutor(max(1, len(lab.machines))) as pool:
            files = list(pool.map(lambda node: memory.write_memory(lab, node), saved.running))
            say("their memory is written")
            list(pool.map(lambda machine: save_disks(shelf, machine.name), lab.machines))
            say("their disks are written")
        with registry_standing_still(lab):
            copy_images(lab.folder, shelf.saved)
        for machine in lab.machines:
            for part in (VARIABLES, CONSOLE_LOG):
                with suppress(FileNotFoundError):
                    shutil.copy(lab.folder / machine.name / part, shelf.saved / machine.name / part)
        if state_folder(lab.name).is_dir():
            shutil.copytree(state_folder(lab.name), shelf.saved / CLUSTER)
    for file in files:
        shutil.move(file, shelf.saved / file.parent.name / file.name)


@contextmanager
def _standing_still(lab: Lab, running: tuple[str, ...], say: Say) -> Iterator[None]:
    """The machines stand still, all from the same moment on, and go on afterwards."""
    try:
        for node in running:
            memory.pause(lab, node)
        say(f"the machines stand still: {', '.join(running) or 'all are off'}")
        yield
    finally:
        with _undisturbed():
            for node in running:
                try:
                    memory.resume(lab, node)
                except (OSError, ClusterupError) as stuck:
                    say(f"{node} does not go on ({stuck}): clusterup lab stop {node}, then clusterup lab up")


def _set_clocks(lab: Lab, say: Say) -> None:
    """Set the clocks of the machines that run; what stands in the way is said."""
    running = {machine.name for machine in lab.machines if machine_running(lab, machine.name)}
    try:
        with operator_of(lab.inventory, lab.name) as operator:
            set_clocks(lab, operator, running, say)
    except ClusterupError as error:
        say(f"the machines' clocks are behind, and can't be set: {error.problem}")
