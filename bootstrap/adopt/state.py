"""Taking over a cluster on another machine: what a server hands over becomes the state here.

What makes a cluster this one (its authorities, id and SSH key) is never replaced by another's. Nodes, certificates and
identities that only the server has are added; those that it has other ones of are taken when that is asked for, or
where this machine has only joined nodes until now: what it made for one of them may not be what the cluster made of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bootstrap.adopt.fetch import STEP, HandedOver
from bootstrap.engine.lock import file_lock
from bootstrap.errors import BadUse, ClusterupError, Refused
from bootstrap.image.bundle import MANIFEST, Bundle, NoBundle
from bootstrap.image.finding import bundles_dir, find_bundle, known_bundle
from bootstrap.image.manifest import bundle_of
from bootstrap.locks import waiting_lock
from bootstrap.paths import private_folder
from bootstrap.phases.kubeconfig import admin_kubeconfig, kubeconfig_beside
from bootstrap.phases.pinned import parts_of, pin
from bootstrap.pki.kubeconfig import to_yaml, write_kubeconfig
from bootstrap.pki.vault import PUBLIC, set_aside
from bootstrap.state.cluster import ClusterState, cluster_state, state_folder
from bootstrap.state.credentials import operator_keys
from bootstrap.state.handover import ROOTS, Handover
from bootstrap.state.joiner import only_joins
from bootstrap.state.membership import note_applied
from bootstrap.written import write_once, write_private


class OtherHere(Enum):
    """What becomes of certificates and identities that are other ones here than on the server."""

    KEEP = "keep"
    REPLACE = "replace"


@dataclass(frozen=True)
class Taken:
    """What became of the state in `folder`: names of files that were added and replaced."""

    folder: Path
    added: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()


def take_over(found: HandedOver, other_here: OtherHere) -> Taken:
    """Make the state here what the handover file says. Files of the state that it has nothing of stay.

    Raises Refused where the state is that of another cluster, where something in it is other than on the server (unless
    that is to be replaced), or while clusterup is at work on it.
    """
    handover = found.handover
    folder = cluster_state(handover.cluster).folder
    with _writing(folder):
        if not folder.exists() and _placed(folder, found):
            return Taken(folder, added=tuple(sorted(handover.parts)))
        state = ClusterState(folder)
        with file_lock(state.lock, f"adopt {handover.cluster}"):
            return take_into(state, found, other_here)


def take_into(state: ClusterState, found: HandedOver, other_here: OtherHere) -> Taken:
    """As `take_over`, into a state that is there and whose lock the caller holds."""
    handover, folder = found.handover, state.folder
    with _writing(folder), waiting_lock(state.keys_lock):
        here, other = _compared(handover, folder)
        added = sorted(name for name in handover.parts if name not in here)
        _check_same_cluster(handover, folder, other)
        if other and other_here is OtherHere.KEEP and not only_joins(folder):
            raise _other_state(found, folder, other)
        _write(state, {name: handover.parts[name] for name in (*added, *other)}, found)
    return Taken(folder, tuple(added), tuple(other))


def check_takes_over(found: HandedOver) -> None:
    """Raise Refused where the state here is another cluster's, or that of an operator who has something else than the
    server and never had what it has. Changes nothing."""
    folder = cluster_state(found.handover.cluster).folder
    with _writing(folder):
        _, other = _compared(found.handover, folder)
        _check_same_cluster(found.handover, folder, other)
        if other and not only_joins(folder) and found.sha256 not in ClusterState(folder).handovers:
            raise _other_state(found, folder, other)


def make_state(folder: Path, found: HandedOver) -> ClusterState:
    """A new state in `folder`, of what is handed over."""
    with _writing(folder):
        private_folder(folder)
        _write(ClusterState(folder), found.handover.parts, found)
    return ClusterState(folder)


def _compared(handover: Handover, folder: Path) -> tuple[set[str], list[str]]:
    """Which of the files are here, and which of those are other ones."""
    here = {name: (folder / name).read_bytes() for name in handover.parts if (folder / name).exists()}
    return set(here), sorted(name for name, content in here.items() if content != handover.parts[name])


def check_inventory_place(path: Path, written: bytes) -> None:
    """Raise Refused where `path` is another file than the inventory that is handed over."""
    with _writing(path):
        if path.exists() and path.read_bytes() != written:
            raise Refused(
                f"{path} is there, and is not what was applied last as the cluster's inventory",
                step=STEP,
                tried="compare it with the server's",
                got="different contents; nothing was written",
                hint="name another file with --inventory, then compare the two",
            )


def write_inventory(path: Path, written: bytes) -> None:
    """Write the inventory, unless the same is there. Raises Refused where another file is, BadUse where it can't be
    written."""
    with _writing(path):
        write_once(path, written)
    check_inventory_place(path, written)


def write_own_kubeconfig(handover: Handover, inventory: Path) -> Path:
    """Write the kubeconfig beside the inventory, as apply does, and return its path."""
    path = kubeconfig_beside(inventory, handover.cluster)
    state = ClusterState(state_folder(handover.cluster))
    made = admin_kubeconfig(handover.inventory, operator_keys(state))
    with _writing(path):
        state.keep_made()
        if not path.exists() or path.read_bytes() != to_yaml(made) or path.stat().st_mode & 0o077:
            write_kubeconfig(path, made)
    return path


def bundle_of_nodes(configured: str | None, folder: Path) -> Bundle:
    """The bundle that is here (see `find_bundle`), or else what the adopted state in `folder` says of the one that the
    nodes are made of, without its files. Raises ClusterupError."""
    description = ClusterState(folder).bundle_folder
    try:
        return find_bundle(configured)
    except NoBundle:
        if not (description / MANIFEST).exists():
            raise
    return known_bundle(description)


def bundle_advice(handover: Handover) -> str | None:
    """What is to be known about bundles on this machine; None where the one here is what the nodes are made of."""
    theirs = bundle_of(Path(), handover.bundle)
    which = f"version {theirs.version}, payload {theirs.artifact('payload').sha256}"
    try:
        here = find_bundle(handover.inventory.os.bundle).with_payload(handover.payload)
    except ClusterupError:
        return (
            f"the bundle that the nodes are made of is not here ({which}). plan, status and verify do without it. "
            "Before a machine is installed from here, copy its folder from the operator who has it to "
            f"{bundles_dir() / 'current'}, or name it in the inventory (os.bundle)"
        )
    other = parts_of(theirs).other_than(parts_of(here))
    if not other:
        return None
    return (
        f"the bundle here ({here.directory}) is not the one that the nodes are made of: {', '.join(other)} differ, and "
        f"apply is refused. To keep what they have ({which}), copy its folder from the operator who "
        "has it, and name it in the inventory (os.bundle)"
    )


def _check_same_cluster(handover: Handover, folder: Path, other: list[str]) -> None:
    foreign = [name for name in other if name in ROOTS]
    if foreign:
        raise Refused(
            f"there is a state of another cluster {handover.cluster} on this machine",
            step=STEP,
            tried=f"compare the handover file with {folder}",
            got=f"other ones: {_listed(foreign)}",
            hint="if it was only made by a plan, or that cluster is gone for good, move it away and adopt again: "
            f"mv {folder} {folder}.old",
        )


def _other_state(found: HandedOver, folder: Path, other: list[str]) -> Refused:
    return Refused(
        "the state here is not the one that the server has; nothing was written",
        node=found.server,
        step=STEP,
        tried=f"compare the handover file with {folder}",
        got=f"other ones: {_listed(other)}",
        hint="if another operator has applied since this machine did, --refresh takes what the server has; if this "
        "machine did last, `clusterup apply` brings what is here to the servers",
    )


def _placed(folder: Path, found: HandedOver) -> bool:
    """Put a new state in place, as a whole; False where there was one by then."""
    private_folder(folder.parent)
    with waiting_lock(folder.parent / ".adopt.lock"):
        unfinished = folder.with_name(f".{folder.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            make_state(unfinished, found)
            unfinished.rename(folder)
        except OSError:
            if not folder.exists():
                raise
            return False
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return True


def _write(state: ClusterState, parts: Mapping[str, bytes], found: HandedOver) -> None:
    """Write files of the state. A certificate is never beside another one's key, whatever is interrupted; a private
    key that makes room is set aside."""
    # A server gets the file when etcd has been founded, and not before.
    state.note_founded()
    for name in parts:
        path = state.folder / name
        if name.endswith(PUBLIC):
            path.unlink(missing_ok=True)
        elif path.exists() and path.read_bytes() != parts[name]:
            set_aside(path)
    for name in sorted(parts, key=lambda name: name.endswith(PUBLIC)):
        write_private(state.folder / name, parts[name])
    pin(state, found.handover.inventory, bundle_of(state.bundle_folder, found.handover.bundle))
    state.note_handover(found.sha256)
    note_applied(state, found.handover.inventory.nodes)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Say of errors of the system which file they are about."""
    try:
        yield
    except OSError as error:
        raise BadUse(
            f"{error.filename or path} can't be read or written",
            step=STEP,
            got=error.strerror or str(error),
            hint="make it yours, make room, or name another place (--inventory, XDG_STATE_HOME)",
        ) from None


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
