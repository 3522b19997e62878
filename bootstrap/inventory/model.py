"""The inventory: what a person writes down about a cluster. Everything not written has a default here.

Shapes stand here; what a single value may be is in `fields`, `values`, `hosts`, `public_keys` and `flags`, what needs
two places of the file at once (duplicate names, an even number of servers) in `rules`, reading the file with positions
in `load`.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from bootstrap.constants.objects import CONTROL_PLANE
from bootstrap.inventory import values
from bootstrap.inventory.dns import AnyDns, Dns
from bootstrap.inventory.fields import (
    Address,
    AuthorizedKey,
    CardAddress,
    CertificateName,
    ClusterName,
    ConsoleUrl,
    DiskName,
    Domain,
    Endpoint,
    HostKey,
    LabelKey,
    LabelValue,
    Mac,
    Module,
    Network,
    NodeAddress,
    NodeName,
    OneLine,
    OwnPath,
    Port,
    RoutedNetwork,
    Seconds,
    SecretSource,
    SshHost,
    Sysctl,
    TaintKey,
    TaintText,
    TimeServer,
    User,
    YesOrNo,
)
from bootstrap.inventory.manifests import AnyManifests
from bootstrap.inventory.serial_target import Flow, LineEnding, Parity
from bootstrap.inventory.software import Kubernetes, OperatingSystem, Strict
from bootstrap.inventory.volumes import AnyVolumes, NodeVolumes, Volumes


class Role(StrEnum):
    SERVER = "server"
    AGENT = "agent"


class Processor(StrEnum):
    AMD64 = "amd64"
    ARM64 = "arm64"


class Cluster(Strict):
    """What is true of the cluster as a whole."""

    name: ClusterName = Field(
        description="Name of the cluster; also of its kubeconfig context.", examples=["my-cluster"]
    )
    endpoint: Endpoint | None = Field(
        default=None,
        examples=["api.example.org:6443", "192.0.2.10"],
        description="host or host:port under which operators reach the API servers (a load balancer, a virtual "
        "IP, a DNS name). Default: the first server's address, port 6443.",
    )
    pod_cidr: Network = Field(
        default=IPv4Network("10.244.0.0/16"), description="Addresses of pods.", examples=["10.244.0.0/16"]
    )
    service_cidr: Network = Field(
        default=IPv4Network("10.96.0.0/16"), description="Addresses of services.", examples=["10.96.0.0/16"]
    )
    domain: Domain = Field(default="cluster.local", description="DNS domain of services.", examples=["cluster.local"])
    cni: Literal["bridge", "none"] = Field(
        default="bridge",
        description="bridge: the built-in pod network. none: a manifest of yours brings one.",
    )
    allow_even_servers: YesOrNo = Field(
        default=False,
        description="Accept an even number of servers. It tolerates no more failures than one server fewer, and "
        "needs one more vote for each decision.",
    )
    certificate_names: tuple[CertificateName, ...] = Field(
        default=(),
        description="More host names or IP addresses for the API server's certificate.",
        examples=[["api.example.org", "192.0.2.10"]],
    )


class Jump(Strict):
    """A host on the way."""

    host: SshHost = Field(description="Host name or address.", examples=["gate.example.org"])
    port: Port | None = Field(default=None, description="Port of its SSH server. Default: 22.", examples=[22])
    user: User | None = Field(
        default=None, description="User to log in as. Default: the operator's own name.", examples=["admin"]
    )
    key: OwnPath | None = Field(default=None, description="Path to a private key.", examples=["~/.ssh/id_ed25519"])
    passphrase_from: SecretSource | None = Field(
        default=None,
        description="Where its key's passphrase is: env:NAME, file:PATH or prompt. Default: where the node's is, for "
        "the same key.",
        examples=["prompt", "env:PASSWORD"],
    )
    host_key: HostKey | None = Field(
        default=None,
        description="Its host key: 'ssh-ed25519 AAAA...'. Default: known_hosts, else asked once, then pinned.",
        examples=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEZlZWRiZWVmRmVlZGJlZWZGZWVkYmVlZkZlZWRiZWVm"],
    )


class Ssh(Strict):
    """The way in over SSH. What is not written comes from ~/.ssh/config, then from the defaults."""

    host: SshHost | None = Field(
        default=None, description="Host name or address. Default: the node's address.", examples=["192.0.2.11"]
    )
    port: Port | None = Field(default=None, description="Port. Default: 22.", examples=[22])
    user: User | None = Field(
        default=None,
        examples=["root"],
        description="User of a bare machine; not root: sudo is used. Default: root, as on installed nodes.",
    )
    key: OwnPath | None = Field(
        default=None,
        description="Path to a private key. Default: the agent, ~/.ssh/id_*.",
        examples=["~/.ssh/id_ed25519"],
    )
    password_from: SecretSource | None = Field(
        default=None,
        description="Where the password is: env:NAME, file:PATH or prompt. Never the password itself.",
        examples=["prompt", "env:PASSWORD"],
    )
    passphrase_from: SecretSource | None = Field(
        default=None,
        description="Where the key's passphrase is: env:NAME, file:PATH or prompt.",
        examples=["prompt", "env:PASSWORD"],
    )
    jump: tuple[Jump, ...] = Field(default=(), description="Hosts on the way, the nearest first.")
    host_key: HostKey | None = Field(
        default=None,
        examples=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEZlZWRiZWVmRmVlZGJlZWZGZWVkYmVlZkZlZWRiZWVm"],
        description="The live environment's host key: 'ssh-ed25519 AAAA...'. Default: known_hosts, else asked once, "
        "then pinned.",
    )
    use_config: YesOrNo = Field(default=True, description="Honour ~/.ssh/config.")
    silence: Seconds = Field(
        default=15,
        examples=[15],
        ge=1,
        le=600,
        description="Seconds that it may say nothing while a connection, a greeting or a log-in is waited for.",
    )


class Console(Strict):
    """The way in over a serial console. Speed, parity, bits and flow are set on devices and rfc2217 ports only."""

    url: ConsoleUrl | None = Field(
        default=None,
        examples=["/dev/ttyUSB0", "telnet://192.0.2.250:7004"],
        description="/dev/ttyUSB0, socket://HOST:PORT, rfc2217://HOST:PORT, telnet://HOST[:PORT], unix:/PATH, "
        "command: PROGRAM ARGUMENTS (its input and output are the console), or pipe: for one that wants no terminal. "
        "One for each node. Default: no console.",
    )
    baud: Annotated[int, Field(strict=True)] = Field(
        default=115200, ge=50, le=4_000_000, description="Bits a second.", examples=[115200]
    )
    data_bits: Literal[7, 8] = Field(default=8, description="7 or 8.")
    parity: Parity = Field(default=Parity.NONE, description="none, even or odd.")
    stop_bits: Literal[1, 2] = Field(default=1, description="1 or 2.")
    flow: Flow = Field(default=Flow.NONE, description="Flow control: none, rtscts (two wires) or xonxoff.")
    line_ending: LineEnding = Field(default=LineEnding.CR, description="What Enter sends: cr, lf or crlf.")
    user: User = Field(
        default="root", description="User to log in as; not root: sudo or su is used.", examples=["root"]
    )
    password_from: SecretSource | None = Field(
        default=None,
        description="Where the user's password is: env:NAME, file:PATH or prompt. Never the password itself.",
        examples=["prompt", "env:PASSWORD"],
    )
    root_password_from: SecretSource | None = Field(
        default=None,
        description="Where root's password is, for su where the user has no sudo: env:NAME, file:PATH or prompt.",
        examples=["prompt", "env:PASSWORD"],
    )
    only: YesOrNo = Field(
        default=False,
        description="The node has no network yet: everything goes over the console, the disk image too. It is "
        "installed and configured, and joins when an apply reaches it over SSH.",
    )
    silence: Seconds = Field(
        default=120,
        examples=[120],
        ge=1,
        le=3600,
        description="Seconds that the line may say nothing while a login prompt or a shell is waited for.",
    )


class Taint(Strict):
    """What keeps pods away from a node."""

    key: TaintKey = Field(
        description="As in node-role.kubernetes.io/master.", examples=["node-role.kubernetes.io/master"]
    )
    value: LabelValue = Field(default="", description="May be empty.", examples=["yes"])
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = Field(description="What it does to pods.")


AnyTaint = Annotated[Taint, BeforeValidator(values.taint, json_schema_input_type=TaintText | Taint)]
SERVER_TAINT = Taint(key=CONTROL_PLANE, effect="NoSchedule")


class CardRoute(Strict):
    """A network that is reached through a router in the card's own network."""

    to: RoutedNetwork = Field(description="Network behind the router.", examples=["198.51.100.0/24"])
    via: Address = Field(description="Address of the router, in the card's own network.", examples=["192.0.2.254"])


