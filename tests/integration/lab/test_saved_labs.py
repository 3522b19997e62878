"""A lab is put aside and brought back: real QEMUs, whose machines never boot."""

from __future__ import annotations

import json
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from bootstrap.errors import BadUse, ClusterupError, Refused
from bootstrap.image.trees import run_in
from bootstrap.lab.down import lab_down
from bootstrap.lab.machines import memory
from bootstrap.lab.machines.machine import machine_folder, machine_running, start_machine, stop_machine
from bootstrap.lab.machines.process import recorded
from bootstrap.lab.machines.qemu import LAB_FOLDER
from bootstrap.lab.networks.network import network_running
from bootstrap.lab.saves import restore, save
from bootstrap.lab.saves.restore import put_back
from bootstrap.lab.saves.save import lab_save, put_aside
from bootstrap.lab.saves.saved import SAVED_FILE, Saved, all_saved, find_saved, forget_saved, saves_dir, too_many
from bootstrap.lab.spec import Lab
from bootstrap.lab.store import lab_locked, load_lab
from bootstrap.lab.tools import ready_tree
from bootstrap.paths import cache_dir
from bootstrap.state.cluster import state_folder
from tests.integration.lab.conftest import Bench
from tests.integration.lab.test_registry import digest, push

NODE = "server-1"


@pytest.fixture(autouse=True)
def _own_shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saved labs of a folder of their own, with the machine's tools."""
    trees = cache_dir()
    own = tmp_path / "cache" / "clusterup"
    own.mkdir(parents=True)
    ready_tree()
    (own / "tree-lab").symlink_to(trees / "tree-lab")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def aside(bench: Bench, name: str = "ready") -> Saved:
    with lab_locked("bench", "test"):
        return put_aside("bench", name, say=bench.said.append)


def back(bench: Bench, saved: Saved) -> Lab:
    with lab_locked("bench", "test"):
        return put_back(saved, bench.folder / "lab.yaml", say=bench.said.append)


def writes(path: Path, content: bytes) -> None:
    with path.open("r+b") as disk:
        disk.write(content)


def begins(lab: Lab, disk: str, count: int) -> bytes:
    """The first bytes of a disk, through all that is behind it."""
    folder = machine_folder(lab, NODE)
    whole = ("qemu-img", "convert", "-U", "-O", "raw", f"{LAB_FOLDER}/{disk}", f"{LAB_FOLDER}/whole.raw")
    run_in(
        ready_tree(),
        whole,
        log=print,
        binds={folder.parent / NODE: LAB_FOLDER, folder.parent / "live.raw": "/run/live.raw"},
    )
    with (folder / "whole.raw").open("rb") as image:
        found = image.read(count)
    (folder / "whole.raw").unlink()
    return found


def test_a_restored_lab_has_the_disks_the_inventory_and_the_keys_that_it_had(bench: Bench) -> None:
    lab = bench.up()
    writes(machine_folder(lab, NODE) / "disk.raw", b"before")
    state = state_folder("bench")
    state.mkdir(parents=True, mode=0o700)
    (state / "cluster-id").write_text("0123")
    inventory, key = lab.inventory.read_bytes(), lab.key_file.read_bytes()
    saved = aside(bench)
    writes(machine_folder(lab, NODE) / "disk.raw", b"after!")
    lab_down("bench")
    assert not state.exists()

    restored = back(bench, saved)
    assert [machine_running(restored, machine.name) for machine in restored.machines] == [True, True]
    assert begins(restored, "disk.qcow2", 6) == b"before"
    assert begins(restored, "stick.qcow2", 1 << 20)[512:520] == b"EFI PART"
    assert restored.inventory.read_bytes() == inventory
    assert restored.key_file.read_bytes() == key
    assert (state / "cluster-id").read_text() == "0123"
    assert load_lab("bench") == restored


