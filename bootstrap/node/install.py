"""A machine that runs from a stick installs itself: the stick says on which disk, and holds the image for it.

On the stick's last partition lie the disk image, compressed, and behind it the configuration partition of the installed
system, finished. Nothing that looks like a partition table is written before all else was read back from the disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from bootstrap.outside import in_lines
from bootstrap.protocol.failure import Failure

MIB = 1 << 20
WRITE_AGAIN = "write the stick again, and compare it with the image: cmp"
PARTITIONS = Path("/dev/disk/by-partuuid")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """What is to be installed: on which disk (a path, or "serial:TEXT"), whether what is on it may go, and where on the
    stick's partition what lies. Offsets and sizes are bytes.

    `image` is compressed; `sha256` is that of the disk from its second MiB to the image's end, configuration included,
    which begins at `configuration_at` of the disk.
    """

    disk: str
    wipe: bool
    partition: str
    image_size: int
    raw_size: int
    sha256: str
    configuration_offset: int
    configuration_size: int
    configuration_at: int


@dataclass(frozen=True)
class Disk:
    """A disk as lsblk(8) tells it: size in bytes, and what is on it."""

    path: str
    serial: str
    size: int
    contents: tuple[str, ...]


def main(path: str) -> int:
    """Install as the order in the file at `path` says, and start what was installed; 1 when it can't be done."""
    try:
        order = Order(**json.loads(Path(path).read_text()))
        stick = PARTITIONS / order.partition
        if install(order, stick, disks(), say):
            say("it is installed; starting it")
            subprocess.run(["systemctl", "reboot", "--force"], check=True)
    except (Failure, OSError, ValueError, TypeError, subprocess.SubprocessError) as error:
        say(str(error) if isinstance(error, Failure) else f"{type(error).__name__}: {error}")
        return 1
    return 0


def install(order: Order, stick: Path, found: Sequence[Disk], say: Say) -> bool:
    """Install; False where that was done before. Raises Failure, OSError, SubprocessError."""
    target = target_of(order, stick, found)
    with stick.open("rb") as source:
        source.seek(order.configuration_offset)
        configuration = source.read(order.configuration_size)
    if is_installed(order, Path(target.path), configuration):
        say(f"{target.path} holds what this stick installs: take it out, or have the firmware start the disk first")
        return False
    if target.contents and not order.wipe:
        raise Failure(
            f"{target.path} is not empty, and is left as it is",
            got=", ".join(target.contents),
            hint="make the stick with --wipe if what is on it may go",
        )
    say(f"installing to {target.path} ({target.size / 1e9:.1f} GB)")
    with stick.open("rb") as source, Path(target.path).open("r+b") as disk:
        _erase(disk, target.size)
        head = _write(order, source, disk, configuration, say)
        _sync(disk)
        if (there := _read_back(order, Path(target.path))) != order.sha256:
            raise Failure(
                f"{target.path} does not keep what is written to it",
                tried="read the image back",
                got=f"SHA-256 {there[:16]}, not {order.sha256[:16]}",
                hint="another disk is needed, or another stick",
            )
        disk.seek(0)
        disk.write(head)
        _sync(disk)
    return True


def target_of(order: Order, stick: Path, found: Sequence[Disk]) -> Disk:
    """The disk to install to. Raises Failure where there is none, or it is the stick itself, or too small."""
    kind, _, text = order.disk.partition(":")
    fitting = [
        disk for disk in found if (disk.serial == text if kind == "serial" and text else disk.path == order.disk)
    ]
    listed = ", ".join(f"{disk.path} ({disk.size / 1e9:.1f} GB, serial {disk.serial or 'none'})" for disk in found)
    if len(fitting) != 1:
        raise Failure(f"there is no one disk {order.disk}", got=listed or "no disk at all", hint="name another disk")
    (disk,) = fitting
    if stick.exists() and str(stick.resolve()).startswith(disk.path):
        raise Failure(f"{disk.path} is the stick itself", got=listed, hint="name another disk")
    if disk.size < order.raw_size + MIB:
        got = f"{disk.size} bytes, {order.raw_size + MIB} needed"
        raise Failure(f"{disk.path} is too small", got=got, hint="name a larger disk: 4 GiB or more")
    return disk


