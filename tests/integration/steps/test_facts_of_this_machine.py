"""The facts script in real shells on a real machine."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from bootstrap.steps.facts import Wanted, read_node
from bootstrap.steps.world import UnitFacts
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
