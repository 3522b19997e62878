"""A stock Debian machine joins with plain `kubeadm join` and becomes Ready."""

from __future__ import annotations

import json

import pytest

from bootstrap.lab.spec import NETWORK
from bootstrap.lab.store import load_lab
from tests.e2e.by_token import made
from tests.e2e.joining.stock_debian import ADDRESS, NAME, stock_debian
from tests.e2e.operator import Operator
from tests.helpers.daemons import wait_for

pytestmark = pytest.mark.e2e
# Of the first server, on the switch.
API = f"{NETWORK}.11:6443"
STARTED = READY = 900.0


def test_a_stock_debian_joins_with_plain_kubeadm_and_becomes_ready(server_and_agent: Operator) -> None:
    grown = server_and_agent
    lab = load_lab(grown.name)
    assert lab is not None
    with stock_debian(lab) as stranger:
        try:
            wait_for(stranger.answers, "the machine's root shell", STARTED)
            token = made(grown)
            joined = stranger.runs(
                # Debian has no crictl. All else that kubeadm looks for has to be there.
                f"kubeadm join {API} --token {token['token']} "
                f"--discovery-token-ca-cert-hash {token['ca_cert_hash']} "
                "--ignore-preflight-errors=FileExisting-crictl",
                seconds=READY,
            )
            assert joined.returncode == 0
            assert "This node has joined the cluster" in joined.stdout
            wait_for(lambda: grown.readiness().get(NAME) == "True", "a Ready Node", READY)
        finally:
            stranger.runs("journalctl --no-pager -n 60 -u kubelet -u containerd")
        node = json.loads(grown.kubectl("get", "node", NAME, "-o", "json"))
        assert {"type": "InternalIP", "address": ADDRESS} in node["status"]["addresses"]
        assert "nothing to do" in grown.clusterup("plan", "lab.yaml")
    grown.kubectl("delete", "node", NAME)
