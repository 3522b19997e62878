"""A running machine's memory: written to a file while the machine stands still, and read by a QEMU that goes on there.

Source: https://www.qemu.org/docs/master/devel/migration/main.html, https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

from bootstrap.errors import ClusterupError
from bootstrap.image.trees import bwrap_argv
from bootstrap.lab.machines.disks import ROOM
from bootstrap.lab.machines.machine import machine_folder
from bootstrap.lab.machines.qemu import LAB_FOLDER, QMP_SOCKET
from bootstrap.lab.machines.qmp import Qmp, qmp
from bootstrap.lab.spec import Lab
from bootstrap.lab.tools import ready_tree

MEMORY = "memory.zst"
# A machine of many gigabytes on a busy host. Seconds.
TIMEOUT = 900.0
# QEMU spares a network that there is none of here; bytes a second.
BANDWIDTH = 1 << 40
EVERY = 0.05
ENDED = frozenset({"completed", "failed", "cancelled"})
# Told to stop, while its memory is written, and after that.
STILL = frozenset({"paused", "finish-migrate", "postmigrate"})
# It was started to take the memory of another one, and has not got it.
WAITS_FOR_MEMORY = "inmigrate"


def pause(lab: Lab, node: str) -> None:
    """Have the machine stand still between two instructions. Raises OSError where it does not run."""
    with qmp(_socket(lab, node)) as session:
        session.execute("stop")


def resume(lab: Lab, node: str) -> None:
    """Have a machine go on that stands still, whatever was being done with its memory. Raises OSError where it does not
    run."""
    with qmp(_socket(lab, node), TIMEOUT) as session:
        if session.execute("query-migrate").get("status") not in (None, *ENDED):
            session.execute("migrate_cancel")
            _ended(session, node)
        session.execute("cont")


def run_state(lab: Lab, node: str) -> str:
    """What a machine is doing, as in running, or one of `STILL` and `WAITS_FOR_MEMORY`; "" where its QEMU does not
    answer. Source: RunState in the QMP reference."""
    try:
        with qmp(_socket(lab, node)) as session:
            return str(session.execute("query-status")["status"])
    except OSError:
        return ""


def write_memory(lab: Lab, node: str) -> Path:
    """Write the memory of a machine that stands still to `memory.zst` in its folder. Raises ClusterupError where that
    fails, OSError where its QEMU ended."""
    file = machine_folder(lab, node) / MEMORY
    file.unlink(missing_ok=True)
    with qmp(_socket(lab, node), TIMEOUT) as session:
        session.execute("migrate-set-parameters", **{"max-bandwidth": BANDWIDTH})
        session.execute("migrate", uri=f"exec:zstd -q -1 -o {LAB_FOLDER}/{node}/{MEMORY}")
        _require(_ended(session, node), node, "write its memory")
    _require_whole(lab, node)
    return file


def read_memory(lab: Lab, node: str) -> None:
    """Have a QEMU that waits for it (`INCOMING`) take `memory.zst` in the machine's folder; it stands still then.
    Raises ClusterupError where that fails."""
    with qmp(_socket(lab, node), TIMEOUT) as session:
        uri = f"exec:zstd -q -d -c {LAB_FOLDER}/{node}/{MEMORY}"
        session.execute("migrate-incoming", uri=uri, **{"exit-on-error": False})
        _require(_ended(session, node), node, "read its memory")
    (machine_folder(lab, node) / MEMORY).unlink()


# What a QEMU is started with that takes the memory of another one, and that waits to be told to go on.
INCOMING = ("-S", "-incoming", "defer")


def _ended(session: Qmp, node: str) -> dict[str, Any]:
    """What QEMU says of a transfer that has ended."""
    until = time.monotonic() + TIMEOUT
    while True:
        found: dict[str, Any] = session.execute("query-migrate")
        if found.get("status") in ENDED:
            return found
        if time.monotonic() > until:
            raise ClusterupError(
                f"its memory is not transferred after {TIMEOUT:.0f} s",
                node=node,
                step="lab",
                got=str(found.get("status")),
                hint="look whether the disk of the state folder is that slow, then run it again",
            )
        time.sleep(EVERY)


def _require(found: dict[str, Any], node: str, doing: str) -> None:
    if found["status"] != "completed":
        raise ClusterupError(
            f"QEMU could not {doing}",
            node=node,
            step="lab",
            got=str(found.get("error-desc", found["status"])),
            hint=ROOM,
        )


def _require_whole(lab: Lab, node: str) -> None:
    """QEMU is content when all went into the pipe: what packs it may still be writing, or may have failed."""
    until = time.monotonic() + TIMEOUT
    while why := _incomplete(machine_folder(lab, node) / MEMORY):
        if time.monotonic() > until:
            _require({"status": "failed", "error-desc": why}, node, "write its memory")
        time.sleep(EVERY)


def check_memory_file(file: Path, node: str) -> None:
    """Raise ClusterupError where there is none of it free, or not enough: a QEMU would wait for the rest for ever."""
    if why := _incomplete(file):
        raise ClusterupError(
            "the memory that was saved of it is damaged",
            node=node,
            step="lab restore",
            tried=f"read {file}",
            got=why,
            hint="it can't be restored any more: clusterup lab forget it",
        )


def _incomplete(file: Path) -> str:
    """Why a file is not whole, "" where it is."""
    argv = ["zstd", "-q", "-l", f"{LAB_FOLDER}/{file.name}"]
    argv = bwrap_argv(ready_tree(), argv, binds={file.parent: LAB_FOLDER}, environment={})
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stderr.strip()[-300:] or f"exit status {done.returncode}" if done.returncode else ""


def _socket(lab: Lab, node: str) -> Path:
    return machine_folder(lab, node) / QMP_SOCKET
