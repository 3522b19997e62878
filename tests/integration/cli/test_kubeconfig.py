"""clusterup kubeconfig: printed, written, merged. It reaches no node."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from tests.integration.cli.test_plan_and_apply import Operator, operator

__all__ = ["operator"]


def test_it_is_printed_with_everything_inside(operator: Operator) -> None:
    operator.inventory()
    printed = yaml.safe_load(operator.types("kubeconfig", "lab.yaml").stdout)
    assert printed["current-context"] == "lab"
    assert printed["clusters"][0]["cluster"]["server"] == "https://10.0.0.1:6443"
    assert set(printed["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}


def test_it_is_written_for_its_owner_alone_and_is_the_same_every_time(operator: Operator) -> None:
    operator.inventory()
    assert operator.types("kubeconfig", "lab.yaml", "-o", "mine").returncode == 0
    written = operator.folder / "mine"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert written.read_text() == operator.types("kubeconfig", "lab.yaml").stdout


def test_it_is_merged_into_the_one_that_kubectl_reads(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "contexts": [{"name": "work"}]}))
    monkeypatch.setenv("KUBECONFIG", str(own))
    operator.inventory()
    merged = operator.types("kubeconfig", "lab.yaml", "--merge")
    assert merged.returncode == 0
    assert merged.stdout == ""
    assert str(own) in merged.stderr
    found = yaml.safe_load(own.read_text())
    assert [context["name"] for context in found["contexts"]] == ["work", "lab"]
    assert found["current-context"] == "lab"