def test_the_machines_of_a_lab_that_is_put_aside_go_on(bench: Bench) -> None:
    lab = bench.up()
    saved = aside(bench)
    assert saved.running == ("server-1", "agent-1")
    assert all(machine_running(lab, machine.name) for machine in lab.machines)
    assert list((lab.folder / NODE).glob("memory*")) == []
    assert saved.size > 0
    assert saved.folder.stat().st_mode & 0o077 == 0


def test_a_machine_that_was_off_is_off_again(bench: Bench) -> None:
    lab = bench.up()
    stop_machine(lab, "agent-1")
    restored = back(bench, aside(bench))
    assert [machine_running(restored, name) for name in (NODE, "agent-1")] == [True, False]


def test_machines_of_another_shape_come_back_with_it_and_with_their_second_disks(bench: Bench) -> None:
    spec = replace(bench.spec, memory_of=(("agent-1", 96),), second_disk_of=((NODE, 1),))
    writes(machine_folder(bench.up(spec), NODE) / "disk2.raw", b"second")
    restored = back(bench, aside(bench))
    assert [machine_running(restored, machine.name) for machine in restored.machines] == [True, True]
    assert [(machine.memory, machine.second_disk) for machine in restored.machines] == [(64, 1), (96, 0)]
    assert begins(restored, "disk2.qcow2", 6) == b"second"


def test_a_restored_registry_runs_and_has_the_images_that_it_had(bench: Bench) -> None:
    lab = bench.up(replace(bench.spec, registry=True))
    assert lab.registry_port is not None
    push(lab.registry_port, "one", "1.0", b"before")
    saved = aside(bench)
    push(lab.registry_port, "one", "2.0", b"after!")
    # With other images it is not the same lab any more, though nothing happened on its machines.
    assert aside(bench).key != saved.key

    restored = back(bench, saved)
    assert restored.registry_port == lab.registry_port
    assert network_running(restored)
    assert (restored.folder / "registry").stat().st_mode & 0o077 == 0
    with httpx.Client(base_url=f"http://127.0.0.1:{restored.registry_port}", timeout=60, trust_env=False) as client:
        assert client.get("/v2/one/tags/list").raise_for_status().json() == {"name": "one", "tags": ["1.0"]}
        assert client.get(f"/v2/one/blobs/{digest(b'before')}").raise_for_status().content == b"before"


def test_what_happens_to_a_restored_lab_changes_nothing_of_what_is_saved(bench: Bench) -> None:
    writes(machine_folder(bench.up(), NODE) / "disk.raw", b"before")
    saved = aside(bench)
    restored = back(bench, saved)
    # Another disk is put into the machine.
    (machine_folder(restored, NODE) / "disk.raw").write_bytes(b"other" * 100)
    assert begins(back(bench, saved), "disk.qcow2", 6) == b"before"


def test_a_restored_lab_can_be_put_aside_again_and_outlives_what_it_came_from(bench: Bench) -> None:
    writes(machine_folder(bench.up(), NODE) / "disk.raw", b"before")
    first = aside(bench)
    back(bench, first)
    second = aside(bench, "again")
    forget_saved(first.folder)
    restored = back(bench, second)
    assert begins(restored, "disk.qcow2", 6) == b"before"
    stop_machine(restored, NODE)
    bench.up()
    assert machine_running(restored, NODE)


def test_an_inventory_that_was_edited_since_is_set_aside(bench: Bench) -> None:
    lab = bench.up()
    saved = aside(bench)
    edited = lab.inventory.read_text() + "# edited\n"
    lab.inventory.write_text(edited)
    back(bench, saved)
    assert lab.inventory.read_text() == saved.inventory
    assert (lab.inventory.parent / "lab.yaml.before-restore").read_text() == edited
    assert any("lab.yaml.before-restore" in line for line in bench.said)


def test_the_cluster_of_other_machines_is_not_touched(bench: Bench) -> None:
    bench.up()
    saved = aside(bench)
    lab_down("bench")
    state = state_folder("bench")
    state.mkdir(parents=True)
    (state / "cluster-id").write_text("of other machines")
    with pytest.raises(Refused, match="there is a cluster of that name"):
        back(bench, saved)
    assert (state / "cluster-id").read_text() == "of other machines"
    assert load_lab("bench") is None


