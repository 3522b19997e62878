"""Clients of a cluster's API, for questions that no plan asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.clients.tunnel import AGAIN_SECONDS, ASKED_SECONDS, ApiServers, any_api
from bootstrap.connect.ssh import Ask
from bootstrap.engine.events import unobserved
from bootstrap.engine.patience import until
from bootstrap.operations.connections import connections_of
from bootstrap.operations.intent import Intent
from bootstrap.spec.topology import endpoint_of

# How long servers that are asked over SSH may take to have an API server that is ready.
ANSWER_SECONDS = 10.0


@contextmanager
def endpoint_client(intent: Intent) -> Iterator[KubeClient]:
    """A client of the API at the endpoint of the kubeconfig, verified for that name, as kubectl does it."""
    host, port = endpoint_of(intent.inventory)
    keys = intent.keys
    with KubeClient(
        host, port, ca_pem=keys.pki.ca.cert_pem, client=keys.admin, server_name=host, timeout=30.0
    ) as client:
        yield client


@contextmanager
def reachable_client(intent: Intent, ask: Ask | None, say: Callable[[str], None]) -> Iterator[KubeClient]:
    """A client of the API at the kubeconfig's endpoint, or, where that does not answer, through the first server that
    is reached over SSH, which `say` is told. `ask` is asked about host keys that nothing is known of. Raises
    ClusterupError where no server answers."""
    host, port = endpoint_of(intent.inventory)
    with ExitStack() as stack:
        client = stack.enter_context(endpoint_client(intent))
        if not client.ready():
            say(f"the API does not answer at {host}:{port}: asking the servers over SSH")
            servers = ApiServers(intent.inventory.cluster.name, tuple(intent.servers), intent.keys)
            connections = stack.enter_context(connections_of(intent, unobserved, ask))
            client = until(
                lambda: stack.enter_context(any_api(connections, servers)),
                what="an API server that answers",
                seconds=ANSWER_SECONDS,
                every=AGAIN_SECONDS,
            )
        yield client.within(ASKED_SECONDS)
