"""The question that a node's journal is asked, run by a real shell; what answers it says how it was asked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from bootstrap.operations.node_logs import NOTHING, Wanted, logs_script

JOURNALCTL = """\
#!/bin/sh
case "$*" in *--lines=1*) [ "$KEPT" = yes ] && echo a line; exit 0 ;; esac
printf '%s\\n' "$@"
"""
SYSTEMCTL = """\
#!/bin/sh
case "$1 $*" in
    show*known.service) echo loaded ;;
    show*) echo not-found ;;
    *) echo "kubelet.service loaded active running" ;;
esac
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    for name, text in (("journalctl", JOURNALCTL), ("systemctl", SYSTEMCTL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def asked(programs: Path, wanted: Wanted, kept: str = "no") -> subprocess.CompletedProcess[str]:
    """What comes of the script with these programs."""
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "KEPT": kept}
    return subprocess.run(
        ["sh", "-c", logs_script(wanted)], env=environment, capture_output=True, text=True, check=False
    )


def test_all_units_are_asked_for_where_none_is_named(programs: Path) -> None:
    assert asked(programs, Wanted((), 200)).stdout.split() == ["--no-pager", "--output=short-iso", "--lines=200"]


def test_units_times_and_following_are_passed_on_as_they_were_typed(programs: Path) -> None:
    done = asked(programs, Wanted(("known.service",), 5, since="2026-11-30 12:00", follows=True))
    assert done.stdout.splitlines()[-3:] == ["--unit=known.service", "--since=2026-11-30 12:00", "--follow"]


def test_a_unit_that_is_not_there_is_said_with_those_that_are(programs: Path) -> None:
    done = asked(programs, Wanted(("kublet",), 5))
    assert done.returncode == NOTHING
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "there is no unit kublet here, and nothing is kept of one; there are:",
        "  kubelet.service",
    ]


def test_a_unit_that_is_gone_and_of_which_lines_are_kept_is_shown(programs: Path) -> None:
    assert "--unit=gone.service" in asked(programs, Wanted(("gone.service",), 5), kept="yes").stdout


def test_words_that_a_shell_would_act_upon_are_words(programs: Path, tmp_path: Path) -> None:
    asked(programs, Wanted((f"x; touch {tmp_path}/made",), 5, since=f"$(touch {tmp_path}/made)"))
    assert not (tmp_path / "made").exists()