def test_saved_labs_are_listed_found_by_name_and_forgotten(bench: Bench) -> None:
    lab = bench.up()
    first = aside(bench)
    with pytest.raises(Refused, match="the same lab is saved as ready already"):
        aside(bench)
    lab.inventory.write_text(f"{first.inventory}# edited\n")
    second = aside(bench)
    assert [saved.full_name for saved in all_saved()] == [second.full_name, first.full_name]
    assert find_saved("ready") == second
    assert find_saved(first.full_name) == first
    assert [saved.full_name for saved in too_many("bench", 2)] == [first.full_name]
    # Labs of another name are none of its business.
    assert too_many("other", 1) == ()
    forget_saved(second.folder)
    assert find_saved("ready") == first
    with pytest.raises(BadUse, match="no saved lab other"):
        find_saved("other")


def test_a_saved_lab_that_is_damaged_is_named_with_what_to_do(bench: Bench) -> None:
    bench.up()
    saved = aside(bench)
    (saved.folder / SAVED_FILE).write_text(json.dumps({"format": 99}))
    with pytest.raises(ClusterupError, match="can't be read") as caught:
        find_saved("ready")
    assert f"clusterup lab forget {saved.full_name}" in str(caught.value)


def test_memory_that_is_damaged_is_seen_before_the_lab_that_is_there_ends(bench: Bench) -> None:
    lab = bench.up()
    saved = aside(bench)
    file = saved.folder / NODE / "memory.zst"
    for content in (b"no memory", file.read_bytes()[:-5]):
        file.write_bytes(content)
        with pytest.raises(ClusterupError, match="the memory that was saved of it is damaged"):
            back(bench, saved)
    assert all(machine_running(lab, machine.name) for machine in lab.machines)


def test_without_tap_devices_the_lab_that_is_there_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = bench.up(replace(bench.spec, segments=2))
    saved = aside(bench)
    monkeypatch.setattr(restore, "TUN", bench.folder / "tun")
    with pytest.raises(ClusterupError, match="can't be made here"):
        back(bench, saved)
    assert all(machine_running(lab, machine.name) for machine in lab.machines)
    assert network_running(lab)


def test_where_somebody_has_the_port_of_its_balancer_nothing_is_brought_back(bench: Bench) -> None:
    lab = bench.up()
    saved = aside(bench)
    lab_down("bench")
    with socket.create_server(("127.0.0.1", lab.endpoint_port)):
        with pytest.raises(Refused, match=f"port {lab.endpoint_port} of 127.0.0.1 is taken, and the load balancer"):
            back(bench, saved)
        assert load_lab("bench") is None
        assert not machine_folder(lab, NODE).exists()
    assert network_running(back(bench, saved))


def test_where_somebody_has_a_port_of_it_the_lab_that_is_there_goes_on(bench: Bench) -> None:
    lab = bench.up()
    saved = aside(bench)
    lab_down("bench")
    there = bench.up()
    # A saved lab's ports are its own: it can come back.
    assert there.ports.isdisjoint(lab.ports)
    with socket.create_server(("127.0.0.1", lab.machine(NODE).ssh_port)):
        with pytest.raises(Refused, match=f"port {lab.machine(NODE).ssh_port} of 127.0.0.1 is taken"):
            back(bench, saved)
        assert load_lab("bench") == there
        assert all(machine_running(there, machine.name) for machine in there.machines)


def test_where_there_is_no_memory_for_it_the_lab_that_is_there_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = bench.up()
    saved = aside(bench)
    monkeypatch.setattr(restore, "available_memory", lambda: 100)
    with pytest.raises(Refused, match="there is too little memory") as caught:
        back(bench, saved)
    assert "lab restore" in str(caught.value)
    assert "--servers" not in str(caught.value)
    assert all(machine_running(lab, machine.name) for machine in lab.machines)


