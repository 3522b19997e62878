"""Joining one machine with a token: what the cluster says, what the person says, and what comes of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.kubernetes_errors import KubeForbidden, KubeUnauthorized
from bootstrap.constants.objects import JOIN_MANIFEST, JOIN_MANIFEST_KEY, JOIN_MANIFEST_NAMESPACE
from bootstrap.constants.paths import KUBELET_REGISTRATION
from bootstrap.errors import ClusterupError, Refused
from bootstrap.facts.stretches import stretches
from bootstrap.failures import in_own_words
from bootstrap.image.bundle import Bundle
from bootstrap.image.disk.configuration import EtcFile
from bootstrap.image.signing import check_signed
from bootstrap.inventory.model import Cluster, Interface, Inventory, Node, Role, Ssh, Taint
from bootstrap.inventory.software import OperatingSystem
from bootstrap.inventory.words import problems_in_words
from bootstrap.joining.discovery import Discovered
from bootstrap.phases.install.install import Installation
from bootstrap.protocol.join_manifest import AgentDescription, parse_description, units_of
from bootstrap.protocol.token import Token
from bootstrap.spec.node import Desired, image_files
from bootstrap.spec.node_services import registration
from bootstrap.spec.os_config import node_etc
from bootstrap.state.cluster import INSTALLED, ClusterState
from bootstrap.state.joiner import state_for_joining
from bootstrap.tokens.server import server_secret_name

if TYPE_CHECKING:
    from ipaddress import IPv4Address

STEP = "join"
# How long a server may say nothing, and how long a whole answer may take.
ANSWER_SECONDS, WHOLE_SECONDS = 30.0, 90.0
# A slow machine, or a server that restarts, may need more than one question.
PATIENCE_SECONDS = 90.0


@dataclass(frozen=True)
class JoiningMachine:
    """What the person says of the machine that joins; `labels` and `taints` beside those of the cluster's defaults,
    `interfaces` the network cards of the installed system where DHCP does not do for all of them."""

    name: str
    address: IPv4Address
    ssh: Ssh
    disk: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Taint] = ()
    interfaces: tuple[Interface, ...] = ()


@dataclass(frozen=True)
class Joining:
    """A machine and the cluster that it joins. `inventory` has nothing but the machine in it."""

    cluster: Discovered
    token: Token
    description: AgentDescription
    state: ClusterState
    bundle: Bundle
    inventory: Inventory
    desired: Desired

    @property
    def node(self) -> Node:
        return self.desired.node

    @contextmanager
    def api(self) -> Iterator[KubeClient]:
        """A client of the API that shows the token."""
        with token_client(self.cluster, self.token) as client:
            yield client


@contextmanager
def token_client(cluster: Discovered, token: Token) -> Iterator[KubeClient]:
    """A client of the API that shows a token, at the server that was asked to join."""
    server = cluster.server
    with KubeClient(
        server.host,
        server.port,
        ca_pem=cluster.ca_pem,
        client=None,
        token=token,
        server_name=server.host,
        timeout=ANSWER_SECONDS,
        whole=WHOLE_SECONDS,
        patience=PATIENCE_SECONDS,
    ) as client:
        yield client


def described_agent(cluster: Discovered, token: Token) -> AgentDescription:
    """What the cluster says of its agents to somebody with the token. Raises ClusterupError."""
    tried = f"read the ConfigMap {JOIN_MANIFEST_NAMESPACE}/{JOIN_MANIFEST} at {cluster.server}"
    try:
        with token_client(cluster, token) as api:
            found = api.get("ConfigMap", JOIN_MANIFEST, JOIN_MANIFEST_NAMESPACE)
    except KubeUnauthorized as error:
        raise Refused(
            "the cluster does not let the token in",
            step=STEP,
            tried=tried,
            got=error.got,
            hint="it has just expired, was revoked or used up, or is none to log in with: `clusterup token create` "
            "makes one",
        ) from None
    except KubeForbidden as error:
        if _opens_handover(cluster, token):
            raise _for_a_server(token) from None
        raise _not_told(tried, error.got or "403") from None
    if found is None:
        raise _not_told(tried, "there is none")
    with in_own_words("join"):
        return parse_description(str((found.get("data") or {}).get(JOIN_MANIFEST_KEY)))


def _opens_handover(cluster: Discovered, token: Token) -> bool:
    """Whether it is a server's token, which opens the cluster's keys to its holder and nothing else."""
    try:
        with token_client(cluster, token) as api:
            return api.get("Secret", server_secret_name(token.id), JOIN_MANIFEST_NAMESPACE) is not None
    except KubeForbidden:
        return False


def _for_a_server(token: Token) -> Refused:
    return Refused(
        "the token is a server's, and this joins agents",
        step=STEP,
        tried=f"find out what token {token.id} is good for",
        got="it opens the cluster's handover file, and was not used up",
        hint="a server joins with it from any machine: `clusterup join`; for an agent: `clusterup token create`. "
        "Revoke it if no one needs it: whoever has it has the cluster's keys",
    )


def _not_told(tried: str, got: str) -> Refused:
    return Refused(
        "the cluster does not tell this token what its agents are made of",
        step=STEP,
        tried=tried,
        got=got,
        hint="its operator has to run `clusterup apply` once with a version that joins with tokens; a token that a "
        "person made has to be of kubeadm's group (system:bootstrappers:kubeadm:default-node-token). A server's token "
        "that was used up in the last ten seconds is told this as well",
    )


def joining_of(
    cluster: Discovered, token: Token, description: AgentDescription, machine: JoiningMachine, bundle: Bundle
) -> Joining:
    """What comes of it all; keys of the state that are not there yet are made, nothing else is touched.

    Raises Refused where the bundle is not what the cluster's nodes are made of, or the state here another cluster's.
    """
    bundle = bundle.with_payload(description.payload.sha256)
    check_bundle(description, bundle)
    check_signed(bundle, description.trusted_keys, list(bundle.for_nodes.artifacts))
    state = state_for_joining(description.cluster, description.cluster_id)
    node, system = _node(description, machine), _system(description)
    inventory = Inventory(
        cluster=Cluster(name=description.cluster),
        os=system,
        nodes=(node,),
    )
    return Joining(cluster, token, description, state, bundle, inventory, _desired(description, node, bundle))


def check_bundle(description: AgentDescription, bundle: Bundle) -> None:
    """Raise Refused where the bundle holds another payload or other images than the cluster's nodes have."""
    payload = bundle.artifact("payload")
    here = {path: image.sha256 for path, image in image_files(bundle.images).items()}
    there = {image.path: image.sha256 for image in description.images}
    if payload.sha256 == description.payload.sha256 and here == there:
        return
    other = sorted(path for path in {*here, *there} if here.get(path) != there.get(path))
    theirs = _versions(description.payload.components)
    raise Refused(
        "the bundle here is not the one that the cluster's nodes are made of",
        step=STEP,
        tried=f"compare {bundle.directory} with what the cluster says",
        got=f"here {_versions(payload.components)} (payload {payload.sha256[:12]}), there {theirs} (payload "
        f"{description.payload.sha256[:12]})" + (f"; images that differ: {', '.join(other)}" if other else ""),
        hint="copy the bundle's folder from the cluster's operator and name it with --bundle",
    )


