"""The machines that QEMU is asked for."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from bootstrap.lab.machines.qemu import machine_argv
from bootstrap.lab.spec import Accel, Lab, LabSpec
from tests.unit.lab.samples import paper_lab


def pairs(lab: Lab, node: str) -> list[tuple[str, str]]:
    argv = machine_argv(lab, lab.machine(node))
    return list(pairwise(argv))


def devices(lab: Lab, node: str) -> list[str]:
    return [value for option, value in pairs(lab, node) if option == "-device"]


def test_the_firmware_tries_the_disk_then_the_stick_and_nothing_else(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, LabSpec())
    booted = [device for device in devices(lab, "server-1") if "bootindex" in device]
    assert booted == [
        "virtio-blk-pci,drive=disk,serial=lab-server-1,bootindex=1",
        "usb-storage,drive=stick,bootindex=2",
    ]
    cards = [device for device in devices(lab, "server-1") if device.startswith("virtio-net-pci")]
    assert len(cards) == 2
    assert all(card.endswith(",romfile=") for card in cards)


def test_the_disk_has_the_serial_number_that_the_inventory_names(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, LabSpec(agents=1))
    assert any(f"serial={lab.machine('agent-1').serial}," in device for device in devices(lab, "agent-1"))


def test_a_guest_is_reached_on_loopback_only_and_reaches_nothing(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, LabSpec(servers=1, agents=1))
    for node in ("server-1", "agent-1"):
        (access,) = [value for option, value in pairs(lab, node) if option == "-netdev" and value.startswith("user")]
        assert "restrict=on" in access.split(",")
        forwards = [part for part in access.split(",") if part.startswith("hostfwd=")]
        machine = lab.machine(node)
        wanted = [f"hostfwd=tcp:127.0.0.1:{machine.ssh_port}-:22"]
        if machine.api_port:
            wanted.append(f"hostfwd=tcp:127.0.0.1:{machine.api_port}-:6443")
        assert forwards == wanted


def test_acceleration_follows_what_the_trial_found(tmp_path: Path) -> None:
    assert ("-accel", "kvm") in pairs(paper_lab(tmp_path, LabSpec(), Accel.KVM), "server-1")
    assert ("-accel", "tcg,thread=multi") in pairs(paper_lab(tmp_path, LabSpec(), Accel.TCG), "server-1")


def test_more_options_come_last(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, LabSpec(qemu_options=("-S", "-no-reboot")))
    assert machine_argv(lab, lab.machine("server-1"))[-2:] == ["-S", "-no-reboot"]


def test_an_arm64_machine_has_the_disks_and_cards_of_any_other_and_is_emulated(tmp_path: Path) -> None:
    lab = paper_lab(tmp_path, LabSpec(agents=1, arch_of=(("agent-1", "arm64"),)), Accel.KVM)
    assert machine_argv(lab, lab.machine("agent-1"))[0] == "qemu-system-aarch64"
    assert ("-machine", "virt") in pairs(lab, "agent-1")
    assert ("-accel", "tcg,thread=multi") in pairs(lab, "agent-1")
    assert ("-accel", "kvm") in pairs(lab, "server-1")
    same = [device.replace("agent-1", "server-1").split(",mac=")[0] for device in devices(lab, "agent-1")]
    assert same == [device.split(",mac=")[0] for device in devices(lab, "server-1")]
