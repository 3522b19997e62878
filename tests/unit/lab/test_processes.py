"""A process is known again by more than its number."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bootstrap.lab.machines.process import Identity, end, identity_of, recorded, standing_still
from tests.helpers.daemons import wait_for


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def record(path: Path, identity: Identity) -> Path:
    path.write_text(json.dumps(asdict(identity)))
    return path


def state(pid: int) -> str:
    """As in proc(5): S sleeps, T stands still."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def known(pid: int) -> Identity:
    identity = identity_of(pid)
    assert identity is not None
    return identity


def test_a_running_process_is_found_and_ended(tmp_path: Path, stranger: subprocess.Popen[bytes]) -> None:
    file = record(tmp_path / "r", known(stranger.pid))
    assert recorded(file) == known(stranger.pid)
    assert end(file, signal.SIGTERM)
    assert stranger.wait() == -signal.SIGTERM
    assert not file.exists()
    assert not end(file, signal.SIGTERM)


def test_a_process_stands_still_and_goes_on_whatever_happens_meanwhile(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    file = record(tmp_path / "r", known(stranger.pid))
    with pytest.raises(OSError, match="no room"), standing_still(file):
        wait_for(lambda: state(stranger.pid) == "T", "it to stand still")
        assert recorded(file) == known(stranger.pid)
        raise OSError("no room")
    wait_for(lambda: state(stranger.pid) == "S", "it to go on")


def test_a_process_that_ends_while_it_stands_still_is_no_harm(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    file = record(tmp_path / "r", known(stranger.pid))
    with standing_still(file):
        stranger.kill()
        stranger.wait()
    with standing_still(file):
        assert recorded(file) is None


@pytest.mark.parametrize("changed", [{"started": 1}, {"boot": "another"}])
def test_a_number_that_was_given_out_again_is_not_ours_and_not_ended(
    tmp_path: Path, stranger: subprocess.Popen[bytes], changed: dict[str, object]
) -> None:
    file = record(tmp_path / "r", replace(known(stranger.pid), **changed))  # type: ignore[arg-type]
    assert recorded(file) is None
    with standing_still(file):
        assert state(stranger.pid) != "T"
    assert not end(file, signal.SIGKILL)
    assert stranger.poll() is None


def test_a_process_that_ended_and_was_not_collected_does_not_run(tmp_path: Path) -> None:
    process = subprocess.Popen(["true"])
    file = record(tmp_path / "r", Identity(process.pid, 0, ""))
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert identity_of(process.pid) is None
    assert recorded(file) is None
    process.wait()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', "null"])
def test_a_damaged_record_names_no_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "r").write_text(content)
    assert recorded(tmp_path / "r") is None


def test_a_name_full_of_brackets_does_not_confuse(tmp_path: Path) -> None:
    odd = tmp_path / "a) R 1 (b"
    odd.symlink_to("/bin/sleep")
    with subprocess.Popen([odd, "1000"]) as process:
        plain = Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split()[19]
        assert known(process.pid).started == int(plain)
        process.kill()
