"""A stick gets one more partition, made by the real sfdisk."""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path

import pytest

from bootstrap.image.disk.gpt import read_gpt
from bootstrap.joining.usb import with_partition

MIB = 1 << 20
TABLE = "label: gpt\nstart=1MiB, size=8MiB, name=first\nstart=9MiB, size=2MiB, name=second\n"


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A disk image of two partitions that it has just room for."""
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin:/sbin")
    path = tmp_path / "live.raw"
    with path.open("wb") as handle:
        handle.truncate(12 * MIB)
    subprocess.run(["sfdisk", "--quiet", str(path)], input=TABLE, text=True, check=True)
    with path.open("r+b") as handle:
        handle.seek(MIB)
        handle.write(b"what the first one holds")
    return path


def test_it_follows_the_others_which_stay_as_they_were(image: Path) -> None:
    identity, before = uuid.uuid4(), read_gpt(image)
    at = with_partition(image, identity, 5 * MIB + 1)
    *others, new = read_gpt(image)
    assert tuple(others) == before
    assert (new.uuid, new.offset, new.size, new.label) == (identity, at, 6 * MIB, "clusterup-install")
    assert at % MIB == 0
    with image.open("rb") as handle:
        handle.seek(MIB)
        assert handle.read(24) == b"what the first one holds"


def test_the_table_and_its_backup_are_sound(image: Path) -> None:
    with_partition(image, uuid.uuid4(), 20 * MIB)
    checked = subprocess.run(["sfdisk", "--verify", str(image)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "No errors detected" in checked.stdout
