"""Labs that were put aside: one folder each below the cache folder, readable by its owner alone.

A folder is called NAME@KEY: the name that a person gave, and a key over what is in it (bundle, inventory, clusterup's
version, the moment that the machines' files tell of). `saved.json` says the rest, and is written last: a folder without
it is not a saved lab.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bootstrap.errors import BadUse, ClusterupError
from bootstrap.lab.machines.disks import size_of
from bootstrap.lab.machines.process import write_whole
from bootstrap.lab.spec import Lab
from bootstrap.lab.store import lab_of_data, lab_to_data
from bootstrap.locks import waiting_lock
from bootstrap.paths import cache_dir, private_folder

SAVED_FILE = "saved.json"
CLUSTER = "cluster"
FORMAT = 1
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,62}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Health:
    """What of a cluster was well when it was saved, and has to be again: the servers whose API server said that it is
    ready, and the Nodes that were Ready."""

    servers: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Saved:
    """A saved lab. `lab` is as it was, in the folder where it was; `running` are the machines whose memory is there.

    `time` is in seconds since the epoch, `bundle` and `kubernetes` are the versions of what it was made of, `version`
    is clusterup's, and `health` is None where the machines are not a cluster. `inventory` is the text of the inventory,
    and `kubeconfig` that of the one beside it ("" where there was none).
    """

    name: str
    key: str
    folder: Path
    lab: Lab
    running: tuple[str, ...]
    time: float
    bundle: str
    kubernetes: str
    version: str
    health: Health | None
    inventory: str
    kubeconfig: str = field(default="", repr=False)

    @property
    def full_name(self) -> str:
        return f"{self.name}@{self.key}"

    @property
    def was_whole(self) -> bool:
        """Whether every server and every machine that ran was well in the cluster."""
        return (
            self.health is not None
            and {machine.name for machine in self.lab.servers} <= set(self.health.servers)
            and set(self.running) <= set(self.health.nodes)
        )

    @property
    def size(self) -> int:
        """Bytes that it takes on the disk."""
        return size_of(self.folder)


def saves_dir() -> Path:
    """The folder of all saved labs."""
    return cache_dir() / "labs"


def check_saved_name(name: str) -> None:
    """Raise BadUse where nothing can be saved under that name."""
    if not NAME.fullmatch(name):
        raise BadUse(
            f"{name!r} can't be the name of a saved lab",
            step="lab save",
            tried="read the command line",
            hint="allowed: small letters, digits, dashes and dots, 64 at most",
        )


def write_saved(saved: Saved, folder: Path) -> None:
    """Write saved.json into `folder`."""
    data = {
        "format": FORMAT,
        "name": saved.name,
        "key": saved.key,
        "lab": lab_to_data(saved.lab),
        "lab_folder": str(saved.lab.folder),
        "running": saved.running,
        "time": saved.time,
        "bundle": saved.bundle,
        "kubernetes": saved.kubernetes,
        "version": saved.version,
        "health": None if saved.health is None else {"servers": saved.health.servers, "nodes": saved.health.nodes},
        "inventory": saved.inventory,
        "kubeconfig": saved.kubeconfig,
    }
    write_whole(folder / SAVED_FILE, json.dumps(data, indent=1) + "\n")


def read_saved(folder: Path) -> Saved:
    """What was saved in `folder`. Raises ClusterupError where that can't be understood."""
    try:
        data: dict[str, Any] = json.loads((folder / SAVED_FILE).read_bytes())
        if data["format"] != FORMAT:
            raise ValueError("written by another version of clusterup")
        health = data["health"]
        return Saved(
            folder=folder,
            lab=lab_of_data(data["lab"], Path(data["lab_folder"])),
            running=tuple(data["running"]),
            health=None if health is None else Health(tuple(health["servers"]), tuple(health["nodes"])),
            time=float(data["time"]),
            **{name: str(data[name]) for name in ("name", "key", "bundle", "kubernetes", "version")},
            **{name: str(data[name]) for name in ("inventory", "kubeconfig")},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClusterupError(
            f"the saved lab {folder.name} can't be read",
            step="lab",
            tried=f"read {folder / SAVED_FILE}",
            got=str(error),
            hint=f"it can't be restored any more: clusterup lab forget {folder.name}",
        ) from None


def saved_folders(name: str | None = None) -> tuple[Path, ...]:
    """The folders of all saved labs, or of those of that name (NAME, or the whole NAME@KEY), ordered by name."""
    found = sorted(path.parent for path in saves_dir().glob(f"[!.]*/{SAVED_FILE}"))
    return tuple(folder for folder in found if name is None or name in (folder.name, folder.name.partition("@")[0]))


def all_saved() -> tuple[Saved, ...]:
    """All saved labs that can be read, the newest first."""
    found = []
    for folder in saved_folders():
        try:
            found.append(read_saved(folder))
        except ClusterupError:
            continue
    return tuple(sorted(found, key=lambda saved: -saved.time))


def folders_named(name: str) -> tuple[Path, ...]:
    """As `saved_folders`, of that name. Raises BadUse that names those there are where it has none."""
    folders = saved_folders(name)
    if not folders:
        raise BadUse(
            f"there is no saved lab {name}",
            step="lab",
            tried=f"look for it in {saves_dir()}",
            got=", ".join(folder.name for folder in saved_folders()) or "nothing is saved",
            hint="name one of these" if saved_folders() else "clusterup lab save NAME puts the lab aside as it is",
        )
    return folders


def find_saved(name: str) -> Saved:
    """The newest saved lab of that name, or the one of that whole name. Raises BadUse that names those there are,
    ClusterupError where it can't be read."""
    return max(map(read_saved, folders_named(name)), key=lambda saved: saved.time)


def forget_saved(folder: Path) -> None:
    """Remove a saved lab. Labs that were restored from it go on."""
    # Renamed first: an end in the middle of removing leaves nothing that looks like a saved lab.
    with waiting_lock(saves_dir() / ".lock"):
        going = folder.with_name(f".removed-{folder.name}")
        if going.exists():
            shutil.rmtree(going)
        folder.rename(going)
    shutil.rmtree(going)


def remove_left_over(name: str) -> None:
    """Remove what a `lab save` or `lab forget` left that was ended in its middle."""
    for folder in (*saves_dir().glob(f".making-{name}@*"), *saves_dir().glob(".removed-*")):
        shutil.rmtree(folder)


def unfinished_saved(full_name: str) -> Path:
    """The folder in which a lab is saved; it gets its name when it is complete."""
    folder = private_folder(saves_dir()) / f".making-{full_name}"
    folder.mkdir(mode=0o700)
    return folder


def too_many(lab: str, keep: int) -> Sequence[Saved]:
    """What is saved of that lab and has to go, the oldest first, so that with one more `keep` (1 at least) are left."""
    of_it = [saved for saved in all_saved() if saved.lab.name == lab]
    return tuple(reversed(of_it[keep - 1 :]))
