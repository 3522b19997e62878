"""Labs whose machines differ: in memory, in disks, and in where they are plugged in."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bootstrap.errors import BadUse, ClusterupError, Refused
from bootstrap.inventory.load import load_inventory
from bootstrap.lab.inventory import inventory_text
from bootstrap.lab.machines.drives import drive_names
from bootstrap.lab.machines.host import check_memory
from bootstrap.lab.machines.qemu import machine_argv
from bootstrap.lab.networks.network import balancer_configuration
from bootstrap.lab.networks.registry import copy_images, image_files, registry_lines
from bootstrap.lab.networks.router import router_argv, way_to_registry
from bootstrap.lab.spec import LabSpec, Reach, check_same, check_spec
from bootstrap.lab.status import lab_as_data, lab_lines
from bootstrap.lab.stick import cards, live_etc
from bootstrap.lab.store import FORMAT, lab_to_data, labs_dir, load_lab, save_lab
from bootstrap.lab.wishes import LabRequest, spec_of
from bootstrap.pki.sshkeys import new_ssh_key
from tests.unit.lab.samples import paper_lab

SHAPED = LabSpec(
    servers=2,
    agents=1,
    memory_of=(("agent-1", 1024),),
    second_disk_of=(("server-1", 4),),
    segments=2,
    on=(("agent-1", 2),),
    registry=True,
)


def test_the_machines_of_each_role_go_round_the_segments(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, LabSpec(servers=3, agents=2, segments=2))
    assert [(machine.name, machine.segment, machine.address, machine.router) for machine in lab.machines] == [
        ("server-1", 1, "10.77.0.11", "10.77.0.1"),
        ("server-2", 2, "10.77.1.12", "10.77.1.1"),
        ("server-3", 1, "10.77.0.13", "10.77.0.1"),
        ("agent-1", 1, "10.77.0.21", "10.77.0.1"),
        ("agent-2", 2, "10.77.1.22", "10.77.1.1"),
    ]


def test_a_machine_is_on_the_segment_that_was_named_for_it(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, LabSpec(servers=2, segments=3, on=(("server-1", 3),)))
    assert [machine.segment for machine in lab.machines] == [3, 2]
    assert lab.machine("server-1").address == "10.77.2.11"


def test_no_address_of_a_lab_with_four_segments_is_there_twice(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, LabSpec(servers=9, agents=30, segments=4, registry=True, second_disk=1))
    addresses = [machine.address for machine in lab.machines] + ["10.77.0.2"]
    addresses += [argument.partition("=")[2].partition("/")[0] for argument in router_argv(lab)[2:]]
    assert len(set(addresses)) == len(addresses) == 39 + 1 + 4
    serials = [serial for machine in lab.machines for serial in (machine.serial, machine.second_serial)]
    assert len(set(serials)) == len(serials)
    assert max(len(serial) for serial in serials) <= 20
    ports = [lab.endpoint_port, lab.registry_port, *(port for machine in lab.machines for port in machine.ports)]
    assert len(set(ports)) == len(ports)


def test_a_machine_is_plugged_into_the_switch_of_its_segment(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, SHAPED)
    assert "vde,id=private,sock=/run/lab/switch" in machine_argv(lab, lab.machine("server-1"))
    assert "vde,id=private,sock=/run/lab/switch-2" in machine_argv(lab, lab.machine("agent-1"))


def test_a_machine_has_its_memory(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, SHAPED)
    memory = {
        machine.name: argv[argv.index("-m") + 1] for machine in lab.machines for argv in [machine_argv(lab, machine)]
    }
    assert memory == {"server-1": "2048", "server-2": "2048", "agent-1": "1024"}


def test_a_second_disk_is_never_booted_from(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, SHAPED)
    argv = machine_argv(lab, lab.machine("server-1"))
    assert "virtio-blk-pci,drive=disk2,serial=lab-server-1-2" in argv
    (drive,) = [argument for argument in argv if "id=disk2" in argument]
    assert drive.endswith("format=raw,file=/run/lab/server-1/disk2.raw")
    assert not any("disk2" in argument for argument in machine_argv(lab, lab.machine("server-2")))


def test_a_second_disk_that_was_restored_is_an_overlay(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, SHAPED)
    (tmp_path / "server-1").mkdir()
    (tmp_path / "server-1" / "disk2.qcow2").touch()
    (drive,) = [argument for argument in machine_argv(lab, lab.machine("server-1")) if "id=disk2" in argument]
    assert drive.endswith("format=qcow2,file=/run/lab/server-1/disk2.qcow2")


def test_a_second_disk_is_put_aside_and_given_back_as_the_first_is(tmp_path: Path) -> None:
    for name in ("disk.raw", "disk2.raw", "stick.raw", "firmware.fd", "console.log", "process.json"):
        (tmp_path / name).touch()
    assert drive_names(tmp_path) == ["disk", "disk2", "stick"]
    for name in ("disk", "disk2", "stick"):
        (tmp_path / f"{name}.raw").unlink()
        for kind in ("qcow2", "saved.qcow2"):
            (tmp_path / f"{name}.{kind}").touch()
    assert drive_names(tmp_path) == ["disk", "disk2", "stick"]


def test_a_registry_s_images_are_copied_without_what_is_being_pushed(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    other.mkdir()
    copy_images(one, other)
    assert image_files(other) == []
    for name in ("v2/blobs/data", "v2/repositories/tools/link", "v2/repositories/tools/_uploads/1/data"):
        (one / "registry" / name).parent.mkdir(parents=True, exist_ok=True)
        (one / "registry" / name).write_text(name)
    copy_images(one, other)
    files = ["registry/v2/blobs/data", "registry/v2/repositories/tools/link"]
    assert image_files(one) == [one / file for file in files]
    assert image_files(other) == [other / file for file in files]
    assert [file.read_text() for file in image_files(other)] == [file.removeprefix("registry/") for file in files]
    assert not (other / "registry/v2/repositories/tools/_uploads").exists()


def test_images_that_cannot_be_copied_are_said_once_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "registry").mkdir()
    for name in ("gone", "gone-too"):
        (tmp_path / "registry" / name).symlink_to("nowhere")
    with pytest.raises(ClusterupError, match="can't be copied") as raised:
        copy_images(tmp_path, tmp_path / "other")
    assert (raised.value.got or "").count("No such file") == 1
    assert "make room" not in raised.value.hint


def test_where_there_is_no_room_for_images_it_is_room_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "registry").mkdir()
    (tmp_path / "registry" / "link").write_bytes(b"sha256:0")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(ClusterupError, match="can't be copied") as raised:
        copy_images(tmp_path, tmp_path / "other")
    assert "make room" in raised.value.hint


def test_the_inventory_has_the_way_to_the_other_segments_and_installs_to_the_first_disk(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, SHAPED)
    file = tmp_path / "lab.yaml"
    file.write_text(inventory_text(lab, None, 20))
    inventory = load_inventory(file)
    node = inventory.node("agent-1")
    private, access = node.interfaces
    assert [str(address) for address in private.addresses] == ["10.77.1.21/24"]
    assert [(str(route.to), str(route.via)) for route in private.routes] == [("10.77.0.0/16", "10.77.1.1")]
    assert (private.gateway, access.routes) == (None, ())
    assert inventory.node("server-1").disk == "serial:lab-server-1"


def test_a_lab_of_one_segment_has_no_routes(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, LabSpec(registry=True))
    assert cards(lab.machine("server-1"))[0].routes == ()


def test_the_live_environment_has_the_way_to_the_other_segments(tmp_path: Path) -> None:
    machine = paper_lab(tmp_path, SHAPED).machine("server-2")
    name = f"systemd/network/10-{machine.private_mac.replace(':', '')}.network"
    (card,) = [file for file in live_etc(machine, new_ssh_key(), []) if file.path == name]
    assert b"\n[Route]\nDestination=10.77.0.0/16\nGateway=10.77.1.1\n" in card.content


def test_a_lab_says_in_what_its_machines_differ(tmp_path: Path) -> None:
    assert paper_lab(tmp_path, SHAPED).words == (
        "2 servers, 1 agent; each 2 CPUs, a disk of 8 GiB; 1024 MiB: agent-1; 2048 MiB: server-1, server-2; "
        "a second disk of 4 GiB: server-1; 2 segments with a router; a registry"
    )
    assert paper_lab(tmp_path, LabSpec(second_disk=4)).words == (
        "3 servers, 0 agents; each 2048 MiB, 2 CPUs, a disk of 8 GiB, a second one of 4 GiB"
    )


def test_a_lab_is_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = labs_dir() / "lab"
    folder.mkdir(parents=True)
    lab = paper_lab(folder, replace(SHAPED, by_console=("agent-1",)))
    save_lab(lab, folder)
    assert load_lab("lab") == lab


def test_a_lab_of_an_earlier_version_is_still_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = labs_dir() / "lab"
    folder.mkdir(parents=True)
    lab = paper_lab(folder, LabSpec(memory=1024))
    data = lab_to_data(lab)
    assert data["format"] == FORMAT == 1
    for key in ("segments", "registry_port"):
        del data[key]
    for machine in data["machines"]:
        for key in ("memory", "second_disk", "segment", "router"):
            del machine[key]
    (folder / "lab.json").write_text(json.dumps({**data, "memory": 1024}))
    assert load_lab("lab") == lab


def test_a_lab_file_without_any_memory_is_one_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = labs_dir() / "lab"
    folder.mkdir(parents=True)
    data = lab_to_data(paper_lab(folder, LabSpec()))
    for machine in data["machines"]:
        del machine["memory"]
    (folder / "lab.json").write_text(json.dumps(data))
    with pytest.raises(ClusterupError, match="can't be read"):
        load_lab("lab")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (LabSpec(segments=0), "--segments 0; allowed: 1 to 4"),
        (LabSpec(segments=5), "--segments 5"),
        (LabSpec(segments=2, on=(("server-1", 3),)), "--on server-1=3; allowed: 1 to 2"),
        (LabSpec(segments=2, on=(("server-9", 1),)), "--on server-9 is not a machine of this lab"),
        (LabSpec(memory_of=(("server-1", 63),)), "--memory server-1=63; allowed: 64 to"),
        (LabSpec(memory_of=(("agent-1", 2048),)), "--memory agent-1 is not a machine of this lab"),
        (LabSpec(second_disk=2000), "--second-disk 2000"),
        (LabSpec(second_disk_of=(("server-1", -1),)), "--second-disk server-1=-1"),
        (LabSpec(second_disk_of=(("other", 1),)), "--second-disk other is not a machine of this lab"),
    ],
)
def test_a_shape_that_no_lab_can_have_is_bad_use(spec: LabSpec, said: str) -> None:
    with pytest.raises(BadUse) as raised:
        check_spec(spec)
    assert said in f"{raised.value.problem}; {raised.value.hint}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"segments": 3}, "--segments 3"),
        ({"on": ()}, "--on agent-1=1"),
        ({"registry": False}, "no --registry"),
        ({"memory_of": (("agent-1", 512),)}, "--memory agent-1=512"),
        ({"memory_of": ()}, "--memory 2048"),
        ({"second_disk_of": (("server-1", 5),)}, "--second-disk server-1=5"),
        ({"second_disk_of": ()}, "--second-disk 0"),
    ],
)
def test_another_shape_than_that_of_the_lab_that_is_there_is_refused(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    lab = paper_lab(tmp_path, SHAPED)
    check_same(lab, SHAPED)
    with pytest.raises(Refused) as raised:
        check_same(lab, replace(SHAPED, **change))  # type: ignore[arg-type]
    assert said in (raised.value.tried or "")


def test_memory_is_that_of_the_machines_that_start() -> None:
    check_memory([1024, 2048], 1024 + 2048 + 400)
    with pytest.raises(Refused) as raised:
        check_memory([2048, 1024, 2048], 4000)
    text = str(raised.value)
    assert "3 machines of 1024 and 2048 MiB" in text
    assert "1 x 1024 + 2 x 2048 + 3 x 200 for QEMU itself = 5720 MiB" in text
    assert "2 machines would fit" in text


def test_the_router_has_a_card_on_each_switch(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, LabSpec(segments=3))
    cards = [argument.split("=") for argument in router_argv(lab)[2:]]
    assert [(switch, address) for switch, address, _ in cards] == [
        ("switch", "10.77.0.1/24"),
        ("switch-2", "10.77.1.1/24"),
        ("switch-3", "10.77.2.1/24"),
    ]
    # Machines that go on find the router of after a restart where the one of before was.
    assert cards == [argument.split("=") for argument in router_argv(lab)[2:]]
    assert len({hardware for _, _, hardware in cards}) == 3


def test_a_port_of_the_operators_and_an_address_of_the_machines_lead_to_the_registry(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, SHAPED)
    assert f"bind 127.0.0.1:{lab.registry_port}\n    server registry unix@/run/lab/registry.sock" in (
        balancer_configuration(lab)
    )
    assert "registry" not in balancer_configuration(paper_lab(tmp_path, LabSpec()))
    assert "bind 10.77.0.2:5000\n    server registry unix@/run/lab/registry.sock" in way_to_registry()
    told = "\n".join(registry_lines(20001))
    assert "docker://127.0.0.1:20001/NAME:TAG" in told
    assert "10.77.0.2:5000/NAME:TAG" in told


def test_status_shows_the_shape(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, SHAPED)
    data = lab_as_data(lab)
    assert [(each["network"], each["switch_running"]) for each in data["segments"]] == [
        ("10.77.0.0/24", False),
        ("10.77.1.0/24", False),
    ]
    assert data["router_running"] is False
    assert data["registry"] == {"running": False, "address": "10.77.0.2:5000", "push": f"127.0.0.1:{lab.registry_port}"}
    assert data["memory_mib"] is None
    shown = [
        (each["name"], each["segment"], each["memory_mib"], each["second_disk"], each["second_disk_gib"])
        for each in data["machines"]
    ]
    assert shown == [
        ("server-1", 1, 2048, "lab-server-1-2", 4),
        ("server-2", 2, 2048, None, 0),
        ("agent-1", 2, 1024, None, 0),
    ]
    lines = lab_lines(lab)
    assert "  switch off, router off, load balancer off: API servers at 127.0.0.1:20000" in lines
    assert "  segment 2: 10.77.1.0/24, switch off" in lines
    assert any(
        line.startswith("  registry off: push to 127.0.0.1:20001, machines pull from 10.77.0.2:5000") for line in lines
    )
    (head,) = [line.split() for line in lines if line.startswith("MACHINE")]
    assert head == ["MACHINE", "STATE", "ADDRESS", "SSH", "PORT", "MEMORY", "SECOND", "DISK", "SEGMENT", "CONSOLE"]
    (agent,) = [line.split() for line in lines if line.startswith("agent-1")]
    assert agent[4:8] == ["1024", "MiB", "-", "2"]


def test_status_of_an_ordinary_lab_has_neither_router_nor_registry(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, LabSpec())
    data = lab_as_data(lab)
    assert (data["router_running"], data["registry"], data["memory_mib"]) == (None, None, 2048)
    told = "\n".join(lab_lines(lab))
    for word in ("router", "registry", "SEGMENT", "SECOND DISK"):
        assert word not in told


def test_a_number_is_for_every_machine_and_a_name_with_one_for_that_machine() -> None:
    spec = spec_of(LabRequest(memory=["1024", "server-1=2048"], second_disk=["server-1=4"]), None, 2)
    assert [spec.memory_for(name) for name in ("server-1", "server-2")] == [2048, 1024]
    assert [spec.second_disk_for(name) for name in ("server-1", "server-2")] == [4, 0]


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        (LabRequest(memory=["much"]), "--memory much"),
        (LabRequest(memory=["server-1=much"]), "--memory server-1=much"),
        (LabRequest(memory=["=1024"]), "--memory =1024"),
        (LabRequest(memory=["1e3"]), "--memory 1e3"),
        (LabRequest(memory=["-5"]), "--memory -5"),
        (LabRequest(memory=["٣"]), "--memory"),
        (LabRequest(memory=["9" * 5000]), "--memory 999"),
        (LabRequest(memory=["1024", "2048"]), "given twice"),
        (LabRequest(second_disk=["server-1=1", "server-1=2"]), "given twice for server-1"),
        (LabRequest(on=["2"]), "--on 2"),
    ],
)
def test_an_option_that_is_neither_is_bad_use(wishes: LabRequest, said: str) -> None:
    with pytest.raises(BadUse) as raised:
        spec_of(wishes, None, 2)
    assert said in str(raised.value)
    assert "allowed:" in str(raised.value)


def test_what_is_left_out_stays_as_it_is_in_the_lab_that_is_there(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, replace(SHAPED, without_card=("server-2",)))
    check_same(lab, spec_of(LabRequest(), lab, 2))
    check_same(lab, spec_of(LabRequest(memory=["agent-1=1024"], registry=True, segments=2, on=["agent-1=2"]), lab, 2))
    check_same(lab, spec_of(LabRequest(memory=["2048", "agent-1=1024"], second_disk=["0", "server-1=4"]), lab, 2))
    for other in (
        LabRequest(memory=["2048"]),
        LabRequest(memory=["server-1=1024"]),
        LabRequest(second_disk=["4"]),
        LabRequest(agents=0),
    ):
        with pytest.raises(Refused):
            check_same(lab, spec_of(other, lab, 2))


def test_fewer_machines_than_there_are_is_another_lab_and_no_bad_use(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, replace(SHAPED, by_console=("server-2",)))
    spec = spec_of(LabRequest(servers=1, agents=0), lab, 2)
    check_spec(spec)
    assert spec.reach("server-1") is Reach.SSH
    with pytest.raises(Refused, match="it is another one"):
        check_same(lab, spec)
