"""clusterup support: one file for whoever looks for a fault, also when nothing of the cluster answers."""

from __future__ import annotations

import stat
import tarfile
from pathlib import Path

import pytest

from bootstrap.operations.reading import intent_of_file
from bootstrap.support.node import node_parts
from bootstrap.support.secrets import known_secrets
from tests.helpers.local_transport import LocalTransport
from tests.integration.cli.test_plan_and_apply import Operator
from tests.integration.cli.test_plan_and_apply import operator as of_the_lab

__all__ = ["of_the_lab"]


@pytest.fixture
def operator(of_the_lab: Operator, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """Somebody whose cluster is made, and whose journal holds what it should not."""
    of_the_lab.inventory()
    monkeypatch.setenv("XDG_STATE_HOME", str(of_the_lab.folder / "state"))
    state = intent_of_file(of_the_lab.folder / "lab.yaml", None).state
    state.keep_made()
    leaked = [file.read_text() for file in sorted(state.folder.rglob("*")) if file.is_file()]
    state.journal.write_text("\n".join(leaked))
    return of_the_lab


def test_none_of_the_cluster_s_secrets_is_in_it(operator: Operator) -> None:
    state = operator.folder / "state/clusterup/clusters/lab"
    secrets = known_secrets(state)
    assert len(secrets) > 20
    done = operator.types("support", "lab.yaml", "--out", "report.tar.gz")
    assert done.returncode == 0, done.stderr
    with tarfile.open(operator.folder / "report.tar.gz") as archive:
        files = {entry.name: archive.extractfile(entry).read().decode() for entry in archive}  # type: ignore[union-attr]
    journal = next(text for name, text in files.items() if name.endswith("state/journal.jsonl"))
    assert "[removed: " in journal
    found = {what for text in files.values() for secret, what in secrets.items() if secret in text}
    assert found == set()


def test_it_is_written_though_no_node_answers_and_says_so(operator: Operator) -> None:
    done = operator.types("support", "lab.yaml", "--out", "report.tar.gz")
    assert done.returncode == 0, done.stderr
    file = operator.folder / "report.tar.gz"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with tarfile.open(file) as archive:
        names = {entry.name.partition("/")[2] for entry in archive}
    assert {"README.txt", "clusterup.txt", "inventory.yaml", "status.json", "state/files.txt", "api/error.txt"} <= names
    assert any(name.startswith("nodes/") and name.endswith("/error.txt") for name in names)


def test_a_place_that_can_t_be_written_is_said_in_words(operator: Operator) -> None:
    done = operator.types("support", "lab.yaml", "--out", "/nowhere/report.tar.gz")
    assert done.returncode == 2
    assert "/nowhere/report.tar.gz can't be written" in done.stderr


def test_a_machine_says_how_it_is_whatever_of_the_programs_it_has(tmp_path: Path) -> None:
    parts = node_parts(LocalTransport("here"))
    assert "Linux" in parts["system.txt"]
    assert {
        "disks.txt",
        "network.txt",
        "units.txt",
        "kernel.log",
        "containers.txt",
        "volumes.txt",
        "files.txt",
    } <= parts.keys()
