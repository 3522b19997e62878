"""What a lab consists of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bootstrap.errors import BadUse, Refused
from bootstrap.lab.machines.host import check_memory
from bootstrap.lab.spec import LabSpec, check_same, check_spec, fitting_cpus
from tests.unit.lab.samples import paper_lab


def test_servers_and_agents_have_names_and_addresses_of_their_own(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, LabSpec(servers=3, agents=2))
    assert [(machine.name, machine.role, machine.address) for machine in lab.machines] == [
        ("server-1", "server", "10.77.0.11"),
        ("server-2", "server", "10.77.0.12"),
        ("server-3", "server", "10.77.0.13"),
        ("agent-1", "agent", "10.77.0.21"),
        ("agent-2", "agent", "10.77.0.22"),
    ]


def test_the_largest_lab_has_no_address_hardware_address_serial_or_port_twice(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, LabSpec(servers=9, agents=30))
    macs = [mac for machine in lab.machines for mac in (machine.private_mac, machine.access_mac)]
    ports = [lab.endpoint_port, *(port for machine in lab.machines for port in machine.ports)]
    for values in (macs, ports, [m.address for m in lab.machines], [m.serial for m in lab.machines]):
        assert len(set(values)) == len(values)
    assert all(mac.startswith("52:54:00:") for mac in macs)


def test_a_machine_keeps_its_hardware_addresses_and_labs_differ_in_theirs(tmp_path: Path) -> None:
    first, again = (paper_lab(tmp_path, LabSpec(name="a")) for _ in range(2))
    other = paper_lab(tmp_path, LabSpec(name="b"))
    assert [m.private_mac for m in first.machines] == [m.private_mac for m in again.machines]
    assert not {m.private_mac for m in first.machines} & {m.private_mac for m in other.machines}


def test_only_servers_have_a_port_for_the_api_server(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, LabSpec(servers=1, agents=1))
    assert lab.machine("server-1").api_port is not None
    assert lab.machine("agent-1").api_port is None


def test_an_unknown_machine_is_answered_with_the_ones_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadUse) as raised:
        paper_lab(tmp_path, LabSpec(servers=1, agents=1)).machine("server-9")
    assert "server-1, agent-1" in str(raised.value)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "Upper", "-dash", "dash-", "x" * 41])
def test_a_name_that_would_leave_its_folder_or_is_no_dns_label_is_refused(name: str) -> None:
    with pytest.raises(BadUse):
        check_spec(LabSpec(name=name))


@pytest.mark.parametrize(
    "spec",
    [LabSpec(servers=0), LabSpec(servers=10), LabSpec(agents=-1), LabSpec(memory=1), LabSpec(cpus=0), LabSpec(disk=0)],
)
def test_impossible_sizes_are_bad_use_that_says_what_is_allowed(spec: LabSpec) -> None:
    with pytest.raises(BadUse) as raised:
        check_spec(spec)
    assert "allowed:" in str(raised.value)


@pytest.mark.parametrize("change", [{"servers": 1}, {"agents": 1}, {"memory": 1024}, {"cpus": 1}, {"disk": 9}])
def test_another_shape_than_the_existing_labs_is_refused_and_the_existing_one_described(
    tmp_path: Path, change: dict[str, int]
) -> None:
    spec = LabSpec()
    lab = paper_lab(tmp_path, spec)
    check_same(lab, spec)
    with pytest.raises(Refused) as raised:
        check_same(lab, replace(spec, **change))  # type: ignore[arg-type]
    ((key, value),) = change.items()
    assert f"--{key} {value}" in str(raised.value)
    assert "3 servers, 0 agents; each 2048 MiB, 2 CPUs, a disk of 8 GiB" in str(raised.value)


def test_too_little_memory_is_refused_with_numbers_and_what_fits() -> None:
    check_memory([2048] * 3, 3 * (2048 + 200))
    with pytest.raises(Refused) as raised:
        check_memory([2048] * 3, 3 * (2048 + 200) - 1)
    text = str(raised.value)
    assert "6744 MiB" in text
    assert "6743 MiB available" in text
    assert "2 machines would fit" in text
    assert "--memory 2047" in text


def test_no_machine_to_start_needs_no_memory() -> None:
    check_memory([], 0)


@pytest.mark.parametrize(("machines", "host", "cpus"), [(1, 2, 2), (3, 2, 1), (3, 6, 2), (4, 8, 2), (1, 1, 1)])
def test_machines_get_two_cpus_only_where_none_of_them_shares_one(machines: int, host: int, cpus: int) -> None:
    assert fitting_cpus(machines, host) == cpus
