"""The arguments of a machine's QEMU. Paths are those inside the tools tree, where the lab's folder is /run/lab."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bootstrap.image.architecture import AMD64
from bootstrap.lab.machines.drives import drive
from bootstrap.lab.spec import Accel, Lab, LabMachine, Reach

# On bubblewrap's own tmpfs: a folder can be made there by a user to whom the tree does not belong.
LAB_FOLDER = "/run/lab"
FIRMWARE_VARIABLES = "usr/share/OVMF/OVMF_VARS_4M.fd"
DISK = "disk.raw"
SECOND_DISK = "disk2.raw"
STICK = "stick.raw"
VARIABLES = "firmware.fd"
CONSOLE_SOCKET = "console.sock"
CONSOLE_LOG = "console.log"
WIRE_SOCKET = "wire.sock"
QMP_SOCKET = "qmp.sock"

# Linux on an emulated machine. When it has to wait for its turn, its cycle counter seems to go wrong; with the slow
# clock that is then taken, every look at the time leaves the guest. Each timer of a Go program is an interrupt of its
# own unless timers wait for the kernel's tick: an idle server needs a quarter less of a processor with it. And Debian's
# kernel clears each page when it is given out, a quarter of all that a machine does while it writes an image.
# Nothing speculates in emulation, and what guards against it (retpolines: each call through a pointer becomes two jumps
# that have to be looked up) costs there more than elsewhere.
KERNEL_ARGUMENTS = "tsc=reliable highres=off init_on_alloc=0 psi=0 mitigations=off"


@dataclass(frozen=True, slots=True)
class Board:
    """What machines of an architecture are: QEMU's program and machine, and the firmware, with the variables that it
    begins with, as a path below the root of a tree."""

    program: str
    machine: str
    firmware: str
    variables: str


BOARDS = {
    "amd64": Board("qemu-system-x86_64", "q35", "/usr/share/OVMF/OVMF_CODE_4M.fd", FIRMWARE_VARIABLES),
    "arm64": Board("qemu-system-aarch64", "virt", "/usr/share/AAVMF/AAVMF_CODE.fd", "usr/share/AAVMF/AAVMF_VARS.fd"),
}
ACCELERATION = {
    Accel.KVM: ("-accel", "kvm", "-cpu", "host"),
    # What a processor copies and clears quickly byte by byte (rep movsb, rep stosb) is emulated byte by byte: without
    # these features Linux and the C library take registers. systemd-stub(7) adds to the kernel's command line.
    Accel.TCG: (
        # A fifth level of page tables, and checks of who touches what (smap, pku), are more to emulate: a boot takes a
        # seventh less of a processor without all of these.
        *("-accel", "tcg,thread=multi"),
        *("-cpu", "max,erms=off,fsrm=off,fsrs=off,fzrm=off,la57=off,smap=off,pku=off,mpx=off"),
        *("-smbios", f"type=11,value=io.systemd.stub.kernel-cmdline-extra={KERNEL_ARGUMENTS}"),
    ),
}


# A processor without what takes long to emulate: signed pointers, wide vectors.
EMULATED_ARM = (
    *("-accel", "tcg,thread=multi", "-cpu", "cortex-a72"),
    *("-smbios", "type=11,value=io.systemd.stub.kernel-cmdline-extra=highres=off init_on_alloc=0 psi=0"),
)


def machine_argv(lab: Lab, machine: LabMachine) -> list[str]:
    """QEMU's argument vector for a machine of a lab: disk first, then USB stick, never the network."""
    folder, place = lab.folder / machine.name, f"{LAB_FOLDER}/{machine.name}"
    forwards = f"hostfwd=tcp:127.0.0.1:{machine.ssh_port}-:22"
    if machine.api_port is not None:
        forwards += f",hostfwd=tcp:127.0.0.1:{machine.api_port}-:6443"
    return [
        *bare_argv(
            place,
            name=f"{lab.name}/{machine.name}",
            accel=lab.accel,
            memory=machine.memory,
            cpus=lab.cpus,
            arch=machine.arch,
        ),
        # unsafe: a power cut is the end of QEMU, which the host's memory outlives; waiting for its disk slows etcd.
        "-drive",
        f"if=none,id=disk,cache=unsafe,discard=unmap,detect-zeroes=unmap,{drive(folder, place, 'disk')}",
        "-device",
        f"virtio-blk-pci,drive=disk,serial={machine.serial},bootindex=1",
        *second_disk_argv(folder, place, machine),
        *stick_argv(folder, place, boot_index=2),
        *cards_argv(machine, forwards),
        *lab.qemu_options,
    ]