def is_installed(order: Order, disk: Path, configuration: bytes) -> bool:
    """Whether the disk has a partition table and this very configuration, which holds the node's own key."""
    with disk.open("rb") as handle:
        head = handle.read(1024)
        handle.seek(order.configuration_at)
        return head[512:520] == b"EFI PART" and handle.read(order.configuration_size) == configuration


def disks() -> tuple[Disk, ...]:
    """All disks of this machine. Raises SubprocessError, ValueError."""
    columns = "PATH,TYPE,SERIAL,SIZE,PTTYPE,FSTYPE,LABEL"
    argv = ["lsblk", "--json", "--bytes", "--output", columns]
    said = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout
    return disks_of(json.loads(said))


def disks_of(listed: Mapping[str, Any]) -> tuple[Disk, ...]:
    """The disks in what `lsblk --json` says."""
    return tuple(
        Disk(each["path"], each.get("serial") or "", int(each["size"]), tuple(_contents(each)))
        for each in listed["blockdevices"]
        if each["type"] == "disk"
    )


def _contents(each: Mapping[str, Any]) -> Iterator[str]:
    if each.get("pttype"):
        yield f"a partition table ({each['pttype']})"
    for part in (each, *(each.get("children") or [])):
        if part.get("fstype"):
            yield f"{part['path']} {part['fstype']} {part.get('label') or ''}".strip()


def _erase(disk: BinaryIO, size: int) -> None:
    """What begins and ends a partition table goes first: one that is interrupted counts as empty."""
    for start in (0, size - MIB):
        disk.seek(start)
        disk.write(bytes(MIB))
    _sync(disk)


def _write(order: Order, source: BinaryIO, disk: BinaryIO, configuration: bytes, say: Say) -> bytes:
    """Everything but the first MiB, which is returned."""
    source.seek(0)
    done, head, told = 0, b"", 0
    with _unpacked(source, order.image_size) as raw:
        while block := raw.read(MIB):
            if done:
                disk.seek(done)
                disk.write(block)
            else:
                head = block
            done += len(block)
            if done * 10 // order.raw_size > told:
                told = done * 10 // order.raw_size
                say(f"{told * 10} % written")
    if done != order.raw_size:
        got = f"{done} bytes, {order.raw_size} expected"
        raise Failure("the stick's image is not whole", got=got, hint=WRITE_AGAIN)
    disk.seek(order.configuration_at)
    disk.write(configuration)
    return head


@contextmanager
def _unpacked(source: BinaryIO, size: int) -> Iterator[IO[bytes]]:
    head = ["head", "--bytes", str(size)]
    with (
        subprocess.Popen(head, stdin=source, stdout=subprocess.PIPE) as packed,
        subprocess.Popen(["zstd", "-d", "-c", "-q"], stdin=packed.stdout, stdout=subprocess.PIPE) as process,
    ):
        if packed.stdout is None or process.stdout is None:
            raise ValueError("no pipe")
        packed.stdout.close()
        yield process.stdout
    if process.returncode:
        got = f"zstd ended with {process.returncode}"
        raise Failure("the stick's image can't be unpacked", got=got, hint=WRITE_AGAIN)


def _read_back(order: Order, disk: Path) -> str:
    found = hashlib.sha256()
    with disk.open("rb") as handle:
        # What is read has to come from the disk, not from memory.
        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        handle.seek(MIB)
        left = order.raw_size - MIB
        while left and (block := handle.read(min(MIB, left))):
            found.update(block)
            left -= len(block)
    return found.hexdigest()


def _sync(disk: BinaryIO) -> None:
    disk.flush()
    os.fsync(disk.fileno())


def say(text: str) -> None:
    """Say something to whoever looks at the machine's screen or console: made safe for a terminal."""
    sys.stderr.write(f"clusterup: {in_lines(text)}\n")
    sys.stderr.flush()
