"""Whose turn comes first."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.lab.priority import LATER, come_after, rank
from bootstrap.lab.spec import Accel, LabSpec
from tests.unit.lab.samples import paper_lab

# Two threads in a session of its own, as a QEMU has them.
BUSY = """\
import sys, threading
threading.Thread(target=sys.stdin.read, daemon=True).start()
print("there", flush=True)
threading.Event().wait()
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "there\n"
        yield started
        started.kill()


def test_every_thread_and_the_session_come_after_others(process: subprocess.Popen[str]) -> None:
    come_after(process.pid, LATER)
    threads = [int(path.name) for path in Path(f"/proc/{process.pid}/task").iterdir()]
    assert len(threads) == 2
    assert {os.getpriority(os.PRIO_PROCESS, thread) for thread in threads} == {LATER}
    group = Path(f"/proc/{process.pid}/autogroup")
    assert not group.exists() or group.read_text().endswith(f" nice {LATER}\n")


def test_a_process_that_has_ended_is_left_alone(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    come_after(process.pid, LATER)
    assert not Path(f"/proc/{process.pid}").exists()


def test_the_first_server_comes_before_the_other_machines_where_they_are_emulated(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, LabSpec(servers=3, agents=1))
    assert [rank(lab, machine.name) for machine in lab.machines] == [0, LATER, LATER, LATER]
    real = paper_lab(tmp_path, LabSpec(servers=3, agents=1), Accel.KVM)
    assert {rank(real, machine.name) for machine in real.machines} == {0}
