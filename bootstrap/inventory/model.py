"""The inventory: what a person writes down about a cluster. Everything not written has a default here.

Only shapes and single-value rules stand here; what needs two places of the file at once (duplicate names,
an even number of servers) is in `bootstrap.inventory.rules`, reading the file with positions in `load`.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bootstrap.transport.serial.target import URL_PATTERN, Flow, LineEnding, Parity, carrier_of


class Strict(BaseModel):
    """A section of the inventory: no unknown keys, immutable once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Role(StrEnum):
    SERVER = "server"
    AGENT = "agent"


# The role of a server in Kubernetes' words: a label of its Node, and the key of the taint that keeps pods away from it.
# Source: https://kubernetes.io/docs/reference/labels-annotations-taints/#node-role-kubernetes-io-control-plane-taint
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
LabelKey = Annotated[str, Field(pattern=rf"^([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_NAME}$")]
LabelValue = Annotated[str, Field(pattern=rf"^({_NAME})?$")]
Port = Annotated[int, Field(ge=1, le=65535)]


def _console_url(text: str) -> str:
    carrier_of(text)
    return text


ConsoleUrl = Annotated[str, AfterValidator(_console_url), Field(json_schema_extra={"pattern": URL_PATTERN})]


class Cluster(Strict):
    """What is true of the cluster as a whole."""

    name: DnsLabel = Field(description="Name of the cluster; also of its kubeconfig context.")
    endpoint: str | None = Field(
        default=None,
        description="host or host:port under which operators reach the API servers (a load balancer, a virtual "
        "IP, a DNS name). Default: the first server's address, port 6443.",
    )
    pod_cidr: IPv4Network = Field(default=IPv4Network("10.244.0.0/16"), description="Addresses of pods.")
    service_cidr: IPv4Network = Field(default=IPv4Network("10.96.0.0/16"), description="Addresses of services.")
    domain: str = Field(default="cluster.local", description="DNS domain of services.")
    cni: Literal["bridge", "none"] = Field(
        default="bridge",
        description="bridge: the built-in pod network. none: a manifest of yours brings one.",
    )
    allow_even_servers: bool = Field(
        default=False,
        description="Accept an even number of servers. It tolerates no more failures than one server fewer, and "
        "needs one more vote for each decision.",
    )
    certificate_names: tuple[str, ...] = Field(
        default=(), description="More host names or IP addresses for the API server's certificate."
    )


class Kubernetes(Strict):
    """Where Kubernetes comes from, and which version."""

    source: str = Field(
        default="debian",
        description="debian (built from Debian's source package), upstream (release tarballs), or a path.",
    )
    version: str | None = Field(default=None, description="For upstream: the release, as in 1.31.2.")
    api_server_args: dict[str, str] = Field(default_factory=dict, description="More flags of kube-apiserver.")
    controller_manager_args: dict[str, str] = Field(
        default_factory=dict, description="More flags of kube-controller-manager."
    )
    scheduler_args: dict[str, str] = Field(default_factory=dict, description="More flags of kube-scheduler.")
    etcd_args: dict[str, str] = Field(default_factory=dict, description="More flags of etcd.")
    kubelet_args: dict[str, str] = Field(default_factory=dict, description="More flags of the kubelet.")


class OperatingSystem(Strict):
    """The micro OS."""

    bundle: str | None = Field(
        default=None,
        description="Directory of the bundle to install. Default: the newest made by `clusterup image build`.",
    )


class Jump(Strict):
    """A host on the way."""

    host: str = Field(description="Host name or address.")
    port: Port = Field(default=22, description="Port of its SSH server.")
    user: str | None = Field(default=None, description="User to log in as. Default: the operator's own name.")
    key: str | None = Field(default=None, description="Path to a private key.")


class Ssh(Strict):
    """The way in over SSH. What is not written comes from ~/.ssh/config, then from the defaults."""

    host: str | None = Field(default=None, description="Host name or address. Default: the node's address.")
    port: Port | None = Field(default=None, description="Port. Default: 22.")
    user: str | None = Field(
        default=None,
        description="User of a bare machine; not root: sudo is used. Default: root, as on installed nodes.",
    )
    key: str | None = Field(default=None, description="Path to a private key. Default: the agent, ~/.ssh/id_*.")
    password_from: str | None = Field(
        default=None,
        description="Where the password is: env:NAME, file:PATH or prompt. Never the password itself.",
        pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|prompt)$",
    )
    passphrase_from: str | None = Field(
        default=None,
        description="Where the key's passphrase is: env:NAME, file:PATH or prompt.",
        pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|prompt)$",
    )
    jump: tuple[Jump, ...] = Field(default=(), description="Hosts on the way, the nearest first.")
    host_key: str | None = Field(
        default=None,
        description="The live environment's host key: 'ssh-ed25519 AAAA...'. Default: asked once, then pinned.",
    )
    use_config: bool = Field(default=True, description="Honour ~/.ssh/config.")
    silence: int = Field(
        default=15,
        ge=1,
        le=600,
        description="Seconds that it may say nothing while a connection, a greeting or a log-in is waited for.",
    )


