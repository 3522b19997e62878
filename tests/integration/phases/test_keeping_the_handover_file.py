"""The command that keeps the handover file, run by a real shell."""

from __future__ import annotations

import dataclasses
import stat
from pathlib import Path

import pytest

from bootstrap.errors import ClusterupError
from bootstrap.operations.intent import Intent
from bootstrap.phases.handover import handover_actions
from bootstrap.protocol.files import NodeFile
from bootstrap.transport.base import Command, Result
from tests.helpers.local_transport import LocalTransport
from tests.helpers.worlds import intent
from tests.integration.phases.test_install_on_a_file import FileContext


@pytest.fixture
def lab(tmp_path: Path) -> Intent:
    return intent(tmp_path)


def keep(lab: Intent, file: NodeFile, context: FileContext) -> None:
    (action,) = handover_actions(dataclasses.replace(lab.nodes["s1"], handover=file), lab.state)
    action.apply(context)


def test_it_takes_the_old_one_s_place_for_root_alone_and_is_remembered(lab: Intent, tmp_path: Path) -> None:
    place = tmp_path / "handover.json"
    place.write_text("older")
    place.chmod(0o644)
    file = NodeFile(str(place), b"newer", 0o600)
    keep(lab, file, FileContext())
    assert place.read_bytes() == b"newer"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("handover*")] == ["handover.json"]
    assert lab.state.handovers == [file.sha256]


def test_what_arrives_cut_short_leaves_the_old_one(lab: Intent, tmp_path: Path) -> None:
    place = tmp_path / "handover.json"
    place.write_text("older")

    class Cut(LocalTransport):
        def check(self, command: Command, *, stdin: bytes = b"", timeout: float = 60.0) -> Result:
            return super().check(command, stdin=stdin[:-1], timeout=timeout)

    with pytest.raises(ClusterupError) as failed:
        keep(lab, NodeFile(str(place), b"newer", 0o600), FileContext(Cut()))
    assert "what arrived is not what was sent" in str(failed.value)
    assert place.read_text() == "older"


def test_the_newest_of_many_are_remembered(lab: Intent) -> None:
    for number in range(150):
        lab.state.note_handover(f"{number:064x}")
    lab.state.note_handover(f"{100:064x}")
    assert len(lab.state.handovers) == 100
    assert lab.state.handovers[-2:] == [f"{149:064x}", f"{100:064x}"]
    assert f"{49:064x}" not in lab.state.handovers
