"""A bare machine joins a cluster from a stick with no one watching, and by a command on itself; both of a cluster that
takes signed bundles alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap.image.finding import bundles_dir
from bootstrap.phases.install.commands import reboot
from bootstrap.phases.reset.commands import clean
from tests.e2e.by_token import Entry, boots_a_stick, entry, made, stick_of
from tests.e2e.operator import Operator
from tests.e2e.shapes import AGENT, ONE_SERVER, SERVER
from tests.helpers.daemons import wait_for

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def watcher(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Somebody who makes a stick, and nothing else."""
    folder = tmp_path_factory.mktemp("watcher")
    return Operator(folder, folder / "state")


@pytest.fixture(scope="module")
def signed(small: tuple[Operator, Entry]) -> Path:
    """A copy of the bundle that the cluster is made of, signed with the key that its inventory trusts from now on."""
    operator, _ = small
    folder, key = operator.folder / "signed", operator.folder / "signer"
    shutil.copytree((bundles_dir() / "current").resolve(), folder)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    trusted = key.with_suffix(".pub").read_text().strip()
    operator.edits(lambda content: content.setdefault("os", {}).update(bundle=str(folder), trusted_keys=[trusted]))
    return folder


def test_what_nobody_signed_is_refused_where_keys_are_trusted(
    small: tuple[Operator, Entry], signed: Path, watcher: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, way = small
    applied = operator.runs("apply", "lab.yaml", "--yes")
    assert applied.returncode == 0
    assert "the bundle is not signed" in applied.stderr
    # Of no node: what is left of the tokens for the agent is looked at below.
    token = made(operator, "--ttl", "10m")
    monkeypatch.setitem(os.environ, "CLUSTERUP_TOKEN", token["token"])
    refused = watcher.runs(*stick_of(operator, way, token))
    assert refused.returncode != 0
    assert "the bundle is not signed" in refused.stderr
    operator.clusterup("bundle", "sign", str(signed), "--key", str(operator.folder / "signer"))
    operator.clusterup("apply", "lab.yaml", "--yes")
    assert "nothing to do" in operator.clusterup("plan", "lab.yaml")


def test_a_bare_machine_with_a_stick_installs_itself_and_joins_with_no_one_watching(
    small: tuple[Operator, Entry], watcher: Operator, signed: Path
) -> None:
    operator, way = small
    operator.clusterup("lab", "stop", AGENT, "--name", operator.name)
    token = made(operator, "--node", AGENT, "--uses", "1")
    boots_a_stick(operator, way, token, watcher, "--bundle", str(signed))
    wait_for(lambda: operator.readiness().get(AGENT) == "True", "its Node to be Ready", 1800)
    wait_for(lambda: AGENT not in operator.clusterup("token", "list", "lab.yaml", "-o", "json"), "the token's end", 120)


def test_the_same_machine_joins_again_by_a_command_on_itself(small: tuple[Operator, Entry], watcher: Operator) -> None:
    operator, way = small
    boot = on_the_node(watcher, way, "cat /proc/sys/kernel/random/boot_id")
    on_the_node(watcher, way, clean().script)
    left = on_the_node(watcher, way, "find /var/lib/clusterup /var/lib/kubelet -type f; echo looked")
    assert left.strip() == "looked"
    operator.kubectl("delete", "node", AGENT)
    on_the_node(watcher, way, reboot().script)
    wait_for(lambda: on_the_node(watcher, way, "cat /proc/sys/kernel/random/boot_id") not in ("", boot), "a boot", 600)
    # A token that is used up goes, and the cluster is asked once more with it.
    token = made(operator, "--uses", "2")
    server = f"https://{entry(operator, SERVER)['address']}:6443"
    said = on_the_node(
        watcher, way, f"clusterup-node join {server} --token - --ca-cert-hash {token['ca_cert_hash']} 2>&1",
        typed=f"{token['token']}\n",
    )  # fmt: skip
    assert "is signed with SHA256:" in said
    assert f"{AGENT} is a Ready node of {operator.name}" in said
    assert operator.readiness()[AGENT] == "True"
    refused = on_the_node(
        watcher, way, f"clusterup-node join {server} --token - --ca-cert-hash sha256:{'0' * 64} 2>&1",
        typed=f"{token['token']}\n",
    )  # fmt: skip
    assert "is not the cluster that is pinned" in refused


def on_the_node(operator: Operator, way: Entry, script: str, typed: str = "") -> str:
    """What a command says that somebody types on the machine, "" where it can't be reached."""
    kept = operator.state / "clusterup" / "clusters" / ONE_SERVER.lab
    key = (kept / "nodes" / AGENT / "ssh_host_ed25519_key.pub").read_text().strip()
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