def test_machines_that_a_killed_command_left_standing_still_go_on_with_the_next_up(bench: Bench) -> None:
    spec = replace(bench.spec, registry=True, qemu_options=())
    lab = bench.up(spec)
    for machine in lab.machines:
        memory.pause(lab, machine.name)
    registry = recorded(lab.folder / "registry.process.json")
    assert registry is not None
    os.kill(registry.pid, signal.SIGSTOP)
    bench.said.clear()
    bench.up(spec)
    assert "server-1: goes on; it stood still" in bench.said
    assert not any(memory.run_state(lab, machine.name) in memory.STILL for machine in lab.machines)
    assert httpx.get(f"http://127.0.0.1:{lab.registry_port}/v2/").status_code == 200


def test_a_machine_whose_memory_never_came_starts_from_its_disk(bench: Bench) -> None:
    lab = bench.up()
    stop_machine(lab, NODE)
    start_machine(lab, NODE, memory.INCOMING)
    bench.said.clear()
    bench.up()
    assert f"{NODE}: switched off, because its saved memory was not read to the end" in bench.said
    assert f"{NODE}: switched on" in bench.said
    assert memory.run_state(lab, NODE) not in ("", memory.WAITS_FOR_MEMORY)


def test_a_machine_whose_qemu_does_not_answer_is_left_as_it_is(bench: Bench) -> None:
    lab = bench.up()
    (machine_folder(lab, NODE) / "qmp.sock").unlink()
    assert memory.run_state(lab, NODE) == ""
    bench.said.clear()
    bench.up()
    assert machine_running(lab, NODE)
    assert not [line for line in bench.said if line.startswith(NODE)]


def test_told_to_end_a_save_ends_as_by_ctrl_c_and_the_machines_go_on_however_often_it_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = bench.up(replace(bench.spec, qemu_options=()))
    sets_going = memory.resume
    clocks: list[list[str]] = []
    # No one answers on these machines, which would be waited for.
    monkeypatch.setattr(save, "set_clocks", lambda _lab, _operator, running, _say: clocks.append(sorted(running)))

    def told(lab: Lab, node: str) -> Path:
        assert memory.run_state(lab, node) in memory.STILL
        os.kill(os.getpid(), signal.SIGTERM)
        return lab.folder

    def told_again(lab: Lab, node: str) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        sets_going(lab, node)

    monkeypatch.setattr(memory, "write_memory", told)
    monkeypatch.setattr(memory, "resume", told_again)
    with pytest.raises(KeyboardInterrupt):
        lab_save("bench", "ready", say=bench.said.append)
    assert not any(memory.run_state(lab, machine.name) in memory.STILL for machine in lab.machines)
    assert not all_saved()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    # One that was killed leaves them standing still: the next save sets them going first.
    monkeypatch.setattr(memory, "resume", sets_going)
    memory.pause(lab, NODE)
    monkeypatch.setattr(memory, "write_memory", told)
    with pytest.raises(KeyboardInterrupt):
        lab_save("bench", "ready", say=bench.said.append)
    assert f"{NODE}: goes on; it stood still" in bench.said
    assert clocks == [sorted(machine.name for machine in lab.machines)] * 2


def test_a_lab_that_is_not_there_is_said_before_anything_is_asked(bench: Bench) -> None:
    with pytest.raises(BadUse, match="there is no lab other") as refused:
        lab_save("other", "ready", say=bench.said.append)
    assert "lab up makes one" in refused.value.hint
    bench.up()
    with pytest.raises(BadUse) as refused:
        lab_save("other", "ready", say=bench.said.append)
    assert "there are: bench" in refused.value.hint


def test_what_an_interrupted_save_left_goes_with_the_next(bench: Bench) -> None:
    bench.up()
    left = saves_dir() / ".making-ready@0123456789abcdef"
    left.mkdir(parents=True)
    saved = aside(bench)
    assert [path.name for path in saves_dir().iterdir() if path.is_dir()] == [saved.full_name]
