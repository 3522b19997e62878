"""A machine that runs from a stick installs itself, on disks that are files."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bootstrap.node import install
from bootstrap.node.install import MIB, Disk, Order, disks_of
from bootstrap.protocol.failure import Failure

# An image of six MiB that begins with a partition table; the configuration goes to its third MiB.
HEAD = bytes(512) + b"EFI PART" + b"table" * 1000
IMAGE = HEAD + bytes(MIB - len(HEAD)) + b"root" * MIB + b"verity" * (MIB // 6) + bytes(MIB - MIB // 6 * 6)
CONFIGURATION = b"configuration" + bytes(65536 - 13)
AT = 2 * MIB


@dataclass
class Bench:
    """A stick's partition and an empty disk."""

    folder: Path
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        packed = subprocess.run(["zstd", "-c", "-q"], input=IMAGE, capture_output=True, check=True).stdout
        self.stick.write_bytes(packed + CONFIGURATION)
        wanted = IMAGE[:AT] + CONFIGURATION + IMAGE[AT + len(CONFIGURATION) :]
        self.wanted = wanted
        self.order = Order(
            disk=str(self.disk),
            wipe=False,
            partition="unused",
            image_size=len(packed),
            raw_size=len(IMAGE),
            sha256=hashlib.sha256(wanted[MIB:]).hexdigest(),
            configuration_offset=len(packed),
            configuration_size=len(CONFIGURATION),
            configuration_at=AT,
        )
        self.fill(b"")

    @property
    def stick(self) -> Path:
        return self.folder / "stick"

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    def fill(self, content: bytes) -> None:
        with self.disk.open("wb") as handle:
            handle.write(content)
            handle.truncate(16 * MIB)

    def install(self, order: Order | None = None, *contents: str) -> bool:
        found = [Disk(str(self.disk), "A1", 16 * MIB, contents)]
        return install.install(order or self.order, self.stick, found, self.said.append)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_disk_holds_the_image_with_the_configuration_of_this_machine(bench: Bench) -> None:
    assert bench.install()
    assert bench.disk.read_bytes()[: len(IMAGE)] == bench.wanted
    assert "100 % written" in bench.said


def test_a_disk_is_named_by_its_serial_number(bench: Bench) -> None:
    assert bench.install(replace(bench.order, disk="serial:A1"))
    with pytest.raises(Failure, match="there is no one disk serial:B2") as caught:
        bench.install(replace(bench.order, disk="serial:B2"))
    assert "serial A1" in str(caught.value)


def test_what_was_installed_before_is_left_alone(bench: Bench) -> None:
    bench.install()
    before = bench.disk.read_bytes()
    assert not bench.install(None, "a partition table (gpt)")
    assert bench.disk.read_bytes() == before
    assert "take it out" in bench.said[-1]


def test_a_disk_with_something_on_it_is_left_alone(bench: Bench) -> None:
    bench.fill(b"somebody's data")
    before = bench.disk.read_bytes()
    with pytest.raises(Failure, match="is not empty, and is left as it is") as caught:
        bench.install(None, "a partition table (dos)", "/dev/sda1 ext4 home")
    assert "/dev/sda1 ext4 home" in str(caught.value)
    assert bench.disk.read_bytes() == before
    assert bench.install(replace(bench.order, wipe=True), "a partition table (dos)")


def test_a_stick_that_is_damaged_leaves_a_disk_without_a_partition_table(bench: Bench) -> None:
    damaged = bytearray(bench.stick.read_bytes())
    damaged[-1] ^= 1
    bench.stick.write_bytes(damaged)
    bench.fill(HEAD)
    with pytest.raises(Failure, match="does not keep what is written to it"):
        bench.install(replace(bench.order, wipe=True))
    assert bench.disk.read_bytes()[:MIB] == bytes(MIB)


def test_a_disk_that_is_too_small_is_refused(bench: Bench) -> None:
    with pytest.raises(Failure, match="is too small"):
        bench.install(replace(bench.order, raw_size=16 * MIB))


def test_the_stick_itself_is_no_disk_to_install_to(bench: Bench) -> None:
    with pytest.raises(Failure, match="is the stick itself"):
        own = [Disk(str(bench.stick), "", 16 * MIB, ())]
        install.target_of(replace(bench.order, disk=str(bench.stick)), bench.stick, own)


def test_what_lsblk_says_of_disks_is_understood() -> None:
    listed = {
        "blockdevices": [
            {"path": "/dev/sr0", "type": "rom", "serial": None, "size": 1, "pttype": None, "fstype": None},
            {
                "path": "/dev/sda",
                "type": "disk",
                "serial": "S1",
                "size": 1000,
                "pttype": "gpt",
                "fstype": None,
                "children": [{"path": "/dev/sda1", "type": "part", "fstype": "vfat", "label": "EFI"}],
            },
            {"path": "/dev/vda", "type": "disk", "serial": None, "size": 2000, "pttype": None, "fstype": None},
        ]
    }
    assert disks_of(listed) == (
        Disk("/dev/sda", "S1", 1000, ("a partition table (gpt)", "/dev/sda1 vfat EFI")),
        Disk("/dev/vda", "", 2000, ()),
    )
