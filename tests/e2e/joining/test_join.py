"""A bare machine that is in no one's inventory joins a cluster with a token, by somebody who has no key of it."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.by_token import Entry, from_here, made
from tests.e2e.operator import Operator
from tests.e2e.pods import IMAGE, logs
from tests.e2e.shapes import AGENT, SERVER
from tests.helpers.daemons import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.every_time]


def test_a_bare_machine_joins_with_a_token_and_is_a_ready_node(
    small: tuple[Operator, Entry], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, way = small
    token = made(operator)
    folder = tmp_path_factory.mktemp("stranger")
    other = Operator(folder, folder / "state")
    monkeypatch.setitem(os.environ, "CLUSTERUP_TOKEN", token["token"])
    planned = other.runs(*from_here(operator, way, token), "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "install: write the micro OS" in planned.stdout
    began = time.monotonic()
    said = other.clusterup(*from_here(operator, way, token))
    sys.stdout.write(f"joined within {time.monotonic() - began:.0f} s, installation and boot included\n")
    assert f"{AGENT} is a Ready node of the cluster {operator.name}" in said
    assert operator.readiness() == {SERVER: "True", AGENT: "True"}
    secret = token["token"].partition(".")[2]
    for file in [path for path in other.state.rglob("*") if path.is_file()]:
        assert secret not in file.read_text(errors="replace"), file
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


def test_a_pod_runs_on_it_and_its_log_comes_through_its_kubelet(small: tuple[Operator, Entry]) -> None:
    operator, _ = small
    overrides = {"apiVersion": "v1", "spec": {"nodeName": AGENT, "tolerations": [{"operator": "Exists"}]}}
    operator.kubectl(
        "run", "says", f"--image={IMAGE}", "--restart=Never", f"--overrides={json.dumps(overrides)}",
        "--command", "--", "sh", "-c", "echo here it is",
    )  # fmt: skip
    wait_for(lambda: "here it is" in logs(operator, "says"), "the pod's log", 600)


def test_the_operator_s_inventory_knows_nothing_of_it_and_nothing_is_to_do(small: tuple[Operator, Entry]) -> None:
    assert "nothing to do" in small[0].clusterup("plan", "lab.yaml")


def test_a_revoked_token_joins_nothing(
    small: tuple[Operator, Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, way = small
    token = made(operator)
    operator.clusterup("token", "revoke", token["token"].partition(".")[0], "--inventory", "lab.yaml")
    monkeypatch.setitem(os.environ, "CLUSTERUP_TOKEN", token["token"])
    refused = Operator(tmp_path, tmp_path / "state").runs(*from_here(operator, way, token))
    assert refused.returncode == 4
    assert "the cluster knows no such token" in refused.stderr
