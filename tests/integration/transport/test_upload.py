"""Uploads: whole or not at all, continued after a cut, never sent twice."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bootstrap.errors import ClusterupError
from bootstrap.transport.errors import CommandFailed, TransferDamaged, TransportError
from bootstrap.transport.ssh import SshTransport
from tests.integration.transport.conftest import Server, World
from tests.integration.transport.proxy import CuttingProxy

SIZE = 20_000_000


@dataclass
class Told:
    """Keeps the progress that an upload told."""

    values: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self, done: int, total: int) -> None:
        self.values.append((done, total))


@dataclass(frozen=True)
class Sample:
    path: Path
    sha256: str


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    data = random.Random(1).randbytes(SIZE)
    path = tmp_path / "payload.raw"
    path.write_bytes(data)
    return Sample(path, hashlib.sha256(data).hexdigest())


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "node" / "a folder" / "it's.raw"


@pytest.fixture
def way(world: World, sshd: Server) -> SshTransport:
    return world.open(world.target(sshd))


def part_of(destination: Path) -> Path:
    return destination.with_name(destination.name + ".part")


def test_a_file_arrives_whole_with_its_mode_and_is_not_sent_again(
    way: SshTransport, sample: Sample, destination: Path
) -> None:
    told = Told()
    way.upload(sample.path, str(destination), sha256=sample.sha256, mode=0o750, progress=told)
    assert destination.read_bytes() == sample.path.read_bytes()
    assert destination.stat().st_mode & 0o7777 == 0o750
    assert not part_of(destination).exists()
    assert told.values[-1] == (SIZE, SIZE)
    assert len(told.values) > 10

    inode, again = destination.stat().st_ino, Told()
    way.upload(sample.path, str(destination), sha256=sample.sha256, mode=0o600, progress=again)
    assert again.values == [(SIZE, SIZE)]
    assert destination.stat().st_ino == inode
    assert destination.stat().st_mode & 0o7777 == 0o600


def test_after_a_cut_only_the_rest_is_sent(world: World, sshd: Server, sample: Sample, destination: Path) -> None:
    with CuttingProxy(sshd.port, limit=SIZE // 2) as proxy:
        way = world.open(world.target(sshd, port=proxy.port))
        with pytest.raises(TransportError) as failed:
            way.upload(sample.path, str(destination), sha256=sample.sha256, mode=0o644, progress=Told())
        assert failed.value.node == "node1"
    assert not destination.exists()
    arrived = part_of(destination).stat().st_size
    assert SIZE // 4 < arrived < SIZE

    with CuttingProxy(sshd.port) as proxy:
        told = Told()
        way = world.open(world.target(sshd, port=proxy.port))
        way.upload(sample.path, str(destination), sha256=sample.sha256, mode=0o644, progress=told)
        assert proxy.sent < (SIZE - arrived) * 1.02 + 100_000
    assert arrived < told.values[0][0] <= arrived + 1_000_000
    assert told.values[-1] == (SIZE, SIZE)
    assert hashlib.sha256(destination.read_bytes()).hexdigest() == sample.sha256


@pytest.mark.parametrize("part", [b"something else", bytes(SIZE + 5)], ids=["foreign", "too long"])
def test_a_part_that_is_no_beginning_of_the_file_is_replaced(
    way: SshTransport, sample: Sample, destination: Path, part: bytes
) -> None:
    destination.parent.mkdir(parents=True)
    part_of(destination).write_bytes(part)
    way.upload(sample.path, str(destination), sha256=sample.sha256, mode=0o644, progress=Told())
    assert hashlib.sha256(destination.read_bytes()).hexdigest() == sample.sha256


def test_a_whole_part_is_put_in_place_without_sending(way: SshTransport, sample: Sample, destination: Path) -> None:
    destination.parent.mkdir(parents=True)
    part_of(destination).write_bytes(sample.path.read_bytes())
    inode = part_of(destination).stat().st_ino
    way.upload(sample.path, str(destination), sha256=sample.sha256, mode=0o644, progress=Told())
    assert destination.stat().st_ino == inode


def test_a_file_damaged_on_the_way_is_removed_and_the_old_one_stays(
    way: SshTransport, sample: Sample, destination: Path
) -> None:
    destination.parent.mkdir(parents=True)
    destination.write_text("the old one")

    def damage(done: int, total: int) -> None:
        # What a bad disk does: a byte that has arrived changes.
        if done == total:
            with part_of(destination).open("r+b") as handle:
                first = handle.read(1)
                handle.seek(0)
                handle.write(bytes([first[0] ^ 1]))

    with pytest.raises(TransferDamaged, match="arrived damaged") as failed:
        way.upload(sample.path, str(destination), sha256=sample.sha256, mode=0o644, progress=damage)
    assert sample.sha256 in str(failed.value)
    assert destination.read_text() == "the old one"
    assert not part_of(destination).exists()


def test_a_local_file_that_is_not_what_it_should_be_is_said_so(
    way: SshTransport, sample: Sample, destination: Path
) -> None:
    with pytest.raises(TransferDamaged, match=r"payload\.raw is not the file it should be") as failed:
        way.upload(sample.path, str(destination), sha256="0" * 64, mode=0o644, progress=Told())
    assert "on this machine" in str(failed.value)
    assert list(destination.parent.iterdir()) == []


def test_a_missing_local_file_and_an_unwritable_place_are_told_apart(
    way: SshTransport, sample: Sample, destination: Path
) -> None:
    with pytest.raises(ClusterupError, match="can't be read: No such file") as absent:
        way.upload(Path("/nowhere/file"), str(destination), sha256="0" * 64, mode=0o644, progress=Told())
    assert absent.value.node == "node1"
    with pytest.raises(CommandFailed):
        way.upload(sample.path, "/proc/nowhere/file", sha256=sample.sha256, mode=0o644, progress=Told())


def test_an_empty_file_arrives(way: SshTransport, tmp_path: Path, destination: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    way.upload(empty, str(destination), sha256=hashlib.sha256(b"").hexdigest(), mode=0o644, progress=Told())
    assert destination.read_bytes() == b""
