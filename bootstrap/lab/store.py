"""Where labs are kept: one folder each below the state folder, with lab.json in it, readable by its owner alone.

lab.json says what a lab consists of and is written once. Which process a machine is stands in a file of its own
beside its disk (process.json), so that starting one machine never touches what is known of another.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bootstrap.errors import ClusterupError, Refused
from bootstrap.lab.machines.process import write_whole
from bootstrap.lab.spec import Accel, Lab, LabMachine, Reach, check_name
from bootstrap.paths import private_folder, state_dir

LAB_FILE = "lab.json"
FORMAT = 1


def labs_dir() -> Path:
    """The folder of all labs."""
    return state_dir() / "labs"


def load_lab(name: str) -> Lab | None:
    """The lab of that name, or None where there is none. Raises ClusterupError where lab.json can't be understood."""
    check_name(name)
    folder = labs_dir() / name
    try:
        return lab_of_data(json.loads((folder / LAB_FILE).read_text()), folder)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClusterupError(
            f"what is known of the lab {name} can't be read",
            step="lab",
            tried=f"read {folder / LAB_FILE}",
            got=str(error),
            hint=f"its machines can't be told any more: end their qemu-system-x86_64 by hand, then remove {folder}",
        ) from None


def lab_of_data(data: dict[str, Any], folder: Path) -> Lab:
    """The lab in `folder` that `lab_to_data` made the data of. Raises ValueError, KeyError, TypeError or AttributeError
    where that is not what it is."""
    if data["format"] != FORMAT:
        raise ValueError("written by another version")
    return Lab(
        folder=folder,
        machines=tuple(_machine(machine, data) for machine in data["machines"]),
        accel=Accel(data["accel"]),
        inventory=Path(data["inventory"]),
        qemu_options=tuple(data["qemu_options"]),
        segments=data.get("segments", 1),
        registry_port=data.get("registry_port"),
        **{name: data[name] for name in ("name", "cpus", "disk", "endpoint_port")},
    )


def _machine(data: dict[str, Any], lab: dict[str, Any]) -> LabMachine:
    # In labs of earlier versions all machines were reached over SSH and had the same memory, which was the lab's.
    memory = data["memory"] if "memory" in data else lab["memory"]
    return LabMachine(**{**data, "memory": memory, "reach": Reach(data.get("reach", Reach.SSH))})


def lab_to_data(lab: Lab) -> dict[str, Any]:
    """What a lab consists of, as it stands in lab.json; not where it is."""
    data = {**asdict(lab), "format": FORMAT, "inventory": str(lab.inventory)}
    del data["folder"]
    return data


def save_lab(lab: Lab, folder: Path) -> None:
    """Write lab.json into `folder`."""
    write_whole(folder / LAB_FILE, json.dumps(lab_to_data(lab), indent=1) + "\n")


def known_labs() -> tuple[str, ...]:
    """The names of all labs there are."""
    return tuple(sorted(path.parent.name for path in labs_dir().glob(f"[!.]*/{LAB_FILE}")))


def remembered_ports() -> frozenset[int]:
    """The ports that labs count on, running or not. A lab that can't be read has none."""
    ports: set[int] = set()
    for name in known_labs():
        try:
            lab = load_lab(name)
        except ClusterupError:
            continue
        if lab is not None:
            ports |= lab.ports
    return frozenset(ports)


@contextmanager
def lab_locked(name: str, doing: str) -> Iterator[None]:
    """One command at a time changes a lab. Raises Refused where another is at it."""
    check_name(name)
    # Beside the lab's folder, which comes and goes. The kernel lets go of it when its holder ends.
    handle = os.open(private_folder(labs_dir()) / f".{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                f"another clusterup is at work on the lab {name}",
                step="lab",
                tried=doing,
                got=os.read(handle, 200).decode(errors="replace") or "one that has just begun",
                hint="wait until it has ended, then run this again",
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()}: {doing}".encode(), 0)
        yield
    finally:
        os.close(handle)


def remove_unfinished(name: str) -> None:
    """Remove what an `up` left that was ended while it made the lab's folder."""
    for folder in labs_dir().glob(f".{name}.making*"):
        shutil.rmtree(folder)


def unfinished_folder(name: str) -> Path:
    """The folder in which a lab is made; it gets its name when it is complete."""
    remove_unfinished(name)
    folder = private_folder(labs_dir()) / f".{name}.making"
    folder.mkdir(mode=0o700)
    return folder