class Interface(Strict):
    """A network card of the installed system, named by its hardware address."""

    mac: Mac = Field(description="Hardware address, as in 52:54:00:12:34:56.", examples=["52:54:00:12:34:56"])
    addresses: tuple[CardAddress, ...] = Field(
        default=(), description="Static addresses with prefix length.", examples=[["192.0.2.11/24"]]
    )
    dhcp: YesOrNo = Field(default=False, description="Take an address by DHCP as well.")
    gateway: Address | None = Field(default=None, description="Default route.", examples=["192.0.2.1"])
    routes: tuple[CardRoute, ...] = Field(
        default=(),
        description="Networks that other routers than the gateway lead to.",
        examples=[[{"to": "198.51.100.0/24", "via": "192.0.2.254"}]],
    )
    dns: tuple[Address, ...] = Field(default=(), description="Name servers.", examples=[["192.0.2.1"]])


class NodeSettings(Strict):
    """What `defaults` may set for all nodes, and a node for itself."""

    ssh: Ssh = Field(default=Ssh(), description="The way in.")
    console: Console = Field(default=Console(), description="The serial console, where there is one.")
    architecture: Processor | None = Field(
        default=None, examples=["arm64"], description="Its processor, where the bundle is for several: amd64 or arm64."
    )
    disk: DiskName | None = Field(
        default=None,
        examples=["/dev/sda", "serial:S5H9NS0N"],
        description="The disk to install to: /dev/vda, /dev/disk/by-id/..., or serial:SERIAL. It is erased.",
    )
    volumes: NodeVolumes = Field(default=NodeVolumes(), description="Where it keeps the volumes of its pods.")
    labels: dict[LabelKey, LabelValue] = Field(
        default_factory=dict,
        description="Labels of the Node.",
        examples=[{"example.org/disk": "fast"}],
        json_schema_extra={"propertyNames": {"pattern": f"^{values.LABEL_KEY}$"}},
    )
    taints: tuple[AnyTaint, ...] = Field(
        default=(),
        description="Taints of the Node, each as text or as a mapping with key, value and effect.",
        examples=[["gpu=true:NoSchedule"]],
    )
    schedulable: YesOrNo | None = Field(
        default=None,
        description="Whether a server runs pods that do not tolerate its role. Default: only where the inventory has "
        "no agents.",
    )
    ssh_authorized_keys: tuple[AuthorizedKey, ...] = Field(
        default=(),
        description="More public keys that may log in as root. clusterup's own is always there.",
        examples=[["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEZlZWRiZWVmRmVlZGJlZWZGZWVkYmVlZkZlZWRiZWVm me@laptop"]],
    )
    ntp: tuple[TimeServer, ...] = Field(
        default=(), description="Time servers.", examples=[["ntp.example.org", "192.0.2.1"]]
    )
    dns: tuple[Address, ...] = Field(default=(), description="Name servers of all cards.", examples=[["192.0.2.1"]])
    sysctls: dict[Sysctl, OneLine] = Field(
        default_factory=dict,
        description="Kernel settings, as in sysctl.d.",
        json_schema_extra={"propertyNames": {"pattern": f"^{values.SYSCTL}$"}},
        examples=[{"vm.max_map_count": "262144"}],
    )
    modules: tuple[Module, ...] = Field(default=(), description="Kernel modules to load at boot.", examples=[["nbd"]])


