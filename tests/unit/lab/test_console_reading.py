"""What a lab concludes from a machine's console."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.lab.machines.accel import verdict
from bootstrap.lab.wait import death_in
from bootstrap.transport.serial.text import last_lines, plain_text

BOOT = 'BdsDxe: starting Boot0002 "UEFI QEMU"\nEFI stub: Loaded initrd\n'


@pytest.mark.parametrize(
    "line",
    [
        "[    3.100000] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
        "[    9.581277] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI",
        "[   12.000001] int3: 0000 [#1] SMP",
        "[    5.000000] BUG: unable to handle page fault for address: ffffffffc0000000",
        "[    5.000000] BUG: kernel NULL pointer dereference, address: 0000000000000008",
    ],
)
def test_a_dead_kernel_is_recognised_by_its_last_words(line: str) -> None:
    assert death_in(f"{BOOT}before\n{line}\nafter\n") == line


@pytest.mark.parametrize(
    "text",
    [
        "",
        BOOT,
        "[   60.1] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [systemd:1]\n",
        "[    1.0] random text about debugging and DEBUG: fine\n",
        "[    1.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks\n",
    ],
)
def test_a_busy_kernel_is_not_a_dead_one(text: str) -> None:
    assert death_in(text) is None


def test_a_kernel_that_started_again_after_it_died_is_alive() -> None:
    died = f"{BOOT}[ 3.1] Kernel panic - not syncing: x\n[ 13.1] Rebooting in 10 seconds..\n"
    assert death_in(died) is not None
    assert death_in(died + BOOT) is None


@pytest.mark.parametrize("line", ["Booting initrd of Debian GNU/Linux 13", "Welcome to clusterup 0.1.0!", "x login: "])
def test_a_first_process_that_speaks_means_that_kvm_works(line: str) -> None:
    assert verdict(f"{BOOT}{line}\n")


def test_firmware_alone_does_not_mean_that_kvm_works() -> None:
    assert not verdict(BOOT)
    assert not verdict("")


def test_control_sequences_are_taken_out_and_words_stay() -> None:
    shown = "\x1b[?7h\x1b[2J[\x1b[0;32m  OK  \x1b[0m] Started \x1b[0;1;39mssh.service\x1b[0m.\r\r\n"
    shown += "\x1b]104\x07login: \x1b[6n"
    assert plain_text(shown) == "[  OK  ] Started ssh.service.\nlogin: "


def test_the_last_lines_of_a_file_that_is_not_there_are_none(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "none", 3) == ""
    (tmp_path / "log").write_text("1\n2\n\n3\r\n4\n")
    assert last_lines(tmp_path / "log", 3) == "2\n3\n4"
