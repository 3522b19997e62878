"""What belongs to a release of Kubernetes, as the projects release it themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bootstrap.image.upstream.places import GITHUB, KUBERNETES

_PLUGINS = (
    *("bandwidth", "bridge", "dhcp", "dummy", "firewall", "host-device", "host-local", "ipvlan", "loopback"),
    *("macvlan", "portmap", "ptp", "sbr", "static", "tap", "tuning", "vlan", "vrf"),
)


@dataclass(frozen=True, slots=True)
class Component:
    """`repository` is the project's on GitHub, None for Kubernetes, which has servers of its own. `file` and `sums` are
    names of the release's file and of the list with its digest, `programs` maps members of the file to where they go
    below /usr; a file that is the program itself is the member "". In all of them, {release} and {architecture} stand
    for what they say."""

    name: str
    file: str
    sums: str
    programs: Mapping[str, str]
    repository: str | None = None

    def place(self, file: str, release: str, architecture: str) -> str:
        """Where a file of a release is (see `bootstrap.image.upstream.places`)."""
        name = named(file, release, architecture)
        if self.repository is None:
            return f"{KUBERNETES}/v{release}/{name}"
        return f"{GITHUB}/{self.repository}/releases/download/v{release}/{name}"


def named(text: str, release: str, architecture: str) -> str:
    """The text with release and architecture in it."""
    return text.replace("{release}", release).replace("{architecture}", architecture)


CNI_PLUGINS = Component(
    "cni-plugins",
    "cni-plugins-linux-{architecture}-v{release}.tgz",
    "cni-plugins-linux-{architecture}-v{release}.tgz.sha256",
    {f"./{plugin}": f"lib/cni/{plugin}" for plugin in _PLUGINS},
    "containernetworking/plugins",
)
CONTAINERD = Component(
    "containerd",
    "containerd-{release}-linux-{architecture}.tar.gz",
    "containerd-{release}-linux-{architecture}.tar.gz.sha256sum",
    {f"bin/{program}": f"bin/{program}" for program in ("containerd", "containerd-shim-runc-v2", "ctr")},
    "containerd/containerd",
)
CRICTL = Component(
    "crictl",
    "crictl-v{release}-linux-{architecture}.tar.gz",
    "crictl-v{release}-linux-{architecture}.tar.gz.sha256",
    {"crictl": "bin/crictl"},
    "kubernetes-sigs/cri-tools",
)
ETCD = Component(
    "etcd",
    "etcd-v{release}-linux-{architecture}.tar.gz",
    "SHA256SUMS",
    {
        f"etcd-v{{release}}-linux-{{architecture}}/{program}": f"bin/{program}"
        for program in ("etcd", "etcdctl", "etcdutl")
    },
    "etcd-io/etcd",
)
RUNC = Component("runc", "runc.{architecture}", "runc.sha256sum", {"": "sbin/runc"}, "opencontainers/runc")
COMPONENTS = {component.name: component for component in (CNI_PLUGINS, CONTAINERD, CRICTL, ETCD, RUNC)}
