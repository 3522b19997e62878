"""A bare machine that is in nobody's inventory joins a cluster with a token, from a machine that has no key of it.

Not part of every run until it was seen to its end on machines: `scripts/test tests/e2e/later_join.py`. It makes a lab
of its own, with one server and one machine that joins.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from bootstrap.steps.clean_commands import clean
from bootstrap.steps.install_commands import reboot
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
    cards = [word for card in cards_of(way) for word in ("--interface", card)]
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
    assert states(operator) == {SERVER: "True", JOINS: "True"}
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


def test_a_bare_machine_with_a_stick_installs_itself_and_joins_with_nobody_watching(
    small: tuple[Operator, dict[str, Any]], watcher: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, way = small
    monkeypatch.setitem(os.environ, "CLUSTERUP_TOKEN", made(operator, "--node", JOINS, "--uses", "1")["token"])
    operator.clusterup("lab", "stop", JOINS, "--name", operator.name)
    operator.kubectl("delete", "node", JOINS)
    folder = operator.state / "clusterup" / "labs" / operator.name / JOINS
    size = (folder / "disk.raw").stat().st_size
    with (folder / "disk.raw").open("wb") as bare:
        bare.truncate(size)
    typed = command(operator, way, made(operator))
    server = [word for name in ("--server", "--ca-cert-hash") for word in (name, typed[typed.index(name) + 1])]
    cards = [word for card in cards_of(way) for word in ("--interface", card)]
    own = ("--address", way["address"], "--disk", way["disk"], "--out", str(folder / "stick.raw"))
    assert "installs agent-1 to" in watcher.clusterup("stick", JOINS, *server, *own, *cards)
    operator.runs("lab", "up", "--name", operator.name, "--inventory", "lab.yaml")
    wait_for(lambda: JOINS in names(operator), "its Node", 1500)
    wait_for(lambda: states(operator)[JOINS] == "True", "it to be Ready", 600)
    wait_for(lambda: operator.clusterup("token", "list", "lab.yaml", "-o", "json").count(JOINS) == 0, "the token", 120)


def test_the_same_machine_joins_again_by_a_command_on_itself(
    small: tuple[Operator, dict[str, Any]], watcher: Operator
) -> None:
    operator, way = small
    boot = on_the_node(watcher, way, "cat /proc/sys/kernel/random/boot_id")
    on_the_node(watcher, way, clean().script)
    assert (
        on_the_node(watcher, way, "ls /var/lib/clusterup /var/lib/kubelet 2>/dev/null || echo gone").strip() == "gone"
    )
    operator.kubectl("delete", "node", JOINS)
    on_the_node(watcher, way, reboot().script)
    wait_for(lambda: on_the_node(watcher, way, "cat /proc/sys/kernel/random/boot_id") not in ("", boot), "a boot", 600)
    token = made(operator)
    server = f"https://{address_of(operator, SERVER)}:6443"
    said = on_the_node(
        watcher, way, f"clusterup-node join {server} --token - --ca-cert-hash {token['ca_cert_hash']} 2>&1",
        typed=f"{token['token']}\n",
    )  # fmt: skip
    assert f"{JOINS} is a Ready node of join" in said
    assert states(operator)[JOINS] == "True"
    refused = on_the_node(
        watcher, way, f"clusterup-node join {server} --token - --ca-cert-hash sha256:{'0' * 64} 2>&1",
        typed=f"{token['token']}\n",
    )  # fmt: skip
    assert "is not the cluster that is pinned" in refused


@pytest.fixture(scope="module")
def watcher(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Somebody who makes a stick, and nothing else."""
    folder = tmp_path_factory.mktemp("watcher")
    return Operator(folder, folder / "state")


def on_the_node(operator: Operator, way: dict[str, Any], script: str, typed: str = "") -> str:
    """What a command says that somebody types on the machine, "" where it can't be reached."""
    kept = operator.state / "clusterup" / "clusters" / "join"
    key = (kept / "nodes" / JOINS / "ssh_host_ed25519_key.pub").read_text().strip()
    known = operator.folder / "known_hosts"
    known.write_text(f"[127.0.0.1]:{way['ssh']['port']} {key}\n")
    options = (
        "-o",
        f"UserKnownHostsFile={known}",
        "-o",
        "ConnectTimeout=20",
        "-i",
        str(kept / "joiner" / "id_ed25519"),
    )
    done = subprocess.run(
        ["ssh", "-F", "none", *options, "-p", str(way["ssh"]["port"]), "root@127.0.0.1", script],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )
    sys.stdout.write(done.stdout[-2000:] + done.stderr[-2000:])
    return done.stdout


def cards_of(way: dict[str, Any]) -> list[str]:
    return [f"{card['mac']}={'dhcp' if card.get('dhcp') else card['addresses'][0]}" for card in way["interfaces"]]


def address_of(operator: Operator, name: str) -> str:
    (node,) = [node for node in nodes_of(operator) if node["name"] == name]
    return str(node["address"])


def names(operator: Operator) -> set[str]:
    return {node["metadata"]["name"] for node in nodes(operator)}


def states(operator: Operator) -> dict[str, str]:
    return {node["metadata"]["name"]: ready(node) for node in nodes(operator)}


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