class Console(Strict):
    """The way in over a serial console. Speed, parity, bits and flow are set on devices and rfc2217 ports only."""

    url: ConsoleUrl | None = Field(
        default=None,
        description="/dev/ttyUSB0, socket://HOST:PORT, rfc2217://HOST:PORT, telnet://HOST[:PORT], unix:/PATH, "
        "command: PROGRAM ARGUMENTS (its input and output are the console), or pipe: for one that wants no terminal. "
        "One for each node. Default: no console.",
    )
    baud: int = Field(default=115200, ge=50, le=4_000_000, description="Bits a second.")
    data_bits: Literal[7, 8] = Field(default=8, description="7 or 8.")
    parity: Parity = Field(default=Parity.NONE, description="none, even or odd.")
    stop_bits: Literal[1, 2] = Field(default=1, description="1 or 2.")
    flow: Flow = Field(default=Flow.NONE, description="Flow control: none, rtscts (two wires) or xonxoff.")
    line_ending: LineEnding = Field(default=LineEnding.CR, description="What Enter sends: cr, lf or crlf.")
    user: str = Field(default="root", description="User to log in as; not root: sudo or su is used.")
    password_from: str | None = Field(
        default=None,
        description="Where the user's password is: env:NAME, file:PATH or prompt. Never the password itself.",
        pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|prompt)$",
    )
    root_password_from: str | None = Field(
        default=None,
        description="Where root's password is, for su where the user has no sudo: env:NAME, file:PATH or prompt.",
        pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+|prompt)$",
    )
    only: bool = Field(
        default=False,
        description="The node has no network yet: everything goes over the console, the disk image too. It is "
        "installed and configured, and joins when an apply reaches it over SSH.",
    )
    silence: int = Field(
        default=120,
        ge=1,
        le=3600,
        description="Seconds that the line may say nothing while a login prompt or a shell is waited for.",
    )


class Taint(Strict):
    key: LabelKey = Field(description="As in node-role.kubernetes.io/master.")
    value: LabelValue = Field(default="", description="May be empty.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = Field(description="What it does to pods.")


SERVER_TAINT = Taint(key=CONTROL_PLANE, effect="NoSchedule")


class Interface(Strict):
    """A network card of the installed system, named by its hardware address."""

    mac: str = Field(
        description="Hardware address, as in 52:54:00:12:34:56.",
        pattern=r"^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$",
    )
    addresses: tuple[IPv4Interface, ...] = Field(default=(), description="Static addresses with prefix length.")
    dhcp: bool = Field(default=False, description="Take an address by DHCP as well.")
    gateway: IPv4Address | None = Field(default=None, description="Default route.")
    dns: tuple[IPv4Address, ...] = Field(default=(), description="Name servers.")


class NodeSettings(Strict):
    """What `defaults` may set for all nodes, and a node for itself."""

    ssh: Ssh = Field(default=Ssh(), description="The way in.")
    console: Console = Field(default=Console(), description="The serial console, where there is one.")
    disk: str | None = Field(
        default=None,
        description="The disk to install to: /dev/vda, /dev/disk/by-id/..., or serial:SERIAL. It is erased.",
    )
    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict, description="Labels of the Node.")
    taints: tuple[Taint, ...] = Field(default=(), description="Taints of the Node.")
    schedulable: bool | None = Field(
        default=None,
        description="Whether a server runs pods that do not tolerate its role. Default: only where the inventory has "
        "no agents.",
    )
    ssh_authorized_keys: tuple[str, ...] = Field(
        default=(), description="More public keys that may log in as root. clusterup's own is always there."
    )
    ntp: tuple[str, ...] = Field(default=(), description="Time servers.")
    dns: tuple[IPv4Address, ...] = Field(default=(), description="Name servers of all cards.")
    sysctls: dict[str, str] = Field(default_factory=dict, description="Kernel settings, as in sysctl.d.")
    modules: tuple[str, ...] = Field(default=(), description="Kernel modules to load at boot.")


class Node(NodeSettings):
    """A machine."""

    name: DnsLabel = Field(description="Name of the node, its host name and its Node object.")
    role: Role = Field(default=Role.AGENT, description="server or agent.")
    address: IPv4Address = Field(description="The address other nodes reach it at.")
    interfaces: tuple[Interface, ...] = Field(
        default=(),
        description="Network cards. Default: DHCP on every wired card, as the live environment does.",
    )


class Inventory(Strict):
    """A whole inventory."""

    cluster: Cluster = Field(description="What is true of the cluster as a whole.")
    kubernetes: Kubernetes = Field(default=Kubernetes(), description="Where Kubernetes comes from.")
    os: OperatingSystem = Field(default=OperatingSystem(), description="The micro OS.")
    defaults: NodeSettings = Field(
        default=NodeSettings(), description="For all nodes; a node's own value wins, labels are merged."
    )
    nodes: tuple[Node, ...] = Field(description="The machines.", min_length=1)

    @property
    def servers(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.role is Role.SERVER)

    @property
    def agents(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.role is Role.AGENT)

    @property
    def networked_servers(self) -> tuple[Node, ...]:
        """The servers that have a network: those that can be members of etcd."""
        return tuple(node for node in self.servers if not node.console.only)

    def runs_pods(self, node: Node) -> bool:
        """Whether pods that tolerate nothing are started on a node, as far as its role is concerned. On a server one
        with a hostPath reads every key of the cluster: where there are agents, they run pods."""
        if node.role is Role.AGENT or node.schedulable is not None:
            return node.schedulable is not False
        return not self.agents

    def taints_of(self, node: Node) -> tuple[Taint, ...]:
        """The taints of a node: its own, and the one of its role where it does not run pods. There is one of each key
        and effect, the node's own before the one of its role."""
        role = () if self.runs_pods(node) else (SERVER_TAINT,)
        return tuple({(taint.key, taint.effect): taint for taint in (*role, *node.taints)}.values())

    def node(self, name: str) -> Node:
        """The node of that name. Raises KeyError."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)
