"""Labs whose machines differ, up and up again: with real processes of QEMU, the switches and the registry."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from bootstrap.errors import ClusterupError
from bootstrap.lab import up
from bootstrap.lab.machines.process import identity_of, recorded
from bootstrap.lab.machines.qmp import qmp
from bootstrap.lab.networks.network import network_running
from bootstrap.lab.store import load_lab, remembered_ports
from tests.helpers.daemons import wait_for
from tests.integration.lab.conftest import Bench
from tests.integration.lab.test_life_of_a_lab import pid


def test_a_second_disk_is_there_empty_and_takes_no_room(bench: Bench) -> None:
    lab = bench.up(replace(bench.spec, second_disk_of=(("agent-1", 2),)))
    disk = (lab.folder / "agent-1" / "disk2.raw").stat()
    assert disk.st_size == 2 << 30
    assert disk.st_blocks == 0
    assert not (lab.folder / "server-1" / "disk2.raw").exists()
    with qmp(lab.folder / "agent-1" / "qmp.sock") as session:
        assert {block["device"] for block in session.execute("query-block")} >= {"disk", "disk2", "stick"}


def test_machines_have_the_memory_that_was_said_of_each(bench: Bench) -> None:
    lab = bench.up(replace(bench.spec, memory_of=(("agent-1", 96),)))
    sizes = {}
    for machine in lab.machines:
        with qmp(lab.folder / machine.name / "qmp.sock") as session:
            sizes[machine.name] = session.execute("query-memory-size-summary")["base-memory"] >> 20
    assert sizes == {"server-1": 64, "agent-1": 96}


def test_a_machine_is_plugged_in_again_only_where_its_own_switch_ended(bench: Bench) -> None:
    spec = replace(bench.spec, segments=2, on=(("agent-1", 2),))
    lab = bench.up(spec)
    before = [pid(lab, node) for node in ("server-1", "agent-1")]
    switch = recorded(lab.folder / "switch-2.process.json")
    assert switch is not None
    os.kill(switch.pid, signal.SIGKILL)
    wait_for(lambda: identity_of(switch.pid) is None, "the switch's end")
    bench.said.clear()
    bench.up(spec)
    assert network_running(lab)
    assert pid(lab, "server-1") == before[0]
    assert pid(lab, "agent-1") != before[1]
    assert [line for line in bench.said if "switched" in line] == [
        "agent-1: switched off, because the switch between the machines had ended",
        "agent-1: switched on",
    ]


@pytest.mark.parametrize("shape", [{"segments": 2}, {"registry": True}])
def test_without_tap_devices_nothing_is_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, shape: dict[str, bool]
) -> None:
    monkeypatch.setattr(up, "TUN", bench.folder / "tun")
    with pytest.raises(ClusterupError, match="can't be made here"):
        bench.up(replace(bench.spec, **shape))  # type: ignore[arg-type]
    assert load_lab("bench") is None
    assert not (bench.folder / "lab.yaml").exists()
    bench.up()


def test_the_ports_of_a_registry_are_kept_off_by_new_labs(bench: Bench) -> None:
    lab = bench.up(replace(bench.spec, registry=True))
    assert lab.registry_port in remembered_ports()
