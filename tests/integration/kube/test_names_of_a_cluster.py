"""Names as pods are answered them: a real API server, the node's agent as it runs on a node, and a real unbound."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bootstrap.clients.kubernetes import KubeClient
from tests.helpers.daemons import wait_for
from tests.integration.kube.names import apply, endpoints, headless, running_agent, service
from tests.integration.kube.servers import ApiServer
from tests.integration.names.conftest import inventory, versions
from tests.integration.names.unbound_server import Unbound, running_unbound

SUFFIX = "default.svc.cluster.local"


@pytest.fixture
def unbound(tmp_path: Path) -> Iterator[Unbound]:
    with running_unbound(tmp_path, inventory({}), versions()) as found:
        yield found


def until(unbound: Unbound, name: str, records: set[str], kind: str = "A") -> None:
    wait_for(lambda: unbound.records(name, kind) == records, f"{name} to be {records}", 30)


def test_names_follow_the_cluster_and_outlive_its_api_server_and_the_end_of_unbound(
    api_server: ApiServer, unbound: Unbound
) -> None:
    with api_server.client() as client, running_agent(api_server, unbound) as running:
        until(unbound, f"kubernetes.{SUFFIX}", {"A 10.96.0.1"})
        until(unbound, "1.0.96.10.in-addr.arpa", {f"PTR kubernetes.{SUFFIX}."}, "PTR")
        until(unbound, f"_https._tcp.kubernetes.{SUFFIX}", {f"SRV 0 100 443 kubernetes.{SUFFIX}."}, "SRV")
        follows_changes(api_server, client, unbound)
        with stopped(api_server):
            assert unbound.records(f"web.{SUFFIX}") == {"A 10.96.0.77"}
            # What it knew is written down when it ends, and is there before there is an API server.
            running.send_signal(signal.SIGTERM)
            running.wait(15)
            assert "web.default.svc" in Path(unbound.settings["known"]).read_text()
        client.delete("Service", "web", "default")
        client.delete("Service", "db", "default")


def follows_changes(api_server: ApiServer, client: KubeClient, unbound: Unbound) -> None:
    client.apply(service("web", clusterIP="10.96.0.77", ports=[{"name": "http", "port": 80, "protocol": "TCP"}]))
    until(unbound, f"web.{SUFFIX}", {"A 10.96.0.77"})
    client.apply(headless("db"))
    apply(api_server, unbound.folder, endpoints("db", {"db-0": "10.244.0.5", "db-1": "10.244.1.5"}))
    until(unbound, f"db.{SUFFIX}", {"A 10.244.0.5", "A 10.244.1.5"})
    until(unbound, f"db-1.db.{SUFFIX}", {"A 10.244.1.5"})
    apply(api_server, unbound.folder, endpoints("db", {"db-0": "10.244.0.5", "db-1": "10.244.2.9"}))
    until(unbound, f"db-1.db.{SUFFIX}", {"A 10.244.2.9"})
    until(unbound, "5.1.244.10.in-addr.arpa", set(), "PTR")


def test_an_unbound_that_starts_anew_is_told_everything(api_server: ApiServer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        with running_unbound(tmp_path, inventory({}), versions()) as first:
            stack.enter_context(running_agent(api_server, first))
            until(first, f"kubernetes.{SUFFIX}", {"A 10.96.0.1"})
        with running_unbound(tmp_path, inventory({}), versions()) as again:
            until(again, f"kubernetes.{SUFFIX}", {"A 10.96.0.1"})


@contextmanager
def stopped(api_server: ApiServer) -> Iterator[None]:
    """The API server answers nobody."""
    process = api_server.processes[0]
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)
