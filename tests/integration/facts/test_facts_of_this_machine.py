"""The facts script in real shells on a real machine."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from bootstrap.facts.model import UnitFacts
from bootstrap.facts.node import Wanted, parse_facts, read_node
from bootstrap.paths import templates_dir
from bootstrap.transport.base import Command
from tests.helpers.local_transport import LocalTransport

SHELLS = [shell for shell in (("dash",), ("bash", "--posix"), ("busybox", "sh")) if shutil.which(shell[0])]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_any_posix_shell_tells_what_the_machine_is(shell: tuple[str, ...], tmp_path: Path) -> None:
    there = tmp_path / "there with spaces"
    there.write_text("content")
    facts = read_node(
        LocalTransport(shell=shell), Wanted(files=(str(there), str(tmp_path / "absent")), units=("ssh.service",))
    )
    assert facts.kind == "other"
    assert facts.hostname == Path("/proc/sys/kernel/hostname").read_text().strip()
    assert facts.cpus == os.cpu_count()
    assert facts.memory == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert abs(facts.skew) < 60
    assert facts.files == {str(there): hashlib.sha256(b"content").hexdigest()}


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_each_unit_is_told_with_the_state_that_systemd_says_in_its_turn(
    shell: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "systemctl"
    program.write_text('#!/bin/sh\n[ "$*" = "is-active b.service a.service" ] && printf "failed\\nactive\\n"\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    facts = read_node(LocalTransport(shell=shell), Wanted(units=("b.service", "a.service")))
    assert facts.units == {"b.service": UnitFacts("failed", None), "a.service": UnitFacts("active", None)}


def test_this_machine_s_own_disk_is_in_use() -> None:
    root = next(line.split()[0] for line in Path("/proc/mounts").read_text().splitlines() if line.startswith("/dev/"))
    facts = read_node(LocalTransport(), Wanted())
    assert [disk for disk in facts.disks if root.startswith(disk.path) and disk.in_use]


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_no_control_character_of_a_disk_gets_into_the_answer(shell: tuple[str, ...], tmp_path: Path) -> None:
    disk = tmp_path / "block" / "clusteruptest"
    (disk / "device").mkdir(parents=True)
    for name, content in {
        "size": b"2048\n",
        "ro": b"0\n",
        "device/model": b"a\tb\x1b]52;c;x\x07c\x0cd\x7f\xe2\x80\xa8e\n",
        "device/serial": b"\x01S1\r\n",
    }.items():
        (disk / name).write_bytes(content)
    script = (templates_dir() / "node" / "facts.sh").read_text().replace("/sys/block", str(disk.parent))
    said = LocalTransport(shell=shell).check(Command("read facts", script)).text
    assert {letter for letter in said if letter < " " or letter == "\x7f"} == {"\t", "\n"}
    (found,) = parse_facts(said, node="a1", at=0.0).disks
    # There is no such device: what can't be read is never called empty.
    assert found.contents == "what can not be read"
    assert (found.path, found.size, found.model, found.serial) == (
        "/dev/clusteruptest",
        1 << 20,
        "a b]52;c;xcd\u2028e",
        "S1",
    )