class Node(NodeSettings):
    """A machine."""

    name: NodeName = Field(
        description="Name of the node, its host name and its Node object.", examples=["server-1", "agent-1"]
    )
    role: Role = Field(default=Role.AGENT, description="server or agent.")
    address: NodeAddress = Field(description="The address other nodes reach it at.", examples=["192.0.2.11"])
    interfaces: tuple[Interface, ...] = Field(
        default=(),
        description="Network cards. Default: DHCP on every wired card, as the live environment does.",
    )


class Inventory(Strict):
    """A whole inventory. Sections of a person's own, which begin with x-, are left out before it is read."""

    model_config = ConfigDict(json_schema_extra={"patternProperties": {"^x-": {}}})

    cluster: Cluster = Field(description="What is true of the cluster as a whole.")
    kubernetes: Kubernetes = Field(default=Kubernetes(), description="Where Kubernetes comes from.")
    os: OperatingSystem = Field(default=OperatingSystem(), description="The micro OS.")
    dns: AnyDns = Field(default=Dns(), description="Names of the cluster and of others, as pods look them up.")
    volumes: AnyVolumes = Field(default=Volumes(), description="Volumes of pods, on the nodes' own disks.")
    manifests: tuple[AnyManifests, ...] = Field(
        default=(),
        description="Objects to bring into the cluster, and to keep there: files, folders, addresses; one after the "
        "other.",
        examples=[["apps/"]],
    )
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
