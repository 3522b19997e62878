"""A bare machine that is in nobody's inventory joins a cluster with a token: from a machine that has no key of the
cluster, from a stick with nobody watching, and by a command on itself."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from bootstrap.steps.clean_commands import clean
from bootstrap.steps.install_commands import reboot
from tests.e2e.by_token import Entry, boots_a_stick, entry, from_here, made
from tests.e2e.labs import Labs
from tests.e2e.operator import Operator
from tests.e2e.pods import IMAGE, logs
from tests.e2e.shapes import AGENT, ONE_SERVER, SERVER
from tests.helpers.daemons import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.every_time]
JOINS = AGENT


@pytest.fixture(scope="module")
def small(labs: Labs) -> tuple[Operator, Entry]:
    """A cluster of one server, and how the bare machine is reached that is in its lab and not in its inventory."""
    operator = labs.begins(ONE_SERVER, __name__)
    operator.clusterup("lab", "up", "--name", operator.name, "--inventory", "machines.yaml")
    nodes: list[Entry] = yaml.safe_load((operator.folder / "machines.yaml").read_bytes())["nodes"]
    return operator, next(node for node in nodes if node["name"] == JOINS)


@pytest.fixture(scope="module")
def watcher(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Somebody who makes a stick, and nothing else."""
    folder = tmp_path_factory.mktemp("watcher")
    return Operator(folder, folder / "state")


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
    assert f"{JOINS} is a Ready node of the cluster {operator.name}" in said
    assert operator.readiness() == {SERVER: "True", JOINS: "True"}
    secret = token["token"].partition(".")[2]
    for file in [path for path in other.state.rglob("*") if path.is_file()]:
        assert secret not in file.read_text(errors="replace"), file
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


def test_a_pod_runs_on_it_and_its_log_comes_through_its_kubelet(small: tuple[Operator, Entry]) -> None:
    operator, _ = small
    overrides = {"apiVersion": "v1", "spec": {"nodeName": JOINS, "tolerations": [{"operator": "Exists"}]}}
    operator.kubectl(
        "run", "says", f"--image={IMAGE}", "--restart=Never", f"--overrides={json.dumps(overrides)}",
        "--command", "--", "sh", "-c", "echo here it is",
    )  # fmt: skip
    wait_for(lambda: "here it is" in logs(operator, "says"), "the pod's log", 600)


def test_the_operator_s_inventory_knows_nothing_of_it_and_nothing_is_to_do(small: tuple[Operator, Entry]) -> None:
    assert "nothing to do" in small[0].clusterup("plan", "lab.yaml")


def test_a_bare_machine_with_a_stick_installs_itself_and_joins_with_nobody_watching(
    small: tuple[Operator, Entry], watcher: Operator
) -> None:
    operator, way = small
    operator.clusterup("lab", "stop", JOINS, "--name", operator.name)
    operator.kubectl("delete", "node", JOINS)
    boots_a_stick(operator, way, made(operator, "--node", JOINS, "--uses", "1"), watcher)
    wait_for(lambda: operator.readiness().get(JOINS) == "True", "its Node to be Ready", 1800)
    wait_for(lambda: JOINS not in operator.clusterup("token", "list", "lab.yaml", "-o", "json"), "the token's end", 120)


def test_the_same_machine_joins_again_by_a_command_on_itself(small: tuple[Operator, Entry], watcher: Operator) -> None:
    operator, way = small
    boot = on_the_node(watcher, way, "cat /proc/sys/kernel/random/boot_id")
    on_the_node(watcher, way, clean().script)
    left = on_the_node(watcher, way, "find /var/lib/clusterup /var/lib/kubelet -type f; echo looked")
    assert left.strip() == "looked"
    operator.kubectl("delete", "node", JOINS)
    on_the_node(watcher, way, reboot().script)
    wait_for(lambda: on_the_node(watcher, way, "cat /proc/sys/kernel/random/boot_id") not in ("", boot), "a boot", 600)
    # A token that is used up goes, and the cluster is asked once more with it.
    token = made(operator, "--uses", "2")
    server = f"https://{entry(operator, SERVER)['address']}:6443"
    said = on_the_node(
        watcher, way, f"clusterup-node join {server} --token - --ca-cert-hash {token['ca_cert_hash']} 2>&1",
        typed=f"{token['token']}\n",
    )  # fmt: skip
    assert f"{JOINS} is a Ready node of {operator.name}" in said
    assert operator.readiness()[JOINS] == "True"
    refused = on_the_node(
        watcher, way, f"clusterup-node join {server} --token - --ca-cert-hash sha256:{'0' * 64} 2>&1",
        typed=f"{token['token']}\n",
    )  # fmt: skip
    assert "is not the cluster that is pinned" in refused


def on_the_node(operator: Operator, way: Entry, script: str, typed: str = "") -> str:
    """What a command says that somebody types on the machine, "" where it can't be reached."""
    kept = operator.state / "clusterup" / "clusters" / ONE_SERVER.lab
    key = (kept / "nodes" / JOINS / "ssh_host_ed25519_key.pub").read_text().strip()
    known = operator.folder / "known_hosts"
    known.write_text(f"[127.0.0.1]:{way['ssh']['port']} {key}\n")
    options = ("UserKnownHostsFile", str(known)), ("ConnectTimeout", "20")
    given = [word for name, value in options for word in ("-o", f"{name}={value}")]
    done = subprocess.run(
        ["ssh", "-F", "none", *given, "-i", str(kept / "joiner" / "id_ed25519"), "-p", str(way["ssh"]["port"]),
         "root@127.0.0.1", script],
        input=typed, capture_output=True, text=True, check=False,
    )  # fmt: skip
    sys.stdout.write(done.stdout[-2000:] + done.stderr[-2000:])
    return done.stdout


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
