"""A stock Debian machine joins with plain `kubeadm join` and becomes Ready.

Not part of every run until it was seen to its end on machines: `scripts/test tests/e2e/later_stranger.py`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bootstrap.lab.spec import NETWORK
from bootstrap.lab.store import load_lab
from bootstrap.pki.token import Token, new_token, token_secret
from bootstrap.pki.x509 import public_key_pin
from tests.e2e.conftest import Operator
from tests.e2e.stock_debian import ADDRESS, NAME, stock_debian
from tests.helpers.daemons import wait_for

pytestmark = pytest.mark.e2e
# Of the first server, on the switch.
API = f"{NETWORK}.11:6443"
STARTED = READY = 900.0


def test_a_stock_debian_joins_with_plain_kubeadm_and_becomes_ready(cluster: Operator, tmp_path: Path) -> None:
    lab = load_lab(cluster.name)
    assert lab is not None
    pin = public_key_pin((cluster.kept / "pki" / "ca.crt").read_bytes())
    with stock_debian(lab) as stranger:
        try:
            wait_for(stranger.answers, "the machine's root shell", STARTED)
            token = token_of(cluster, tmp_path)
            joined = stranger.runs(
                # Debian has no crictl. All else that kubeadm looks for has to be there.
                f"kubeadm join {API} --token {token.reveal()} --discovery-token-ca-cert-hash {pin} "
                "--ignore-preflight-errors=FileExisting-crictl",
                seconds=READY,
            )
            assert joined.returncode == 0
            assert "This node has joined the cluster" in joined.stdout
            wait_for(lambda: is_ready(cluster), "a Ready Node", READY)
        finally:
            stranger.runs("journalctl --no-pager -n 60 -u kubelet -u containerd")
        node = json.loads(cluster.kubectl("get", "node", NAME, "-o", "json"))
        assert {"type": "InternalIP", "address": ADDRESS} in node["status"]["addresses"]
        assert "nothing to do" in cluster.clusterup("plan", "lab.yaml")
    cluster.kubectl("delete", "node", NAME)


def token_of(cluster: Operator, folder: Path) -> Token:
    """A token that the cluster knows and has signed its description for."""
    token = new_token()
    secret = folder / "token.json"
    secret.touch(mode=0o600)
    secret.write_text(
        json.dumps(token_secret(token, expires=datetime.now(UTC) + timedelta(hours=1), description="a stranger"))
    )
    cluster.kubectl("apply", "-f", str(secret))

    def signed() -> bool:
        found = cluster.asks("-n", "kube-public", "get", "configmap", "cluster-info", "-o", "json")
        return found.returncode == 0 and f"jws-kubeconfig-{token.id}" in json.loads(found.stdout)["data"]

    wait_for(signed, "the signature of cluster-info", 120)
    return token


def is_ready(cluster: Operator) -> bool:
    """Whether the cluster has a Node of the machine's name that is Ready."""
    found = cluster.asks("get", "node", NAME, "-o", "json")
    if found.returncode:
        return False
    conditions = json.loads(found.stdout)["status"]["conditions"]
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
