"""What every node runs: the container runtime, the balancer in front of all API servers, the kubelet and kube-proxy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address

from bootstrap.constants.paths import (
    BOOTSTRAP_CONF,
    KUBELET_CERTIFICATE,
    KUBELET_CONF,
    KUBELET_REGISTRATION,
    KUBELET_SETTINGS,
    KUBELET_SETTINGS_SCRIPT,
    KUBELET_YAML,
    KUBERNETES_CA,
    PROXY_CONF,
    PROXY_YAML,
)
from bootstrap.constants.ports import API_PORT, LOCAL_API_PORT
from bootstrap.inventory.model import Node
from bootstrap.machine.render import render
from bootstrap.machine.units import Unit, flags
from bootstrap.protocol.files import NodeFile
from bootstrap.spec.dns import NAME as DNS
from bootstrap.spec.dns import answers
from bootstrap.spec.topology import Shape

PAUSE = "clusterup.local/pause:1"
KUBELET = "kubelet.service"
# What uses the kubelet's certificate would only start and fail until the kubelet has joined.
UNTIL_JOINED = f"/bin/sh -c 'until [ -s {KUBELET_CERTIFICATE} ]; do sleep 1; done'"
# The kubelet speaks CRI alone from 1.24 on, and the flag that chose it is gone with 1.27.
RUNTIME_FLAG_GONE = 27
# The flag that says where the runtime listens is deprecated from then on; the setting exists.
RUNTIME_SETTING = 27
# kube-proxy's nftables mode is stable from then on.
NFTABLES = 33
# containerd takes several folders of CNI plugins from then on, and calls the setting for one deprecated.
CNI_FOLDERS = (2, 1)
RUNTIME_SOCKET = "unix:///run/containerd/containerd.sock"
# What /etc/resolv.conf itself names is systemd-resolved on this machine, whom no pod reaches. A node that has name
# servers for all its cards in the inventory has them there.
LEARNED_RESOLVERS = "/run/systemd/resolve/resolv.conf"


@dataclass(frozen=True, slots=True)
class Reserved:
    """What pods don't get: of the processor, of memory (a twentieth of it is added), and of process numbers."""

    cpu: str
    mebibytes: int
    pids: int


# Measured on a node without pods of anybody: 700 MB in use on a server, a third of that on an agent.
SERVER_RESERVED = Reserved("200m", 700, 2000)
AGENT_RESERVED = Reserved("100m", 250, 1000)
OWN_DOMAINS = ("kubernetes.io", "k8s.io")


def containerd_unit(shape: Shape) -> Unit:
    """containerd with systemd's cgroups and the bundle's own pause image."""
    config = containerd_config(shape.versions.containerd)
    return Unit(
        name="containerd.service",
        description="containerd, the container runtime",
        kind="notify",
        argv=("/usr/bin/containerd", "--config", config.path),
        files=(config,),
        after=("network.target", "systemd-sysext.service"),
        before_start=("-/sbin/modprobe overlay",),
        settings=(
            "Delegate=yes",
            "KillMode=process",
            "LimitNOFILE=1048576",
            "TasksMax=infinity",
            "OOMScoreAdjust=-999",
        ),
    )


@cache
def containerd_config(version: tuple[int, int]) -> NodeFile:
    """What a containerd of that version (major, minor) reads: the format of its settings changed with 2.0.

    Source: https://github.com/containerd/containerd/blob/main/docs/cri/config.md
    """
    template = "containerd-1" if version < (2, 0) else "containerd-2"
    content = render(f"kubernetes/{template}.toml.j2", pause=PAUSE, folders=version >= CNI_FOLDERS)
    return NodeFile("/etc/containerd/config.toml", content)


def images_unit(_: Shape) -> Unit:
    """The import of the images that came with the bundle: a node needs no registry to come up."""
    script = (
        "for image in /var/lib/clusterup/images/*.tar; do ctr --namespace k8s.io images import $image || exit 1; done; "
        f"ctr --namespace k8s.io images label {PAUSE} io.cri-containerd.pinned=pinned"
    )
    return Unit(
        name="clusterup-images.service",
        description="Container images of the bundle",
        kind="oneshot",
        argv=("/bin/sh", "-c", script),
        after=("containerd.service",),
        wants=("containerd.service",),
    )


def balancer_unit(shape: Shape, ca: NodeFile) -> Unit:
    """HAProxy on 127.0.0.1:6444 in front of every API server: no node depends on one server."""
    config = _balancer_config(tuple(shape.servers.items()))
    return Unit(
        name="clusterup-balancer.service",
        description="Load balancer in front of the API servers",
        kind="notify",
        argv=("/usr/sbin/haproxy", "-Ws", "-f", config.path),
        files=(config, ca),
        after=("network-online.target", "systemd-sysext.service"),
        wants=("network-online.target",),
        settings=("KillMode=mixed",),
    )


# The same on every node.
@cache
def _balancer_config(servers: tuple[tuple[str, IPv4Address], ...]) -> NodeFile:
    content = render(
        "kubernetes/haproxy.cfg.j2", port=LOCAL_API_PORT, api_port=API_PORT, servers=dict(servers), ca=KUBERNETES_CA
    )
    return NodeFile("/etc/clusterup/haproxy.cfg", content)


