"""Which units a node begins to start, in a real shell, with a systemctl that notes what it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.machine.units import Unit
from bootstrap.phases.deploy import commands as deploy_commands
from bootstrap.phases.deploy.commands import units_input
from bootstrap.transport.base import Command
from tests.helpers.local_transport import LocalTransport

RUNS, STALE = Unit("runs.service", "runs", ("/bin/true",)), Unit("stale.service", "is stale", ("/bin/true",))
SYSTEMCTL = """\
#!/bin/sh
case "$1" in
    --quiet) [ ! -e {folder}/substate ] ;;
    show)
        case "$3" in
            SubState) cat {folder}/substate ;;
            *) cat {folder}/needs-reload ;;
        esac ;;
    *) echo "$@" >>{folder}/done ;;
esac
"""


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "systemctl"
    program.write_text(SYSTEMCTL.format(folder=tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(deploy_commands, "APPLIED_FOLDER", str(tmp_path))
    (tmp_path / RUNS.name).write_text(f"{RUNS.digest}  -\n")
    (tmp_path / STALE.name).write_text("0  -\n")
    return tmp_path


def begin(command: Command) -> str:
    return LocalTransport().check(command, stdin=units_input([RUNS, STALE])).text


def test_what_runs_with_older_settings_is_restarted_and_nothing_else(node: Path) -> None:
    (node / "needs-reload").write_text("no\n")
    assert begin(deploy_commands.start_units()).split() == [STALE.name]
    assert (node / "done").read_text().splitlines() == [f"restart --no-block {STALE.name}"]


@pytest.mark.parametrize("substate", ["start-pre", "start", "start-post"])
def test_a_start_that_is_under_way_with_the_right_settings_goes_on_and_any_other_begins_again(
    node: Path, substate: str
) -> None:
    (node / "needs-reload").write_text("no\n")
    (node / "substate").write_text(f"{substate}\n")
    # systemd has begun to start both; one of them with settings that are old by now.
    (node / RUNS.name).rename(node / f".{RUNS.name}")
    (node / STALE.name).rename(node / f".{STALE.name}")
    assert begin(deploy_commands.start_units()).split() == [STALE.name]
    assert (node / "done").read_text().splitlines() == [f"restart --no-block {STALE.name}"]


@pytest.mark.parametrize("substate", ["auto-restart", "failed", "dead"])
def test_one_that_waits_for_another_try_is_started_at_once(node: Path, substate: str) -> None:
    (node / "needs-reload").write_text("no\n")
    (node / "substate").write_text(f"{substate}\n")
    (node / RUNS.name).rename(node / f".{RUNS.name}")
    assert begin(deploy_commands.start_units()).split() == [RUNS.name, STALE.name]


def test_systemd_is_told_of_a_unit_that_an_interrupted_run_wrote(node: Path) -> None:
    (node / "needs-reload").write_text("yes\n")
    begin(deploy_commands.start_units())
    assert (node / "done").read_text().splitlines() == ["daemon-reload", f"restart --no-block {STALE.name}"]


def test_looking_at_what_would_be_restarted_restarts_nothing(node: Path) -> None:
    assert begin(deploy_commands.would_restart()).split() == [STALE.name]
    assert not (node / "done").exists()