def installation_for(joining: Joining) -> Installation:
    """What is installed on the machine: this machine's key is let in beside the cluster's."""
    state, description, node = joining.state, joining.description, joining.node
    servers = tuple(Node(name=name, address=address, role=Role.SERVER) for name, address in description.servers.items())
    everybody = joining.inventory.model_copy(update={"nodes": (*servers, node)})

    def etc(name: str) -> list[EtcFile]:
        return node_etc(
            everybody,
            node,
            cluster_id=description.cluster_id,
            identity=state.identity(name),
            authorized_keys=[*description.authorized_keys, f"{state.ssh_key.public} clusterup"],
        )

    return Installation(
        joining.bundle, etc, state.identity, lambda _, key: _note(state, node.name, key), lambda _: None
    )


def keep_identity(joining: Joining) -> None:
    """Keep the key that the machine will show, and the one that it will let in. Raises Refused, OSError."""
    _ = joining.state.ssh_key, joining.state.identity(joining.node.name)
    joining.state.keep_made()


def note_joining(joining: Joining) -> None:
    """Remember the machine as one that is being installed: it will show the host key that was made for it here."""
    name = joining.node.name
    _note(joining.state, name, joining.state.identity(name).host_key.public)


def _note(state: ClusterState, name: str, key: str) -> None:
    state.host_keys.pin(name, INSTALLED, key)
    state.note_installed(name)


def _system(description: AgentDescription) -> OperatingSystem:
    from pydantic import ValidationError

    try:
        return OperatingSystem(trusted_keys=description.trusted_keys)
    except ValidationError as error:
        raise ClusterupError(
            "the keys that sign this cluster's bundles are not as this version of clusterup knows them",
            step=STEP,
            tried="read what the cluster says of its agents",
            got="; ".join(problems_in_words(error, ())),
            hint="join with the version of clusterup that last applied the cluster, or a newer one",
        ) from None


def _node(description: AgentDescription, machine: JoiningMachine) -> Node:
    from pydantic import ValidationError

    try:
        node = Node.model_validate(
            {**description.settings, "name": machine.name, "address": machine.address, "taints": description.taints}
        )
    except ValidationError as error:
        raise ClusterupError(
            "what the cluster says of its agents is not understood by this version",
            step=STEP,
            got="; ".join(problems_in_words(error, ("nodes", 0))[:3]),
            hint="join with the version of clusterup that last applied the cluster",
        ) from None
    given = {
        "ssh": machine.ssh,
        "disk": machine.disk,
        "labels": {**description.labels, **machine.labels},
        "taints": (*node.taints, *machine.taints),
        "interfaces": machine.interfaces,
    }
    return node.model_copy(update=given)


def _desired(description: AgentDescription, node: Node, bundle: Bundle) -> Desired:
    own = {KUBELET_REGISTRATION: registration(node)}
    files = tuple(own.get(file.path, file) for file in description.files_of(node.name, str(node.address)))
    return Desired(
        node,
        runtime=units_of(description.runtime, files),
        etcd=(),
        control_plane=(),
        kubelet=units_of(description.kubelet, files),
        files=files,
        payload=bundle.artifact("payload"),
        images=bundle.images,
        stretches=stretches(bundle.artifact("os")),
    )


def _versions(components: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(components.items())) or "no versions"
