"""Up, up again, crashed, down: with real processes of QEMU, the switch and the load balancer."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bootstrap.engine.lock import file_lock
from bootstrap.errors import BadUse, ClusterupError, Refused
from bootstrap.inventory.load import load_inventory
from bootstrap.lab import up
from bootstrap.lab.down import lab_down
from bootstrap.lab.machines.machine import RECORD, machine_running, start_machine, stop_machine
from bootstrap.lab.machines.process import identity_of, recorded
from bootstrap.lab.machines.qmp import qmp
from bootstrap.lab.networks.network import (
    BALANCER_RECORD,
    SWITCH_RECORD,
    balancer_running,
    start_switch,
    stop_network,
    switch_running,
)
from bootstrap.lab.spec import Lab
from bootstrap.lab.store import lab_locked, labs_dir, load_lab
from bootstrap.pki.sshkeys import new_ssh_key
from bootstrap.state.cluster import INSTALLED, LIVE, cluster_state
from tests.helpers.daemons import wait_for
from tests.integration.lab.conftest import Bench


def pid(lab: Lab, node: str) -> int:
    found = recorded(lab.folder / node / RECORD)
    assert found is not None
    return found.pid


def all_records(lab: Lab) -> list[Path]:
    machines = [lab.folder / machine.name / RECORD for machine in lab.machines]
    return [*machines, lab.folder / SWITCH_RECORD, lab.folder / BALANCER_RECORD]


def test_up_starts_every_process_and_writes_an_inventory_that_is_valid(bench: Bench) -> None:
    lab = bench.up()
    assert all(recorded(record) for record in all_records(lab))
    for machine in lab.machines:
        with qmp(lab.folder / machine.name / "qmp.sock") as session:
            assert session.execute("query-status")["status"] == "prelaunch"
    inventory = load_inventory(bench.folder / "lab.yaml")
    assert [node.name for node in inventory.nodes] == ["server-1", "agent-1"]
    assert load_lab("bench") == lab


def test_the_machines_are_plugged_into_the_switch(bench: Bench) -> None:
    lab = bench.up()
    # vde_switch makes a socket for each of its ports that is in use.
    wait_for(lambda: len([p for p in (lab.folder / "switch").iterdir() if p.name != "ctl"]) >= 2, "two ports in use")


def test_only_its_owner_can_read_a_lab(bench: Bench) -> None:
    lab = bench.up()
    assert stat.S_IMODE(lab.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(lab.key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE((lab.folder / "server-1" / "stick.raw").stat().st_mode) == 0o600


def test_a_disk_has_its_size_and_takes_no_room(bench: Bench) -> None:
    disk = (bench.up().folder / "server-1" / "disk.raw").stat()
    assert disk.st_size == 1 << 30
    assert disk.st_blocks * 512 < 1 << 20


def test_up_a_second_time_leaves_everything_alone(bench: Bench) -> None:
    lab = bench.up()
    before = [record.read_text() for record in all_records(lab)]
    inventory = (bench.folder / "lab.yaml").read_text() + "# a change of the user's\n"
    (bench.folder / "lab.yaml").write_text(inventory)
    assert bench.up() == lab
    assert [record.read_text() for record in all_records(lab)] == before
    assert (bench.folder / "lab.yaml").read_text() == inventory
    assert any("already up" in line for line in bench.said)


def test_up_starts_only_what_does_not_run(bench: Bench) -> None:
    lab = bench.up()
    server = pid(lab, "server-1")
    assert stop_machine(lab, "agent-1")
    assert not stop_machine(lab, "agent-1")
    assert not machine_running(lab, "agent-1")
    bench.up()
    assert pid(lab, "server-1") == server
    assert machine_running(lab, "agent-1")


def test_starting_a_machine_that_runs_changes_nothing(bench: Bench) -> None:
    lab = bench.up()
    before = pid(lab, "server-1")
    start_machine(lab, "server-1")
    assert pid(lab, "server-1") == before


def test_after_a_crash_of_the_host_up_starts_the_machines_with_their_disks(bench: Bench) -> None:
    lab = bench.up()
    with (lab.folder / "server-1" / "disk.raw").open("r+b") as disk:
        disk.write(b"what the node wrote")
    for record in all_records(lab):
        found = recorded(record)
        assert found is not None
        os.kill(found.pid, signal.SIGKILL)
        wait_for(lambda pid=found.pid: identity_of(pid) is None, "its end")  # type: ignore[misc]
    assert (lab.folder / "server-1" / "qmp.sock").exists()
    assert bench.up() == lab
    assert all(recorded(record) for record in all_records(lab))
    assert (lab.folder / "server-1" / "disk.raw").read_bytes()[:19] == b"what the node wrote"


def test_down_ends_every_process_and_removes_the_folder_and_once_more_finds_nothing(bench: Bench) -> None:
    lab = bench.up()
    found = [recorded(record) for record in all_records(lab)]
    assert lab_down("bench", bench.said.append)
    assert [identity_of(process.pid) for process in found if process] == [None] * 4
    assert not lab.folder.exists()
    assert load_lab("bench") is None
    assert lab_down("bench") is False


def test_down_after_a_crash_of_the_host_leaves_strangers_with_the_same_numbers_alone(bench: Bench) -> None:
    lab = bench.up()
    ours = recorded(lab.folder / "server-1" / RECORD)
    assert ours is not None
    stop_machine(lab, "server-1")
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        taken = replace(ours, pid=stranger.pid)
        (lab.folder / "server-1" / RECORD).write_text(json.dumps(asdict(taken)))
        assert not machine_running(lab, "server-1")
        assert lab_down("bench")
        assert stranger.poll() is None
        stranger.kill()


def test_down_forgets_the_cluster_that_ran_on_the_machines_and_leaves_the_inventory(bench: Bench) -> None:
    lab = bench.up()
    state = cluster_state("bench")
    state.host_keys.pin("server-1", LIVE, lab.machine("server-1").host_key)
    state.note_founded()
    lab_down("bench")
    assert not state.folder.exists()
    assert (bench.folder / "lab.yaml").exists()
    bench.up()


def test_down_forgets_a_cluster_to_which_a_machine_of_the_lab_came_by_itself(bench: Bench) -> None:
    """A machine that joined by a stick, or by a command on itself, was never reached in its live environment."""
    lab = bench.up()
    state = cluster_state("bench")
    state.host_keys.pin("server-1", LIVE, lab.machine("server-1").host_key)
    state.host_keys.pin("agent-1", INSTALLED, new_ssh_key().public)
    assert lab_down("bench")
    assert not state.folder.exists()


def test_a_machine_without_a_card_is_no_proof_that_the_others_are_the_lab_s(bench: Bench) -> None:
    bench.up(replace(bench.spec, without_card=("server-1",)))
    state = cluster_state("bench")
    state.host_keys.pin("server-1", INSTALLED, new_ssh_key().public)
    state.host_keys.pin("agent-1", INSTALLED, new_ssh_key().public)
    assert lab_down("bench")
    assert state.folder.exists()


def test_down_leaves_a_cluster_alone_that_has_only_names_in_common_with_the_lab_and_says_so(bench: Bench) -> None:
    bench.up()
    state = cluster_state("bench")
    state.host_keys.pin("server-1", INSTALLED, new_ssh_key().public)
    said: list[str] = []
    assert lab_down("bench", said.append)
    assert state.folder.exists()
    assert any(str(state.folder) in line and "can be told to be the lab's" in line for line in said)


def test_down_leaves_a_cluster_alone_that_knows_another_machine(bench: Bench) -> None:
    lab = bench.up()
    state = cluster_state("bench")
    state.host_keys.pin("server-1", LIVE, lab.machine("server-1").host_key)
    state.host_keys.pin("elsewhere", LIVE, new_ssh_key().public)
    lab_down("bench")
    assert state.host_keys.path.exists()


def test_down_refuses_while_an_apply_is_at_work(bench: Bench) -> None:
    lab = bench.up()
    with file_lock(cluster_state("bench").lock, "apply"), pytest.raises(Refused, match="another clusterup is at work"):
        lab_down("bench")
    assert machine_running(lab, "server-1")


def test_a_new_lab_does_not_take_the_name_of_a_cluster(bench: Bench) -> None:
    state = cluster_state("bench")
    state.keep_made()
    folder = state.folder
    with pytest.raises(Refused) as refusal:
        bench.up()
    assert str(folder) in (refusal.value.got or "")
    assert load_lab("bench") is None


def test_a_new_lab_takes_the_place_of_the_old_ones_inventory(bench: Bench) -> None:
    old = bench.up()
    lab_down("bench")
    new = bench.up()
    assert old.machine("server-1").host_key != new.machine("server-1").host_key
    written = load_inventory(bench.folder / "lab.yaml").node("server-1")
    assert written.ssh.host_key == new.machine("server-1").host_key


def test_another_shape_is_refused_and_nothing_changes(bench: Bench) -> None:
    lab = bench.up()
    with pytest.raises(Refused) as raised:
        bench.up(replace(bench.spec, servers=3))
    assert "1 server, 1 agent" in str(raised.value)
    assert load_lab("bench") == lab


def test_a_port_that_somebody_took_meanwhile_is_named_with_who_needs_it(bench: Bench) -> None:
    lab = bench.up()
    stop_machine(lab, "server-1")
    port = lab.machine("server-1").api_port
    assert port is not None
    with socket.create_server(("127.0.0.1", port)), pytest.raises(Refused) as raised:
        bench.up()
    assert f"port {port} of 127.0.0.1 is taken, and server-1's API server needs it" in str(raised.value)
    bench.up()
    assert machine_running(lab, "server-1")


def test_a_taken_port_of_the_load_balancer_is_named_too(bench: Bench) -> None:
    lab = bench.up()
    stop_network(lab)
    with socket.create_server(("127.0.0.1", lab.endpoint_port)), pytest.raises(Refused) as raised:
        bench.up()
    assert f"port {lab.endpoint_port} of 127.0.0.1 is taken, and the load balancer" in str(raised.value)


def test_a_new_lab_keeps_off_the_ports_of_one_that_is_off(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = bench.up()
    for machine in lab.machines:
        stop_machine(lab, machine.name)
    stop_network(lab)
    monkeypatch.setattr("secrets.randbelow", lambda _: lab.endpoint_port - up.FIRST_PORT)
    assert not set(up.free_ports(4)) & {lab.endpoint_port, *(port for m in lab.machines for port in m.ports)}


def test_machines_are_plugged_in_again_when_the_switch_ended(bench: Bench) -> None:
    lab = bench.up()
    before = pid(lab, "server-1")
    switch = recorded(lab.folder / SWITCH_RECORD)
    assert switch is not None
    os.kill(switch.pid, signal.SIGKILL)
    wait_for(lambda: identity_of(switch.pid) is None, "the switch's end")
    bench.up()
    assert switch_running(lab)
    assert pid(lab, "server-1") != before
    assert any("the switch between the machines had ended" in line for line in bench.said)


def test_a_load_balancer_that_ended_is_started_again_and_the_machines_stay(bench: Bench) -> None:
    lab = bench.up()
    before = pid(lab, "server-1")
    balancer = recorded(lab.folder / BALANCER_RECORD)
    assert balancer is not None
    os.kill(balancer.pid, signal.SIGKILL)
    wait_for(lambda: identity_of(balancer.pid) is None, "the load balancer's end")
    bench.up()
    assert balancer_running(lab)
    assert pid(lab, "server-1") == before


def test_a_switch_that_runs_is_not_started_twice(bench: Bench) -> None:
    lab = bench.up()
    before = (lab.folder / SWITCH_RECORD).read_text()
    start_switch(lab)
    assert (lab.folder / SWITCH_RECORD).read_text() == before


def test_a_qemu_that_does_not_start_is_reported_in_its_own_words(bench: Bench) -> None:
    with pytest.raises(ClusterupError) as raised:
        bench.up(replace(bench.spec, qemu_options=("-no-such-option",)))
    assert "no-such-option" in str(raised.value)
    assert raised.value.node == "server-1"


def test_an_inventory_of_somebody_elses_is_left_alone_and_nothing_is_made(bench: Bench) -> None:
    (bench.folder / "lab.yaml").write_text("mine\n")
    with pytest.raises(BadUse):
        bench.up()
    assert (bench.folder / "lab.yaml").read_text() == "mine\n"
    assert load_lab("bench") is None


def test_too_little_memory_is_refused_before_anything_is_made(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "available_memory", lambda: 300)
    with pytest.raises(Refused) as raised:
        bench.up()
    assert "1 machine would fit" in str(raised.value)
    assert load_lab("bench") is None


def test_machines_that_run_already_need_no_more_memory(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.up()
    monkeypatch.setattr(up, "available_memory", lambda: 0)
    bench.up()


def test_a_damaged_bundle_is_refused_and_nothing_is_made(bench: Bench) -> None:
    with (bench.folder / "bundle" / "live.raw").open("r+b") as live:
        live.write(b"damaged")
    with pytest.raises(Refused) as raised:
        bench.up()
    assert "live.raw" in str(raised.value)
    assert load_lab("bench") is None


def test_an_interruption_while_it_is_made_leaves_no_lab(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(up, "write_stick", pressed)
        with pytest.raises(KeyboardInterrupt):
            bench.up()
    assert [path for path in labs_dir().iterdir() if path.is_dir()] == []
    assert not (bench.folder / "lab.yaml").exists()
    assert len(bench.up().machines) == 2


def test_what_a_killed_command_left_half_made_is_swept_away(bench: Bench) -> None:
    half = labs_dir() / ".bench.making"
    half.mkdir(parents=True)
    (half / "server-1").mkdir()
    lab = bench.up()
    assert not half.exists()
    assert machine_running(lab, "server-1")


def test_an_interruption_between_two_machines_is_gone_on_from(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_the_first(lab: Lab, node: str) -> None:
        if node != "server-1":
            raise KeyboardInterrupt
        start_machine(lab, node)

    with monkeypatch.context() as patch:
        patch.setattr(up, "start_machine", only_the_first)
        with pytest.raises(KeyboardInterrupt):
            bench.up()
    there = load_lab("bench")
    assert there is not None
    server = pid(there, "server-1")
    assert bench.up() == there
    assert pid(there, "server-1") == server
    assert machine_running(there, "agent-1")


def test_two_commands_at_once_do_not_meet(bench: Bench) -> None:
    with lab_locked("bench", "lab up"):
        with pytest.raises(Refused) as raised:
            lab_down("bench")
        assert f"process {os.getpid()}: lab up" in str(raised.value)


def test_a_lab_file_that_cannot_be_read_is_reported_and_nothing_removed(bench: Bench) -> None:
    lab = bench.up()
    whole = (lab.folder / "lab.json").read_text()
    (lab.folder / "lab.json").write_text("{")
    for attempt in (bench.up, lambda: lab_down("bench")):
        with pytest.raises(ClusterupError) as raised:
            attempt()
        assert str(lab.folder / "lab.json") in str(raised.value)
    (lab.folder / "lab.json").write_text(whole)
    assert machine_running(lab, "server-1")