def kubelet_unit(shape: Shape, ca: NodeFile) -> Unit:
    """The kubelet; its client certificate comes from TLS bootstrap and is renewed by itself."""
    in_file = shape.versions.minor >= RUNTIME_SETTING
    config = kubelet_config(
        shape.dns_service,
        shape.inventory.cluster.domain,
        RUNTIME_SOCKET if in_file else None,
        None if shape.node.dns else LEARNED_RESOLVERS,
    )
    settings = _kept_from_pods(SERVER_RESERVED if shape.server else AGENT_RESERVED)
    given = {
        "bootstrap-kubeconfig": BOOTSTRAP_CONF,
        "cert-dir": "/var/lib/kubelet/pki",
        "config": KUBELET_SETTINGS,
        "hostname-override": shape.node.name,
        "kubeconfig": KUBELET_CONF,
        "node-ip": str(shape.node.address),
    }
    if not in_file:
        given |= {"container-runtime-endpoint": RUNTIME_SOCKET}
    names = (DNS,) if answers(shape.inventory, shape.versions) else ()
    if shape.versions.minor < RUNTIME_FLAG_GONE:
        given |= {"container-runtime": "remote", "pod-infra-container-image": PAUSE, "network-plugin": "cni"}
    return Unit(
        name=KUBELET,
        description="Kubernetes' agent on this node",
        kind="notify",
        argv=("/usr/bin/kubelet", *flags(given, shape.inventory.kubernetes.kubelet_args)),
        files=(config, settings, ca),
        before_start=(f"/bin/sh {KUBELET_SETTINGS_SCRIPT}",),
        # What a pod asks first of all is the address of a name.
        after=("containerd.service", "clusterup-images.service", "clusterup-balancer.service", *names),
        wants=("containerd.service", "clusterup-images.service", "clusterup-balancer.service", *names),
        settings=("Delegate=yes", "OOMScoreAdjust=-999", f"EnvironmentFile={KUBELET_REGISTRATION}"),
        argv_from=("REGISTRATION",),
        unwatched=(registration(shape.node),),
    )


@cache
def kubelet_config(dns: IPv4Address, domain: str, runtime: str | None, resolvers: str | None) -> NodeFile:
    """The settings of a kubelet, the same for many; `dns` is where the cluster's DNS answers, `runtime` where the
    container runtime listens, None where a flag says so, `resolvers` the resolv.conf(5) of pods that ask for the
    node's own name servers, None for the node's own file."""
    content = render(
        "kubernetes/kubelet.yaml.j2", ca=KUBERNETES_CA, dns=dns, domain=domain, runtime=runtime, resolvers=resolvers
    )
    return NodeFile(KUBELET_YAML, content)


@cache
def _kept_from_pods(reserved: Reserved) -> NodeFile:
    """The script that adds to the kubelet's settings what depends on the machine.

    Source: https://kubernetes.io/docs/tasks/administer-cluster/reserve-compute-resources/
    """
    content = render(
        "kubernetes/kubelet-settings.sh.j2",
        base=reserved.mebibytes,
        cpu=reserved.cpu,
        pids=reserved.pids,
        settings=KUBELET_YAML,
        to=KUBELET_SETTINGS,
    )
    return NodeFile(KUBELET_SETTINGS_SCRIPT, content)


def registration(node: Node) -> NodeFile:
    """The labels and taints that a Node has from its first moment on, so that no pod comes before a taint. A kubelet
    may not give itself labels of Kubernetes' own domains.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
    """
    labels = {key: value for key, value in node.labels.items() if not of_kubernetes(key)}
    taints = [f"{taint.key}={taint.value}:{taint.effect}" for taint in node.taints]
    words = [f"--node-labels={','.join(f'{key}={value}' for key, value in sorted(labels.items()))}"] if labels else []
    words += [f"--register-with-taints={','.join(taints)}"] if taints else []
    return NodeFile(KUBELET_REGISTRATION, f"REGISTRATION={' '.join(words)}\n".encode())


def of_kubernetes(label: str) -> bool:
    """Whether a label's key is in one of Kubernetes' own domains."""
    domain = label.partition("/")[0] if "/" in label else ""
    return domain in OWN_DOMAINS or domain.endswith(tuple(f".{own}" for own in OWN_DOMAINS))


def proxy_unit(shape: Shape, ca: NodeFile) -> Unit:
    """kube-proxy, as the node that it runs on: it uses the kubelet's client certificate."""
    config = NodeFile(
        PROXY_YAML,
        render(
            "kubernetes/kube-proxy.yaml.j2",
            node=shape.node.name,
            pods=shape.pod_cidr,
            kubeconfig=PROXY_CONF,
            mode="nftables" if shape.versions.minor >= NFTABLES else "iptables",
        ),
    )
    kubeconfig = _proxy_kubeconfig()
    return Unit(
        name="kube-proxy.service",
        description="Kubernetes' services on this node",
        argv=("/usr/bin/kube-proxy", f"--config={PROXY_YAML}"),
        files=(config, kubeconfig, ca),
        after=(KUBELET,),
        wants=(KUBELET,),
        before_start=(UNTIL_JOINED,),
    )


@cache
def _proxy_kubeconfig() -> NodeFile:
    content = render("kubernetes/node.conf.j2", ca=KUBERNETES_CA, port=LOCAL_API_PORT, certificate=KUBELET_CERTIFICATE)
    return NodeFile(PROXY_CONF, content, 0o600)
