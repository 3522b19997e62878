"""The command that stops units on a node that leaves, in front of a systemctl that notes what it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootstrap.phases.deploy.commands import stop_units
from bootstrap.transport.errors import CommandFailed
from tests.helpers.local_transport import LocalTransport

# Units that are not there can't be stopped; the one called stuck goes on running.
SYSTEMCTL = """\
#!/bin/sh
echo "$@" >>"$NOTES"
case "$*" in
"stop missing.service") exit 5 ;;
"--quiet is-active stuck.service") exit 0 ;;
*is-active*) exit 3 ;;
esac
"""


@pytest.fixture
def node(tmp_path: Path) -> LocalTransport:
    program = tmp_path / "systemctl"
    program.write_text(SYSTEMCTL)
    program.chmod(0o755)
    return LocalTransport(shell=("env", f"PATH={tmp_path}:/usr/bin:/bin", f"NOTES={tmp_path}/notes", "sh"))


def test_they_are_stopped_in_order_and_one_that_is_not_there_counts_as_stopped(
    node: LocalTransport, tmp_path: Path
) -> None:
    node.check(stop_units(("one.service", "missing.service", "two.service")))
    asked = [line for line in (tmp_path / "notes").read_text().splitlines() if line.startswith("stop")]
    assert asked == ["stop one.service", "stop missing.service", "stop two.service"]


def test_one_that_goes_on_running_is_an_error_that_names_it(node: LocalTransport) -> None:
    with pytest.raises(CommandFailed) as failed:
        node.check(stop_units(("stuck.service", "two.service")))
    assert failed.value.got == "stuck.service does not stop\n"
