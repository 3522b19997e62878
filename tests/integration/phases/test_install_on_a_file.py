"""The installation's own commands against a file that stands for a disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bootstrap.errors import ClusterupError
from bootstrap.image.bundle import Artifact, Bundle, Partition
from bootstrap.image.disk.configuration import EtcFile, configuration_image
from bootstrap.image.disk.segments import pack
from bootstrap.inventory.serial_target import ConsoleTarget
from bootstrap.phases.install.console import send_missing
from bootstrap.phases.install.install import Installation, configure, write_image
from bootstrap.pki.identity import NodeIdentity
from bootstrap.pki.sshkeys import new_ssh_key
from bootstrap.transport.base import Transport
from bootstrap.transport.errors import CommandFailed
from tests.helpers.local_transport import LocalTransport
from tests.helpers.one_node import OneNode

MIB = 1024 * 1024
OFFSET = 3 * MIB
SIZE = 1 * MIB
GAP = 20 * MIB


@dataclass
class FileContext(OneNode):
    """A context whose only node is this machine."""

    transport: Transport = field(default_factory=LocalTransport)

    def progress(self, done: int, total: int) -> None:
        assert 0 <= done <= total


@dataclass
class Machine:
    disk: Path
    raw: bytes
    image: Artifact
    installation: Installation


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    # An image ends where its data ends: at no round number of blocks.
    raw = os.urandom(2 * MIB) + bytes(3 * MIB) + os.urandom(3 * MIB) + bytes(GAP) + os.urandom(MIB + 4096)
    (tmp_path / "os.raw").write_bytes(raw)
    packed = tmp_path / "os.raw.zst"
    segments = pack(tmp_path / "os.raw", packed, level=1)
    image = Artifact(
        "os",
        packed,
        packed.stat().st_size,
        "",
        raw_size=len(raw),
        segments=segments,
        partitions=(Partition("CLUSTERUP", OFFSET, SIZE),),
    )
    disk = tmp_path / "disk"
    # Nor do most disks end at a whole MiB.
    disk.write_bytes(os.urandom(len(raw) + 4 * MIB))
    installation = Installation(
        Bundle(tmp_path, "1", {"os": image}),
        {"s1": [EtcFile("hostname", b"s1\n")]}.__getitem__,
        {"s1": NodeIdentity("a" * 32, new_ssh_key())}.__getitem__,
        lambda node, key: None,
        lambda node: None,
    )
    return Machine(disk, raw, image, installation)


def test_an_installed_disk_holds_the_image_and_the_configuration_in_its_partition(machine: Machine) -> None:
    context = FileContext()
    write_image(context, "s1", str(machine.disk), machine.image)
    configure(context, "s1", str(machine.disk), machine.installation.bundle.artifact("os"), machine.installation)
    content = machine.disk.read_bytes()
    assert content[:OFFSET] == machine.raw[:OFFSET]
    assert content[OFFSET + SIZE : len(machine.raw)] == machine.raw[OFFSET + SIZE :]
    assert b"hostname" in content[OFFSET : OFFSET + SIZE]
    assert content[OFFSET : OFFSET + 512][43:54] == b"CLUSTERUP  "
    assert content[-MIB:] == bytes(MIB)
    assert len(content) == len(machine.raw) + 4 * MIB


def test_a_shell_dd_and_sha256sum_are_all_that_a_node_needs(machine: Machine, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "dd", "sha256sum", "cut", "cat", "head", "wc", "echo"):
        (tools / tool).symlink_to(next(p for p in (Path("/usr/bin") / tool, Path("/bin") / tool) if p.exists()))
    context = FileContext(LocalTransport(shell=("/usr/bin/env", f"PATH={tools}", "/bin/sh")))
    write_image(context, "s1", str(machine.disk), machine.image)
    configure(context, "s1", str(machine.disk), machine.installation.bundle.artifact("os"), machine.installation)
    assert machine.disk.read_bytes()[:OFFSET] == machine.raw[:OFFSET]


def test_an_installation_that_ends_before_its_last_step_leaves_a_disk_without_a_partition_table(
    machine: Machine,
) -> None:
    write_image(FileContext(), "s1", str(machine.disk), machine.image)
    content = machine.disk.read_bytes()
    assert content[:MIB] == bytes(MIB)
    assert content[-MIB:] == bytes(MIB)


def test_a_stream_that_is_cut_leaves_a_disk_that_counts_as_empty_and_the_next_run_installs_it(
    machine: Machine,
) -> None:
    def cut(chunks: Iterator[bytes]) -> Iterator[bytes]:
        yield next(chunks)[:-1000]

    with pytest.raises(ClusterupError):
        write_image(FileContext(LocalTransport(wire=cut)), "s1", str(machine.disk), machine.image)
    assert machine.disk.read_bytes()[:MIB] == bytes(MIB)
    context = FileContext()
    write_image(context, "s1", str(machine.disk), machine.image)
    configure(context, "s1", str(machine.disk), machine.installation.bundle.artifact("os"), machine.installation)
    assert machine.disk.read_bytes()[: 2 * MIB] == machine.raw[: 2 * MIB]


def test_over_a_console_only_what_is_not_there_yet_is_sent(machine: Machine) -> None:
    sent: list[int] = []

    class Counting(LocalTransport):
        def stream(self, command, chunks, **keywords):  # type: ignore[no-untyped-def]
            sent.append(keywords["total"])
            return super().stream(command, chunks, **keywords)

    send = send_missing(ConsoleTarget("s1", "/dev/ttyUSB0"))
    write_image(FileContext(Counting()), "s1", str(machine.disk), machine.image, send)
    whole, sent[:] = list(sent), []
    assert sum(whole) == sum(segment.size for segment in machine.image.segments[1:])
    write_image(FileContext(Counting()), "s1", str(machine.disk), machine.image, send)
    assert sent == []
    with machine.disk.open("r+b") as handle:
        handle.seek(6 * MIB)
        handle.write(b"torn")
    write_image(FileContext(Counting()), "s1", str(machine.disk), machine.image, send)
    assert len(sent) == 1
    configure(FileContext(), "s1", str(machine.disk), machine.installation.bundle.artifact("os"), machine.installation)
    assert machine.disk.read_bytes()[:OFFSET] == machine.raw[:OFFSET]


def test_a_disk_that_gives_back_something_else_is_not_trusted(machine: Machine) -> None:
    class Failing(LocalTransport):
        def stream(self, *arguments, **keywords):  # type: ignore[no-untyped-def]
            result = super().stream(*arguments, **keywords)
            with machine.disk.open("r+b") as handle:
                handle.seek(6 * MIB)
                handle.write(b"rot")
            return result

    with pytest.raises(ClusterupError, match="gives back something else") as failed:
        write_image(FileContext(Failing()), "s1", str(machine.disk), machine.image)
    assert "memory of this machine is failing" in str(failed.value)


def test_a_disk_that_is_not_there_is_an_error_and_no_file(tmp_path: Path, machine: Machine) -> None:
    missing = tmp_path / "none" / "disk"
    with pytest.raises(CommandFailed):
        write_image(FileContext(), "s1", str(missing), machine.image)
    assert not missing.exists()


def test_a_configuration_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ClusterupError, match="could not be made"):
        configuration_image([EtcFile("big", b"x" * SIZE)], image="", size=SIZE)
