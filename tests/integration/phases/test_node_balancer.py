"""The balancer that every node runs, as a real HAProxy, in front of servers with real certificates."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from bootstrap.image.trees import bwrap_argv
from bootstrap.lab.tools import lab_tree
from bootstrap.machine.render import render
from bootstrap.pki.x509 import KeyPair, new_authority
from tests.helpers.daemons import daemon, free_ports, wait_for
from tests.helpers.tls_server import api_server

SERVERS = {"s1": "127.0.0.1", "s2": "127.0.0.2"}


@pytest.fixture
def authority(tmp_path: Path) -> KeyPair:
    made = new_authority("kubernetes")
    (tmp_path / "ca.crt").write_bytes(made.cert_pem)
    return made


@contextmanager
def balancer(folder: Path, port: int, api_port: int) -> Iterator[None]:
    config = render("kubernetes/haproxy.cfg.j2", port=port, api_port=api_port, servers=SERVERS, ca="/test/ca.crt")
    (folder / "haproxy.cfg").write_bytes(config)
    argv = ["/usr/sbin/haproxy", "-db", "-f", "/test/haproxy.cfg"]
    # It changes its user, by which the kernel forgets that it is to end with who started it; its namespace ends it.
    options = ("--die-with-parent", "--unshare-pid")
    inside = bwrap_argv(lab_tree(print), argv, binds={folder: "/test"}, environment={}, options=options)
    with daemon(inside, folder / "log"):
        yield


def asked(port: int, folder: Path) -> str:
    """Who answers behind the balancer; nothing where no one does."""
    verify = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    verify.check_hostname = False
    try:
        return httpx.get(f"https://127.0.0.1:{port}/name", verify=verify, timeout=5).text
    except httpx.TransportError:
        return ""


def test_a_server_that_is_ready_and_shows_its_own_certificate_is_used_and_the_others_are_not(
    authority: KeyPair, tmp_path: Path
) -> None:
    port, api_port = free_ports(2)

    def answers() -> set[str]:
        return {asked(port, tmp_path) for _ in range(4)}

    with balancer(tmp_path, port, api_port):
        with api_server("s1", api_port, authority, tmp_path, address=SERVERS["s1"]):
            wait_for(lambda: answers() == {"s1"}, "s1 to be used")
            with api_server("s2", api_port, authority, tmp_path, ready=500, address=SERVERS["s2"]):
                wait_for(lambda: answers() == {"s1"}, "s2, which isn't ready, to be left alone")
            with api_server("s2", api_port, authority, tmp_path, address=SERVERS["s2"]):
                wait_for(lambda: answers() == {"s1", "s2"}, "both to be used")
        with api_server("s2", api_port, authority, tmp_path, address=SERVERS["s2"]):
            wait_for(lambda: answers() == {"s2"}, "s2 to be used")


def test_a_server_with_the_certificate_of_another_one_is_left_alone(authority: KeyPair, tmp_path: Path) -> None:
    port, api_port = free_ports(2)
    with (
        balancer(tmp_path, port, api_port),
        api_server("s1", api_port, authority, tmp_path, address=SERVERS["s1"]),
        api_server("stranger", api_port, authority, tmp_path, address=SERVERS["s2"]),
    ):
        # Until its first check is over, HAProxy takes a server to be up.
        wait_for(lambda: {asked(port, tmp_path) for _ in range(6)} == {"s1"}, "the stranger to be left alone")
