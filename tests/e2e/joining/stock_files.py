"""What a person sets up on a stock Debian before `kubeadm join`: network, containerd, a CNI bridge, the kubelet's unit.

Source: https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/install-kubeadm/
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from bootstrap.lab.spec import PREFIX_LENGTH, LabMachine
from bootstrap.pki.sshkeys import SshKey

# The units that Kubernetes' own packages bring.
KUBELET_SERVICE = """\
[Unit]
Description=kubelet: The Kubernetes Node Agent
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
"""
KUBEADM_CONF = """\
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
"""  # noqa: E501 -- a line that systemd reads
CONTAINERD = """\
version = 2

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "/etc/cni/net.d"
"""
# A range of its own: what the cluster gives it is known only after it has joined.
CNI = {
    "cniVersion": "0.4.0",
    "name": "own",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.99.0.0/24"}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}


@dataclass(frozen=True)
class StockFile:
    """A file by its path below the machine's root."""

    path: str
    content: bytes
    mode: int = 0o644


def stock_files(machine: LabMachine, host_key: SshKey, key: SshKey) -> list[StockFile]:
    """All that is not Debian's packages' own. `key` lets root in."""
    name, address = machine.name, machine.address
    texts = {
        "etc/hostname": f"{name}\n",
        "etc/hosts": f"127.0.0.1 localhost\n{address} {name}\n",
        "etc/resolv.conf": "",
        "etc/machine-id": "",
        "etc/fstab": "",
        "etc/modules-load.d/kubernetes.conf": "overlay\nbr_netfilter\n",
        "etc/sysctl.d/kubernetes.conf": "net.ipv4.ip_forward=1\nnet.bridge.bridge-nf-call-iptables=1\n",
        "etc/systemd/network/10-private.network": _card(
            machine.private_mac, f"[Network]\nAddress={address}/{PREFIX_LENGTH}\n"
        ),
        # The way in from the test; nothing leads out of it.
        "etc/systemd/network/20-access.network": _card(
            machine.access_mac, "[Network]\nDHCP=ipv4\n\n[DHCPv4]\nUseRoutes=no\nUseGateway=no\n"
        ),
        "etc/containerd/config.toml": CONTAINERD,
        "etc/cni/net.d/10-own.conflist": json.dumps(CNI, indent=1),
        "etc/systemd/system/kubelet.service": KUBELET_SERVICE,
        "etc/systemd/system/kubelet.service.d/10-kubeadm.conf": KUBEADM_CONF,
        "etc/default/kubelet": f"KUBELET_EXTRA_ARGS=--node-ip={address}\n",
        "etc/ssh/ssh_host_ed25519_key.pub": f"{host_key.public}\n",
    }
    return [
        *(StockFile(path, text.encode()) for path, text in texts.items()),
        StockFile("etc/ssh/ssh_host_ed25519_key", host_key.private, 0o600),
        StockFile("root/.ssh/authorized_keys", f"{key.public}\n".encode(), 0o600),
    ]


def _card(mac: str, text: str) -> str:
    return f"[Match]\nMACAddress={mac}\n\n{text}"
