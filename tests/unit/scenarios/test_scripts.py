"""What scripts/test and scripts/record-scenarios share with the record of scenarios."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.commit import RECORD
from tests.scenarios.record import read, text, write
from tests.unit.scenarios.samples import record

HERE = Path(__file__).parents[3]
NOW = 1e12


def in_bash(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A script that has sourced scripts/prepare, as scripts/test does."""
    return subprocess.run(
        ["bash", "-c", f"set -euo pipefail; . scripts/prepare; {script}"],
        cwd=HERE,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def records(root: Path) -> subprocess.CompletedProcess[str]:
    """What scripts/record-scenarios does in a checkout."""
    return subprocess.run(
        [sys.executable, "scripts/record_scenarios.py", "--root", str(root)],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": ".", "XDG_CACHE_HOME": str(root / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with two scenarios and without git, on a machine with a cache of its own."""
    for name in ("a/test_one.py", "b/test_two.py"):
        path = tmp_path / "tests" / "e2e" / name
        path.parent.mkdir(parents=True)
        path.write_text("pytestmark = [pytest.mark.e2e, pytest.mark.every_time]" if name.startswith("b") else "")
    (tmp_path / "cache" / "clusterup").mkdir(parents=True)
    return tmp_path


def test_the_minutes_of_a_run_are_a_number() -> None:
    ask = 'minutes CLUSTERUP_TEST_MINUTES 82; echo "$minutes"'
    assert in_bash(ask).stdout == "82\n"
    assert in_bash(ask, CLUSTERUP_TEST_MINUTES="120").stdout == "120\n"


@pytest.mark.parametrize("said", ["", "soon", "0", "-5", "1.5", "08", "1e3", "100000", "9 9", "a[$(id)]"])
def test_minutes_that_are_no_number_are_refused_before_anything_runs(said: str) -> None:
    done = in_bash("minutes CLUSTERUP_TEST_MINUTES 82; echo ran", CLUSTERUP_TEST_MINUTES=said)
    assert (done.returncode, done.stdout) == (2, "")
    assert "CLUSTERUP_TEST_MINUTES is not a number of minutes (1 to 9999): " in done.stderr


def test_the_time_of_each_part_is_printed_at_the_end_and_the_exit_code_stays() -> None:
    done = in_bash("trap parts EXIT; part style; SECONDS=5; part 'unit tests'; SECONDS=125; (exit 8)")
    assert done.returncode == 8
    assert done.stdout.splitlines()[-3:] == ["Time of each part:", "     5 s  style", "   120 s  unit tests"]


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_whoever_is_told_to_end_ends_what_it_runs(told: signal.Signals) -> None:
    child = "import time\ntry: print(flush=True); time.sleep(600)\nexcept KeyboardInterrupt: print('undone'); exit(2)"
    script = f"trap 'echo over' EXIT; . scripts/prepare; set -euo pipefail; stoppable {sys.executable} -c \"{child}\""
    with subprocess.Popen(["bash", "-c", script], cwd=HERE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "\n"
        run.send_signal(told)
        assert run.stdout.read() == "undone\nover\n"
    assert run.returncode == 2


def test_what_it_runs_ends_with_its_own_exit_code() -> None:
    assert in_bash("stoppable true; echo went on").stdout == "went on\n"
    assert in_bash("stoppable bash -c 'exit 8'; echo went on").returncode == 8


def test_what_the_machine_has_seen_comes_into_the_repository_s_record(checkout: Path) -> None:
    write(checkout / RECORD, record(1, passed={"a/one": 1, "a/gone": 1}))
    write(checkout / "cache" / "clusterup" / "scenarios.json", record(2, passed={"b/two": 2}))
    done = records(checkout)
    assert done.returncode == 0
    assert (checkout / RECORD).read_text() == text(record(1, 2, passed={"a/one": 1, "b/two": 2}))
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["scenario", "a/one", "b/two", "*", "2"]
    assert records(checkout).stdout == done.stdout


def test_a_record_in_a_merge_conflict_is_made_again_from_what_the_machine_has_seen(checkout: Path) -> None:
    (checkout / RECORD).write_text(f"<<<<<<< HEAD\n{json.dumps({})}")
    write(checkout / "cache" / "clusterup" / "scenarios.json", record(2, passed={"b/two": 2}))
    done = records(checkout)
    assert done.returncode == 0
    assert f"{RECORD} can't be used, and counts as empty" in done.stderr
    assert read(checkout / RECORD, NOW).record == record(2, passed={"b/two": 2})


def test_a_record_that_can_t_be_written_is_said_in_words(checkout: Path) -> None:
    (checkout / RECORD).mkdir()
    done = records(checkout)
    assert done.returncode == 1
    assert f"{RECORD} can't be written: " in done.stderr
    assert "Traceback" not in done.stderr
