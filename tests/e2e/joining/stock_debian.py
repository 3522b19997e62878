"""A stock Debian machine with containerd, kubelet and kubeadm, on the switch of a lab: nothing of clusterup's is on it.

Its disk is made of Debian's packages as mmdebstrap unpacks them and of what a person would set up by hand to join a
cluster with kubeadm; QEMU starts its kernel itself. Needs root, for who owns the files on the disk.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bootstrap.image.architecture import AMD64
from bootstrap.image.kubernetes_debian import build_kubernetes
from bootstrap.image.trees import ensure_tree
from bootstrap.lab.machines import process, qemu
from bootstrap.lab.machines.machine import QEMU_LOG, RECORD, wait_for_qemu
from bootstrap.lab.spec import NETWORK, Lab, LabMachine, hardware_address
from bootstrap.lab.tools import ready_tree
from bootstrap.pki.sshkeys import SshKey, new_ssh_key
from tests.e2e.joining.stock_files import stock_files
from tests.helpers.daemons import free_ports

# Another Kubernetes than Debian's brings its own kubelet and kubeadm, which want a newer container runtime.
OTHER_KUBERNETES = os.environ.get("CLUSTERUP_TEST_KUBERNETES")
SUITE = "trixie" if OTHER_KUBERNETES else "bookworm"
PACKAGES = (
    *("systemd-sysv", "dbus", "udev", "kmod", "iproute2", "linux-image-cloud-amd64", "openssh-server"),
    *("containerd", "containernetworking-plugins", "iptables", "conntrack", "ethtool", "socat"),
)
NAME = "stranger"
ADDRESS = f"{NETWORK}.90"
MEMORY = 1024  # MiB
DISK_SIZE = "6G"


@dataclass(frozen=True)
class StockDebian:
    """The machine, running, in `folder`."""

    folder: Path
    ssh_port: int

    def runs(self, script: str, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
        """A script in a root shell, through standard input, so that what is in it shows in no process list here."""
        done = subprocess.run(
            [
                *("ssh", "-F", "none", "-i", str(self.folder / "key"), "-p", str(self.ssh_port), "-o", "BatchMode=yes"),
                *("-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}", "-o", "StrictHostKeyChecking=yes"),
                *("-o", "ConnectTimeout=30", "root@127.0.0.1", "sh -s"),
            ],
            input=script,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        sys.stdout.write(done.stdout + done.stderr)
        return done

    def answers(self) -> bool:
        """Whether it lets in and has started what it starts."""
        return self.runs("systemctl is-active containerd ssh").returncode == 0


@contextmanager
def stock_debian(lab: Lab) -> Iterator[StockDebian]:
    """The machine on the lab's switch, switched on; gone at the end, disk and all."""
    folder = lab.folder / NAME
    folder.mkdir(mode=0o700)
    (ssh_port,) = free_ports(1)
    machine = LabMachine(
        name=NAME,
        role="agent",
        address=ADDRESS,
        serial=NAME,
        private_mac=hardware_address(lab.name, NAME, "private"),
        access_mac=hardware_address(lab.name, NAME, "access"),
        ssh_port=ssh_port,
        api_port=None,
        host_key="",
        memory=MEMORY,
    )
    try:
        host_key, key = new_ssh_key(), new_ssh_key()
        _write_keys(folder, ssh_port, host_key, key)
        _make_disk(folder, machine, host_key, key)
        shutil.copyfile(ready_tree() / qemu.FIRMWARE_VARIABLES, folder / qemu.VARIABLES)
        process.start_in(
            ready_tree(), _argv(lab, machine), folder=lab.folder, record=folder / RECORD, log=folder / QEMU_LOG
        )
        wait_for_qemu(folder, NAME)
        yield StockDebian(folder, ssh_port)
    finally:
        process.end(folder / RECORD, signal.SIGKILL)
        log = folder / qemu.CONSOLE_LOG
        if log.exists():
            sys.stdout.write(f"--- {NAME}\n{log.read_text(errors='replace')[-4000:]}\n")
        shutil.rmtree(folder)


def _argv(lab: Lab, machine: LabMachine) -> list[str]:
    place = f"{qemu.LAB_FOLDER}/{machine.name}"
    # As the lab's own machines have it: see bootstrap/lab/machines/qemu.py.
    command_line = f"root=/dev/vda rw console=ttyS0 {qemu.KERNEL_ARGUMENTS}"
    return [
        *qemu.bare_argv(place, name=f"{lab.name}/{machine.name}", accel=lab.accel, memory=MEMORY, cpus=1),
        *("-kernel", f"{place}/vmlinuz", "-initrd", f"{place}/initrd", "-append", command_line),
        *("-drive", f"if=none,id=disk,format=raw,cache=unsafe,file={place}/{qemu.DISK}"),
        *("-device", "virtio-blk-pci,drive=disk"),
        *qemu.cards_argv(machine, f"hostfwd=tcp:127.0.0.1:{machine.ssh_port}-:22"),
    ]


def _write_keys(folder: Path, port: int, host_key: SshKey, key: SshKey) -> None:
    (folder / "key").touch(mode=0o600)
    (folder / "key").write_bytes(key.private)
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key.public}\n")


def _make_disk(folder: Path, machine: LabMachine, host_key: SshKey, key: SshKey) -> None:
    """`disk.raw`, `vmlinuz` and `initrd` in `folder`."""
    tree = ensure_tree(NAME, SUITE, PACKAGES, log=print)
    root = folder / "root"
    subprocess.run(["cp", "-a", "--reflink=auto", f"{tree}/.", str(root)], check=True)
    for leftover in (*root.glob("etc/ssh/ssh_host_*"), *root.glob("var/lib/apt/lists/*_*"), root / "etc/resolv.conf"):
        leftover.unlink(missing_ok=True)
    for file in stock_files(machine, host_key, key):
        path = root / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(file.content)
        path.chmod(file.mode)
    (root / "etc/kubernetes/manifests").mkdir(parents=True)
    for unit, place in (("systemd-networkd", "usr/lib/systemd/system"), ("kubelet", "etc/systemd/system")):
        wants = root / f"etc/systemd/system/multi-user.target.wants/{unit}.service"
        wants.parent.mkdir(parents=True, exist_ok=True)
        wants.unlink(missing_ok=True)
        wants.symlink_to(f"/{place}/{unit}.service")
    programs = Path(OTHER_KUBERNETES) if OTHER_KUBERNETES else build_kubernetes(AMD64, print)[0]
    for program in (programs / "kubeadm", programs / "kubelet"):
        shutil.copy2(program, root / "usr/bin" / program.name)
    for name in ("vmlinuz", "initrd.img"):
        (found,) = root.glob(f"boot/{name}-*")
        shutil.copyfile(found, folder / name.removesuffix(".img"))
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(root), str(folder / qemu.DISK), DISK_SIZE], check=True)
    shutil.rmtree(root)
