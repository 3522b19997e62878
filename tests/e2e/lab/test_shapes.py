"""Bare machines that differ: on two segments, with a second disk, with other memory, and with a registry beside them.

Nothing is installed. What is asked is whether the machines see what the lab was asked for.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

import pytest

from tests.e2e.conftest import lab_of
from tests.e2e.labs import Labs
from tests.e2e.operator import Operator

pytestmark = pytest.mark.e2e
SERVER, AGENT = "server-1", "agent-1"
SHAPE = (
    *("--servers", "1", "--agents", "1", "--memory", "1536", "--memory", f"{SERVER}=2048"),
    *("--second-disk", f"{AGENT}=3", "--segments", "2", "--on", f"{AGENT}=2", "--registry"),
)
FETCH = """\
python3 - {} <<'SCRIPT'
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=60) as answer:
    print(answer.status, answer.read().decode())
SCRIPT
"""


@pytest.fixture(scope="module")
def lab(labs: Labs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with lab_of(labs, tmp_path_factory, "shapes", *SHAPE) as operator:
        yield operator


def shown(lab: Operator) -> dict[str, Any]:
    """What `clusterup lab status` says."""
    found: dict[str, Any] = json.loads(lab.clusterup("lab", "status", "--name", lab.name, "-o", "json"))
    return found


def address_of(lab: Operator, name: str) -> IPv4Address:
    (address,) = (machine["address"] for machine in shown(lab)["machines"] if machine["name"] == name)
    return IPv4Address(address)


def test_all_of_the_lab_runs(lab: Operator) -> None:
    data = shown(lab)
    assert all(machine["running"] for machine in data["machines"])
    assert (data["switch_running"], data["router_running"], data["registry"]["running"]) == (True, True, True)
    assert [machine["segment"] for machine in data["machines"]] == [1, 2]


@pytest.mark.parametrize(("one", "other"), [(SERVER, AGENT), (AGENT, SERVER)])
def test_machines_reach_each_other_over_one_router(lab: Operator, one: str, other: str) -> None:
    address = address_of(lab, other)
    said = lab.runs_on(one, f"ping -n -c 1 -W 30 {address}")
    # Each router takes one of the 64 that a machine gives a packet.
    assert re.search(rf"from {address}: icmp_seq=1 ttl=63 ", said)


def test_a_machine_sees_its_second_disk_empty_under_its_serial_number(lab: Operator) -> None:
    look = "lsblk --nodeps --noheadings --bytes --output SERIAL,SIZE,FSTYPE | grep ^lab- | sort"
    assert lab.runs_on(AGENT, look).split() == ["lab-agent-1", str(8 << 30), "lab-agent-1-2", str(3 << 30)]
    assert lab.runs_on(SERVER, look).split() == ["lab-server-1", str(8 << 30)]


def test_machines_have_the_memory_that_was_said_of_each(lab: Operator) -> None:
    def mib(name: str) -> int:
        found = re.search(r"MemTotal:\s+(\d+) kB", lab.runs_on(name, "cat /proc/meminfo"))
        assert found is not None
        return int(found.group(1)) // 1024

    # The kernel keeps some of it.
    assert 1536 < mib(SERVER) <= 2048
    assert 1024 < mib(AGENT) <= 1536


def test_every_machine_and_the_operator_reach_the_registry(lab: Operator) -> None:
    registry = shown(lab)["registry"]
    with urllib.request.urlopen(f"http://{registry['push']}/v2/", timeout=60) as answer:
        assert answer.status == 200
    for name in (SERVER, AGENT):
        assert lab.runs_on(name, FETCH.format(f"http://{registry['address']}/v2/")).split() == ["200", "{}"]


def test_up_once_more_leaves_all_of_it_as_it_is(lab: Operator) -> None:
    before = shown(lab)
    assert "is already up" in lab.clusterup("lab", "up", "--name", lab.name, "--inventory", "lab.yaml")
    assert shown(lab) == before
