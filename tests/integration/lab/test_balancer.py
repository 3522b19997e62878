"""The load balancer in front of the API servers, with TLS servers in their place."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from bootstrap.lab.networks.network import start_balancer, stop_network
from bootstrap.lab.spec import Lab, LabSpec
from bootstrap.pki.x509 import KeyPair, new_authority
from tests.helpers.daemons import free_ports, wait_for
from tests.helpers.tls_server import api_server
from tests.unit.lab.samples import paper_lab


@pytest.fixture
def authority() -> KeyPair:
    return new_authority("test")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    planned = paper_lab(tmp_path, LabSpec(servers=3))
    ports = iter(free_ports(4))
    machines = tuple(replace(machine, api_port=next(ports)) for machine in planned.machines)
    found = replace(planned, machines=machines, endpoint_port=next(ports))
    yield found
    stop_network(found)


def test_connections_go_to_servers_that_are_ready_and_are_verified_end_to_end(
    lab: Lab, authority: KeyPair, tmp_path: Path
) -> None:
    (tmp_path / "ca.crt").write_bytes(authority.cert_pem)
    verify = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    one, two, _ = (machine.api_port or 0 for machine in lab.servers)

    def answer() -> str:
        try:
            return httpx.get(f"https://127.0.0.1:{lab.endpoint_port}/name", verify=verify, timeout=5).text
        except httpx.TransportError:
            return ""

    start_balancer(lab)
    with api_server("server-2", two, authority, tmp_path):
        # The first is there and says that it isn't ready, the third is off.
        with api_server("server-1", one, authority, tmp_path, ready=500):
            wait_for(lambda: {answer() for _ in range(6)} == {"server-2"}, "only the ready server being asked")
        with api_server("server-1", one, authority, tmp_path):
            wait_for(lambda: {answer() for _ in range(6)} == {"server-1", "server-2"}, "both being asked")
    with api_server("server-1", one, authority, tmp_path):
        wait_for(lambda: {answer() for _ in range(6)} == {"server-1"}, "the other one being asked")
