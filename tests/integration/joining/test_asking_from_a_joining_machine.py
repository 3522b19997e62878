"""What is asked on a machine that joins, with whatever its shell has to ask with."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bootstrap.errors import ClusterupError
from bootstrap.joining.plan import _OWN_NODE
from bootstrap.joining.preflight import reach, way_problems
from bootstrap.pki.x509 import Usage, issue, new_authority
from bootstrap.transport.base import Command
from tests.helpers.daemons import free_ports
from tests.helpers.local_transport import LocalTransport
from tests.helpers.tls_server import answering


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def shell_with(folder: Path, *programs: str) -> LocalTransport:
    """A machine that has these programs and no others."""
    for program in ("sh", "timeout", *programs):
        # A python3 in the path may be a script of a version manager, which needs more than is here.
        found = os.path.realpath(sys.executable) if program == "python3" else shutil.which(program)
        assert found is not None, program
        (folder / program).symlink_to(found)
    return LocalTransport(shell=("env", f"PATH={folder}", "sh"))


@pytest.mark.parametrize("program", ["bash", "python3"])
def test_whether_a_server_can_be_reached_is_told_by_what_is_there(tmp_path: Path, listening: int, program: str) -> None:
    machine, closed = shell_with(tmp_path, program), free_ports(1)[0]
    said = machine.check(reach([f"127.0.0.1:{listening}", f"127.0.0.1:{closed}"])).text
    assert said.splitlines() == [f"yes 127.0.0.1:{listening}", f"no 127.0.0.1:{closed}"]


def test_where_nothing_is_there_to_try_with_no_one_knows(tmp_path: Path, listening: int) -> None:
    said = shell_with(tmp_path).check(reach([f"127.0.0.1:{listening}"])).text
    assert said == f"unknown 127.0.0.1:{listening}\n"


def joining(*addresses: str) -> Any:
    """As much of what joins as the question needs."""
    servers = {address: IPv4Address(address) for address in addresses}
    return SimpleNamespace(node=SimpleNamespace(name="j1"), description=SimpleNamespace(servers=servers))


def test_a_machine_that_reaches_no_server_at_all_is_refused() -> None:
    (problem,) = way_problems(joining("127.88.0.1", "127.88.0.2"), LocalTransport())
    assert "reaches none of the cluster's API servers" in str(problem)
    assert "127.88.0.1:6443, 127.88.0.2:6443" in str(problem)


def test_a_machine_that_can_t_tell_is_not_refused(tmp_path: Path) -> None:
    assert list(way_problems(joining("127.88.0.1"), shell_with(tmp_path))) == []


@pytest.mark.parametrize(("status", "said"), [("True", "Ready"), ("False", "not Ready"), ("Unknown", "not Ready")])
def test_a_node_is_asked_for_its_own_node_with_its_own_certificate(tmp_path: Path, status: str, said: str) -> None:
    authority = new_authority("kubernetes")
    node = {"status": {"conditions": [{"type": "Other", "status": "True"}, {"type": "Ready", "status": status}]}}
    asked: list[str] = []

    def answer(path: str) -> tuple[int, bytes]:
        asked.append(path)
        return 200, json.dumps(node).encode()

    command = question(tmp_path, authority.cert_pem)
    pair = issue(authority, common_name="kube-apiserver", usage=Usage.SERVER, hosts=["127.0.0.1"])
    with answering(pair, answer, tmp_path) as port:
        assert LocalTransport().check(command(port)).text.strip() == said
    assert asked == ["/api/v1/nodes/j1"]


def test_a_server_of_another_authority_is_not_believed_by_the_node(tmp_path: Path) -> None:
    command = question(tmp_path, new_authority("kubernetes").cert_pem)
    pair = issue(new_authority("kubernetes"), common_name="x", usage=Usage.SERVER, hosts=["127.0.0.1"])
    with answering(pair, lambda _: (200, b"{}"), tmp_path) as port, pytest.raises(ClusterupError) as failed:
        LocalTransport().check(command(port))
    assert "CERTIFICATE_VERIFY_FAILED" in str(failed.value)


def question(folder: Path, authority: bytes) -> Any:
    own = issue(new_authority("kubernetes"), common_name="system:node:j1", usage=Usage.CLIENT)
    (folder / "ca.crt").write_bytes(authority)
    (folder / "own.pem").write_bytes(own.cert_pem + own.key_pem)
    files = (str(folder / "ca.crt"), str(folder / "own.pem"))
    return lambda port: Command.of("look", _OWN_NODE, *files, f"https://127.0.0.1:{port}/api/v1/nodes/j1")
