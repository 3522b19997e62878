"""Whether KVM works here. Only a trial boot tells: /dev/kvm can be there, run firmware, and kill every kernel."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bootstrap.image.bundle import Artifact
from bootstrap.image.cache import content_key
from bootstrap.image.disk.copying import copy_image
from bootstrap.image.trees import run_in
from bootstrap.lab.machines import process, qemu
from bootstrap.lab.machines.machine import QEMU_LOG, RECORD, STOPPED
from bootstrap.lab.machines.qmp import qmp
from bootstrap.lab.spec import Accel
from bootstrap.paths import cache_dir
from bootstrap.transport.serial.text import last_lines

Say = Callable[[str], None]

KVM = Path("/dev/kvm")
# With KVM, the live environment's first process is up after 5 to 10 seconds.
TRIAL_TIMEOUT = 60.0
TRIAL_MEMORY = 1536
# The first words of the first process: by then the kernel has unpacked itself and everything it needs.
ALIVE = re.compile(r"Booting initrd of|Welcome to |systemd\[1\]|login:")
DEAD_STATES = STOPPED | {"shutdown"}


def accelerator(wish: Accel, tree: Path, live: Artifact, say: Say) -> Accel:
    """KVM or TCG: what was wished for, or what a trial boot of the live environment found (once per kernel, QEMU
    and CPU). Raises ClusterupError where QEMU does not run at all."""
    if wish is not Accel.AUTO:
        return wish
    if not os.access(KVM, os.R_OK | os.W_OK):
        return Accel.TCG
    place = cache_dir() / "kvm" / trial_key(tree)
    kept = _kept(place)
    if kept is not None:
        return kept
    say(f"trying whether KVM boots a kernel here (once, {TRIAL_TIMEOUT:.0f} s at most)")
    found, why = trial(tree, live)
    place.parent.mkdir(parents=True, exist_ok=True)
    process.write_whole(place, json.dumps({"accel": found.value, "why": why}) + "\n")
    say(f"{why}: {found.words}")
    return found


def _kept(place: Path) -> Accel | None:
    try:
        return Accel(json.loads(place.read_text())["accel"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def trial_key(tree: Path) -> str:
    """What the answer depends on: the host's kernel, QEMU's version, the CPU's model."""
    version = run_in(tree, ["qemu-system-x86_64", "--version"], log=lambda _: None, what="asking QEMU for its version")
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return content_key({"kernel": platform.release(), "qemu": version, "cpu": model.group(1) if model else ""})


def trial(tree: Path, live: Artifact) -> tuple[Accel, str]:
    """Boot the live environment with KVM, and say what came of it."""
    folder = Path(tempfile.mkdtemp(prefix="clusterup-kvm-"))
    try:
        copy_image(live.content, folder / qemu.STICK)
        shutil.copyfile(tree / qemu.FIRMWARE_VARIABLES, folder / qemu.VARIABLES)
        place = qemu.LAB_FOLDER
        argv = [
            *qemu.bare_argv(place, name="kvm-trial", accel=Accel.KVM, memory=TRIAL_MEMORY, cpus=2),
            *qemu.stick_argv(folder, place, boot_index=1),
        ]
        process.start_in(tree, argv, folder=folder, record=folder / RECORD, log=folder / QEMU_LOG)
        try:
            return _watched(folder)
        finally:
            process.end(folder / RECORD, signal.SIGKILL)
    finally:
        shutil.rmtree(folder)


def _watched(folder: Path) -> tuple[Accel, str]:
    until = time.monotonic() + TRIAL_TIMEOUT
    while time.monotonic() < until:
        if verdict(last_lines(folder / qemu.CONSOLE_LOG, 50)):
            return Accel.KVM, "a kernel boots with KVM"
        if process.recorded(folder / RECORD) is None:
            return Accel.TCG, f"QEMU ended ({last_lines(folder / QEMU_LOG, 1) or 'no word'})"
        state = _state(folder)
        if state in DEAD_STATES:
            return Accel.TCG, f"the virtual machine stopped ({state})"
        time.sleep(0.2)
    return Accel.TCG, f"no kernel was up within {TRIAL_TIMEOUT:.0f} s"


def verdict(console: str) -> bool:
    """Whether a console shows a kernel that got as far as its first process."""
    return ALIVE.search(console) is not None


def _state(folder: Path) -> str | None:
    try:
        with qmp(folder / qemu.QMP_SOCKET, timeout=5.0) as session:
            return str(session.execute("query-status")["status"])
    except OSError:
        return None
