"""A bare machine that is in nobody's inventory joins a cluster with a token, from a machine that has no key of it.

Not part of every run until it was seen to its end on machines: `scripts/test tests/e2e/later_join.py`. It makes a lab
of its own, with one server and one machine that joins.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.conftest import Operator, machines
from tests.e2e.test_cluster import IMAGE, logs
from tests.helpers.daemons import wait_for

pytestmark = pytest.mark.e2e
SERVER, JOINS = "server-1", "agent-1"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Operator, dict[str, Any]]]:
    """A cluster of one server, and how the machine is reached that is in its lab and not in its inventory."""
    folder = tmp_path_factory.mktemp("join")
    operator = Operator(folder, folder / "state", "join")
    with machines(operator, "--servers", "1", "--agents", "1"):
        (way,) = [node for node in nodes_of(operator) if node["name"] == JOINS]
        operator.edits(lambda content: content.update(nodes=[n for n in content["nodes"] if n["name"] != JOINS]))
        operator.clusterup("apply", "lab.yaml", "--yes")
        yield operator, way


def nodes_of(operator: Operator) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(operator.inventory.read_text())["nodes"]
    return found


def made(operator: Operator, *options: str) -> dict[str, Any]:
    """A new token, and what is printed with it."""
    found: dict[str, Any] = json.loads(operator.clusterup("token", "create", "lab.yaml", "-o", "json", *options))
    return found


def command(operator: Operator, way: dict[str, Any], token: dict[str, Any]) -> list[str]:
    """What somebody types who has the token; the token itself comes from the environment. A lab's servers are reached
    at its balancer's port."""
    endpoint = yaml.safe_load(operator.inventory.read_text())["cluster"]["endpoint"]
    ssh = way["ssh"]
    cards = []
    for card in way["interfaces"]:
        told = "dhcp" if card.get("dhcp") else card["addresses"][0]
        cards += ["--interface", f"{card['mac']}={told}"]
    return [
        *("join", f"{ssh['user']}@{ssh['host']}:{ssh['port']}", "--name", JOINS, "--address", way["address"]),
        *("--server", f"https://{endpoint}", "--ca-cert-hash", token["ca_cert_hash"], "--disk", way["disk"], *cards),
        *("--key", ssh["key"], "--host-key", ssh["host_key"], "--yes"),
    ]


def stranger(folder: Path, monkeypatch: pytest.MonkeyPatch, token: dict[str, Any]) -> Operator:
    """Somebody who has nothing of the cluster but a token."""
    monkeypatch.setitem(os.environ, "CLUSTERUP_TOKEN", token["token"])
    return Operator(folder, folder / "state")


def test_a_bare_machine_joins_with_a_token_and_is_a_ready_node(
    small: tuple[Operator, dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operator, way = small
    token = made(operator)
    other = stranger(tmp_path_factory.mktemp("stranger"), monkeypatch, token)
    typed = command(operator, way, token)
    planned = other.runs(*typed, "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert "install: write the micro OS" in planned.stdout
    began = time.monotonic()
    said = other.clusterup(*typed)
    sys.stdout.write(f"joined within {time.monotonic() - began:.0f} s, installation and boot included\n")
    assert f"{JOINS} is a Ready node of the cluster join" in said
    state = {node["metadata"]["name"]: ready(node) for node in nodes(operator)}
    assert state == {SERVER: "True", JOINS: "True"}
    secret = token["token"].partition(".")[2]
    for file in [path for path in other.state.rglob("*") if path.is_file()]:
        assert secret not in file.read_text(errors="replace"), file
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


def nodes(operator: Operator) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(operator.kubectl("get", "nodes", "-o", "json"))["items"]
    return found


def ready(node: dict[str, Any]) -> str:
    (status,) = [each["status"] for each in node["status"]["conditions"] if each["type"] == "Ready"]
    return str(status)


def test_a_pod_runs_on_it_and_its_log_comes_through_its_kubelet(small: tuple[Operator, dict[str, Any]]) -> None:
    operator, _ = small
    overrides = {"apiVersion": "v1", "spec": {"nodeName": JOINS, "tolerations": [{"operator": "Exists"}]}}
    operator.kubectl(
        "run", "says", f"--image={IMAGE}", "--restart=Never", f"--overrides={json.dumps(overrides)}",
        "--command", "--", "sh", "-c", "echo here it is",
    )  # fmt: skip
    wait_for(lambda: "here it is" in logs(operator, "says"), "the pod's log", 180)


def test_the_operator_s_inventory_knows_nothing_of_it_and_nothing_is_to_do(
    small: tuple[Operator, dict[str, Any]],
) -> None:
    assert "nothing to do" in small[0].clusterup("plan", "lab.yaml")


def test_a_revoked_token_joins_nothing(
    small: tuple[Operator, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, way = small
    token = made(operator)
    operator.clusterup("token", "revoke", token["token"].partition(".")[0], "--inventory", "lab.yaml")
    other = stranger(tmp_path, monkeypatch, token)
    refused = other.runs(*command(operator, way, token))
    assert refused.returncode == 4
    assert "the cluster knows no such token" in refused.stderr
