"""Labs of real processes that never boot: QEMU is started paused, so that they cost next to nothing."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bootstrap.image.bundle import Bundle, Partition
from bootstrap.image.files import bundle_as_data
from bootstrap.image.manifest import write_manifest
from bootstrap.lab.down import lab_down
from bootstrap.lab.spec import Accel, Lab, LabSpec
from bootstrap.lab.store import lab_locked
from bootstrap.lab.up import started
from tests.helpers.worlds import COMPONENTS

MIB = 1 << 20
LIVE_PARTITION = Partition("CLUSTERUP", offset=MIB, size=MIB)


@dataclass
class Bench:
    """A person with a state folder of their own, and what they were told."""

    folder: Path
    spec: LabSpec
    said: list[str] = field(default_factory=list)

    def up(self, spec: LabSpec | None = None) -> Lab:
        """All of `lab up` but the waiting for guests, which never boot here."""
        wanted = spec or self.spec
        with lab_locked(wanted.name, "test"):
            return started(wanted, say=self.said.append)[0]


@pytest.fixture
def small_bundle(tmp_path: Path) -> Path:
    """A bundle whose live image has a partition CLUSTERUP and nothing that boots, and a payload that is none."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    live = folder / "live.raw"
    live.write_bytes(_gpt())
    artifact = bundle_as_data("live", live, partitions=(LIVE_PARTITION,))
    (folder / "payload.raw").write_bytes(b"payload")
    payload = bundle_as_data("payload", folder / "payload.raw", components=COMPONENTS)
    write_manifest(Bundle(folder, "1", {"live": artifact, "payload": payload}))
    return folder


def _gpt() -> bytes:
    """A disk of 3 MiB with as much of a partition table as `read_gpt` looks at."""
    image = bytearray(3 * MIB)
    image[512:520] = b"EFI PART"
    struct.pack_into("<QII", image, 512 + 72, 2, 1, 128)
    first, last = LIVE_PARTITION.offset // 512, (LIVE_PARTITION.offset + LIVE_PARTITION.size) // 512 - 1
    name = LIVE_PARTITION.label.encode("utf-16-le").ljust(72, b"\0")
    image[1024:1152] = struct.pack("<16s16sQQQ72s", uuid.uuid4().bytes, uuid.uuid4().bytes, first, last, 0, name)
    return bytes(image)


@pytest.fixture
def bench(tmp_path: Path, small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    spec = LabSpec(
        name="bench",
        servers=1,
        agents=1,
        memory=64,
        cpus=1,
        disk=1,
        bundle=str(small_bundle),
        accel=Accel.TCG,
        qemu_options=("-S",),
    )
    yield Bench(tmp_path, spec)
    lab_down("bench")
