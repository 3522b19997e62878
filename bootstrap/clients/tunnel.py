"""Ways to etcd and to the API servers: through the node that they run on, with the operator's own certificates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from bootstrap.clients.etcd import EtcdClient
from bootstrap.clients.etcd_messages import message_classes
from bootstrap.clients.kubernetes import KubeClient
from bootstrap.constants.ports import API_PORT, ETCD_CLIENT_PORT
from bootstrap.engine.action import Context
from bootstrap.engine.connections import Connections
from bootstrap.errors import ClusterupError
from bootstrap.state.credentials import OperatorKeys
from bootstrap.transport.base import Transport

# In emulation, a first request to an API server that has just started takes its time.
API_SECONDS = 30.0
# How long an action asks one thing of the cluster that serves: a slow machine, an API server that restarts, another
# leader of etcd.
ASKED_SECONDS = 300.0
AGAIN_SECONDS = 2.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ApiServers:
    """The servers of a cluster that run the API server, by name, and the keys that open them."""

    cluster: str
    names: tuple[str, ...]
    keys: OperatorKeys


def load_clients() -> None:
    """Import what etcd and the API servers are asked with: it takes as long as a login, and can go on beside one."""
    import grpc  # noqa: F401
    import httpx  # noqa: F401

    message_classes()


@contextmanager
def etcd_at(transport: Transport, keys: OperatorKeys) -> Iterator[EtcdClient]:
    """A client of the etcd member on the node that `transport` leads to."""
    with (
        transport.forward("127.0.0.1", ETCD_CLIENT_PORT) as (host, port),
        EtcdClient(host, port, ca_pem=keys.pki.etcd.cert_pem, client=keys.etcd, node=transport.node) as client,
    ):
        yield client


@contextmanager
def api_at(transport: Transport, keys: OperatorKeys) -> Iterator[KubeClient]:
    """A client of the API server on the node that `transport` leads to."""
    with (
        transport.forward("127.0.0.1", API_PORT) as (host, port),
        KubeClient(host, port, ca_pem=keys.pki.ca.cert_pem, client=keys.admin, timeout=API_SECONDS) as client,
    ):
        yield client


@contextmanager
def any_api(context: Context | Connections, servers: ApiServers) -> Iterator[KubeClient]:
    """A client of the first API server that says that it is ready.

    Raises ClusterupError where none does.
    """
    said: list[str] = []
    for server in servers.names:
        with ExitStack() as stack:
            try:
                client = stack.enter_context(api_at(context.on(server), servers.keys))
                ready = client.ready()
            except ClusterupError as error:
                said.append(f"{server}: {error.problem}")
                continue
            if ready:
                yield client
                return
            said.append(f"{server}: not ready")
    raise ClusterupError(
        "no API server answers",
        tried=f"/readyz on {', '.join(servers.names)}",
        got="; ".join(said),
        hint="look at `journalctl -u kube-apiserver -u etcd` on a server; run the command again: it goes on from here",
    )


def ask_api(
    context: Context,
    servers: ApiServers,
    ask: Callable[[KubeClient], T],
    *,
    what: str,
    seconds: float = ASKED_SECONDS,
) -> T:
    """What `ask` gets from the first API server that is ready; from another one, and again from the beginning, while
    what comes back may pass: all of it may be asked twice. `what` is waited for, in words.

    Raises ClusterupError at the end of `seconds`, what the API server refuses at once.
    """
    answers: list[T] = []

    def answered() -> bool:
        with any_api(context, servers) as api:
            answers.append(ask(api))
        return True

    context.wait_until(answered, what=what, timeout=seconds, every=AGAIN_SECONDS)
    return answers[-1]