def second_disk_argv(folder: Path, place: str, machine: LabMachine) -> list[str]:
    """The machine's second disk, where it has one. Without a boot index the firmware does not try it."""
    if not machine.second_disk:
        return []
    return [
        "-drive",
        f"if=none,id=disk2,cache=unsafe,discard=unmap,detect-zeroes=unmap,{drive(folder, place, 'disk2')}",
        "-device",
        f"virtio-blk-pci,drive=disk2,serial={machine.second_serial}",
    ]


def switch_folder(segment: int) -> str:
    """The folder of a segment's switch in the lab's folder."""
    return "switch" if segment == 1 else f"switch-{segment}"


def cards_argv(machine: LabMachine, forwards: str) -> list[str]:
    """The machine's network cards; `forwards` are the ports that lead into it. One that has none gets a console that
    carries more than an emulated serial port, which an image would take an hour through."""
    if machine.reach is Reach.NO_CARD:
        place = f"{LAB_FOLDER}/{machine.name}"
        return [
            "-chardev",
            f"socket,id=wire,path={place}/{WIRE_SOCKET},server=on,wait=off",
            "-device",
            "virtio-serial-pci",
            "-device",
            "virtconsole,chardev=wire",
        ]
    return [
        # An option ROM would offer the network to the firmware; without it, and without a boot index, it is not tried.
        "-netdev",
        f"vde,id=private,sock={LAB_FOLDER}/{switch_folder(machine.segment)}",
        "-device",
        f"virtio-net-pci,netdev=private,mac={machine.private_mac},romfile=",
        # restrict: nothing out of the guest reaches the operator's machine or its network; forwarded ports still work.
        "-netdev",
        f"user,id=access,restrict=on,{forwards}",
        "-device",
        f"virtio-net-pci,netdev=access,mac={machine.access_mac},romfile=",
    ]


def bare_argv(place: str, *, name: str, accel: Accel, memory: int, cpus: int, arch: str = AMD64.name) -> list[str]:
    """A machine without disks and cards: firmware, serial console and QMP socket in `place`; `memory` in MiB. What this
    machine's processor can't run is emulated."""
    board = BOARDS[arch]
    return [
        board.program,
        "-nodefaults",
        "-no-user-config",
        "-name",
        name,
        "-machine",
        board.machine,
        *(ACCELERATION[accel] if arch == AMD64.name else EMULATED_ARM),
        "-smp",
        str(cpus),
        "-m",
        str(memory),
        "-display",
        "none",
        "-drive",
        f"if=pflash,unit=0,format=raw,readonly=on,file={board.firmware}",
        "-drive",
        f"if=pflash,unit=1,format=raw,file={place}/{VARIABLES}",
        "-device",
        "virtio-rng-pci",
        "-chardev",
        f"socket,id=console,path={place}/{CONSOLE_SOCKET},server=on,wait=off,"
        f"logfile={place}/{CONSOLE_LOG},logappend=on",
        "-serial",
        "chardev:console",
        "-qmp",
        f"unix:{place}/{QMP_SOCKET},server=on,wait=off",
    ]


def stick_argv(folder: Path, place: str, *, boot_index: int) -> list[str]:
    """The USB stick, whose file is in `folder`, which is `place` where QEMU runs.

    On a USB 3 controller the firmware reads it 17 s faster than on a USB 2 one."""
    return [
        "-drive",
        f"if=none,id=stick,{drive(folder, place, 'stick')}",
        "-device",
        "qemu-xhci",
        "-device",
        f"usb-storage,drive=stick,bootindex={boot_index}",
    ]
