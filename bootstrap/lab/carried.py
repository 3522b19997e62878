"""A lab's programs (QEMU, its firmware, switches) in a bundle that is one file: a lab needs nothing fetched then."""

from __future__ import annotations

import platform
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bootstrap.errors import ClusterupError
from bootstrap.image.bundle import Artifact, Bundle
from bootstrap.image.cache import cached, content_key
from bootstrap.image.files import bundle_as_data, verify_bundle
from bootstrap.image.trees import Log
from bootstrap.lab.tools import LAB_TREE, lab_tree, lab_tree_key

ARTIFACT, FILE = "lab/tools", "lab-tools.tar.zst"
TREE, MACHINE = "tree", "machine"
LEVEL = 12
# What no program of a lab reads, and what is made anew wherever a tree is used.
LEFT_OUT = (
    *("dev", "proc", "run", "sys", "tmp", "boot", "var/cache", "var/lib/apt", "var/lib/dpkg", "var/log"),
    *("usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man", "usr/share/i18n"),
)
EMPTY = ("dev", "proc", "run", "sys", "tmp")


def tools_artifact(log: Log) -> Artifact:
    """The programs as a part of a bundle; they are fetched where they are not here yet. Raises ClusterupError."""
    tree = lab_tree(log)

    def build(folder: Path) -> None:
        log("packing the programs of a lab")
        pack_tree(tree, folder / FILE)

    key = content_key({"tree": tree.name, "level": str(LEVEL), "left out": " ".join(LEFT_OUT)})
    file = cached("lab-tools", key, build) / FILE
    components = {TREE: tree.name, MACHINE: platform.machine()}
    return replace(bundle_as_data(ARTIFACT, file, components=components), inside=FILE)


def bring_tools(bundle: Bundle, log: Log) -> None:
    """Unpack the programs that a bundle brings, once, to where labs look for them. Those of another machine, or of
    another clusterup that wants others, are left alone. Raises ClusterupError."""
    carried = bundle.artifacts.get(ARTIFACT)
    key = lab_tree_key()
    if carried is None or carried.components != {TREE: key, MACHINE: platform.machine()}:
        return

    def build(folder: Path) -> None:
        log("unpacking the programs of a lab out of the bundle")
        verify_bundle(bundle, [ARTIFACT])
        unpack_tree(carried, folder)

    cached(LAB_TREE, key, build)


def pack_tree(tree: Path, target: Path) -> None:
    """Write a tree into a file: the same tree gives the same bytes. Raises OSError."""
    from backports import zstd

    with zstd.open(target, "wb", level=LEVEL) as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
        for path in _files_of(tree):
            entry = archive.gettarinfo(path, arcname=str(path.relative_to(tree)))
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            if entry.isreg():
                with path.open("rb") as file:
                    archive.addfile(entry, file)
            else:
                archive.addfile(entry)


def _files_of(tree: Path) -> Iterator[Path]:
    """Folders, files and links below a tree, in order, without what is left out."""
    for path in sorted(tree.rglob("*")):
        inside = path.relative_to(tree)
        if any(inside.is_relative_to(left) for left in LEFT_OUT):
            continue
        if path.is_symlink() or path.is_dir() or path.is_file():
            yield path


def _stays_inside(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """A part of the tree, none of which comes to lie outside of the folder, or is another name of what does. Raises
    FilterError."""
    kept = tarfile.tar_filter(member, folder)
    place = Path(folder).resolve()
    if kept.islnk() and not (place / kept.linkname).resolve().is_relative_to(place):
        raise tarfile.LinkOutsideDestinationError(member, str(place / kept.linkname))
    return kept


def unpack_tree(carried: Artifact, folder: Path) -> None:
    """Unpack such a file into an empty folder. Raises ClusterupError where that can't be done."""
    from backports import zstd

    if not hasattr(tarfile, "tar_filter"):
        raise ClusterupError(
            "this Python can't unpack the programs of a lab safely",
            step="lab",
            tried=f"unpack {carried.content}",
            got=f"Python {platform.python_version()}, whose tarfile has no filters (PEP 706)",
            hint="use Python 3.11.4 or newer, or the executable of clusterup; or install mmdebstrap, with which labs "
            "get their programs from Debian",
        )
    try:
        with (
            carried.content.open() as file,
            zstd.open(file, "rb") as unpacked,
            tarfile.open(fileobj=unpacked, mode="r|") as archive,
        ):
            archive.extractall(folder, filter=_stays_inside)  # noqa: S202 - nothing leaves the folder
        for name in EMPTY:
            (folder / name).mkdir(exist_ok=True)
    except (OSError, EOFError, tarfile.TarError, zstd.ZstdError) as error:
        raise ClusterupError(
            "the programs of a lab can't be unpacked",
            step="lab",
            tried=f"unpack {carried.content} into {folder}",
            got=str(error) or type(error).__name__,
            hint="make room there, or copy the bundle again",
        ) from None
