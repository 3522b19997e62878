"""What of a lab's cluster is well."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from bootstrap.clients.etcd import EtcdClient
from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.tunnel import api_at, etcd_at, load_clients
from bootstrap.connect.ssh import opener
from bootstrap.engine.connections import Connections
from bootstrap.engine.pool import asking
from bootstrap.errors import ClusterupError
from bootstrap.inventory.load import load_inventory
from bootstrap.inventory.model import Inventory
from bootstrap.lab.saves.saved import Health
from bootstrap.protocol.nodes import is_ready
from bootstrap.state.cluster import ClusterState, state_to_look_at
from bootstrap.state.credentials import OperatorKeys, operator_keys
from bootstrap.system_errors import as_error

Say = Callable[[str], None]
T = TypeVar("T")

# What a restore waits for at most until all is well: emulated machines on a busy host. Seconds.
TIMEOUT = 600.0
NEXT = "the machines go on: look with clusterup status, or restore it again"
SAY_EVERY = 20.0
LOOK_EVERY = 0.5


@dataclass(frozen=True, slots=True)
class Operator:
    """The ways into the machines of a lab, and into its cluster where there is one (`keys` is None otherwise)."""

    inventory: Inventory
    connections: Connections
    keys: OperatorKeys | None

    @property
    def servers(self) -> tuple[str, ...]:
        return tuple(node.name for node in self.inventory.servers)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(node.name for node in self.inventory.nodes)


@dataclass(frozen=True, slots=True)
class LabFindings:
    """What a look found: servers whose etcd member knows a leader, servers whose API server is ready, and Ready Nodes
    whose kubelet answers. `silent` says why of each that is missing."""

    led: frozenset[str] = frozenset()
    answering: frozenset[str] = frozenset()
    ready: frozenset[str] = frozenset()
    silent: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def operator_of(inventory: Path, lab: str) -> Iterator[Operator]:
    """The ways that the inventory and the kept keys of the lab's cluster give. Raises ClusterupError for an inventory
    or a state that can't be used."""
    loaded = load_inventory(inventory)
    state: ClusterState = state_to_look_at(lab)
    keys = operator_keys(state) if state.founded else None
    connections = Connections(opener(loaded, state, None))
    try:
        yield Operator(loaded, connections, keys)
    finally:
        connections.close_all()


def lab_health(operator: Operator) -> LabFindings:
    """What of the cluster is well, asked of every server at once. Nothing raises: what does not answer is not well."""
    keys = operator.keys
    if keys is None:
        return LabFindings()
    load_clients()
    silent: dict[str, str] = {}

    def etcd(name: str) -> bool:
        def ask() -> bool:
            with etcd_at(operator.connections.on(name), keys) as client:
                return _led(client)

        return _tried(ask, False, name, silent)

    def api(name: str) -> bool:
        def ask() -> bool:
            with api_at(operator.connections.on(name), keys) as client:
                return client.says_ready()

        return _tried(ask, False, name, silent)

    def nodes_by(name: str) -> frozenset[str]:
        def ask() -> frozenset[str]:
            with api_at(operator.connections.on(name), keys) as client:
                return ready_nodes(client)

        return _tried(ask, frozenset(), name, silent)

    servers = operator.servers
    with asking(2 * len(servers), "health") as pool:
        members, answers = pool.map(etcd, servers), pool.map(api, servers)
        led = frozenset(name for name, well in zip(servers, members, strict=True) if well)
        answering = [name for name, well in zip(servers, answers, strict=True) if well]
    # One of them is enough, and the others have enough to do.
    ready = nodes_by(answering[0]) if answering else frozenset()
    return LabFindings(led, frozenset(answering), ready, silent)


def ready_nodes(client: KubeClient) -> frozenset[str]:
    """The Ready Nodes whose kubelet answers now: what a Node says of itself may be old. Raises KubeError."""
    ready = [str(node["metadata"]["name"]) for node in client.list("Node") if is_ready(node)]
    return frozenset(name for name in ready if client.kubelet_says_healthy(name))


def _led(client: EtcdClient) -> bool:
    return client.status().leader != 0


def _tried(ask: Callable[[], T], otherwise: T, name: str, silent: dict[str, str]) -> T:
    try:
        return ask()
    except Exception as error:
        found = as_error(error, node=name, step="lab")
        silent[name] = found.got or found.problem
        return otherwise


def missing(wanted: Health, found: LabFindings) -> list[str]:
    """What of `wanted` is not well (again), for a person."""
    lacking = []
    if wanted.servers and not found.led >= set(wanted.servers):
        lacking.append(f"a leader of etcd on {_listed(set(wanted.servers) - found.led)}")
    if not found.answering >= set(wanted.servers):
        lacking.append(f"the API server on {_listed(set(wanted.servers) - found.answering)}")
    if not found.ready >= set(wanted.nodes):
        lacking.append(f"Ready of {_listed(set(wanted.nodes) - found.ready)}")
    return lacking


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))


def wait_until_well(operator: Operator, wanted: Health, *, say: Say, timeout: float = TIMEOUT) -> None:
    """Return when all is well again that was. Raises ClusterupError that says what is not after `timeout` seconds."""
    end, told = time.monotonic() + timeout, time.monotonic()
    while lacking := missing(wanted, found := lab_health(operator)):
        if time.monotonic() > end:
            raise ClusterupError(
                f"the cluster is not well {timeout:.0f} s after its machines went on",
                step="lab restore",
                tried="wait for " + "; ".join(lacking),
                got="; ".join(f"{name}: {why}" for name, why in sorted(found.silent.items())) or "not yet",
                hint=NEXT,
            )
        if time.monotonic() - told > SAY_EVERY:
            told = time.monotonic()
            say(f"waiting for {'; '.join(lacking)}")
        time.sleep(LOOK_EVERY)
