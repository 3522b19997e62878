"""What cleaning does to a node's folders, its mounts and its processes.

The node is this machine in namespaces of its own: folders of the test stand for its /var and its units, a few programs
for systemd; what is mounted and killed there is gone with the namespaces.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from bootstrap.constants.paths import CLEANING
from bootstrap.errors import ClusterupError
from bootstrap.phases.reset.commands import clean, state_of_files, system_disk, wipe
from bootstrap.phases.reset.reset import read_system_disk
from tests.helpers.daemons import wait_for
from tests.helpers.local_transport import LocalTransport

if os.geteuid() != 0:
    pytest.skip("namespaces with mounts in them need root", allow_module_level=True)

MIB = 1 << 20
WANTS = "[Unit]\nWants=etcd.service kubelet.service\n"
# As pid 1 it collects what was killed, which a machine's own does too. The script that it runs is the test's business.
BEGIN = """\
set -eu
cd {folder}
mount --bind os-release "$(readlink -f /etc/os-release)"
mount --bind units /etc/systemd/system
mount --bind var /var
PATH={folder}/programs:$PATH
{before}
"$@" || exit $?
"""
INSTALLED_VAR = ("var/lib/systemd/random-seed", "var/log/journal/id/system.journal")
OF_A_CLUSTER = (
    "var/lib/clusterup/etc/systemd/system/kubelet.service",
    "var/lib/clusterup/payloads/0.raw",
    "var/lib/clusterup/etcd-birth",
    "var/lib/clusterup/.hidden",
    "var/lib/etcd/member/wal/0.wal",
    "var/lib/kubelet/pods/u/etc-hosts",
    "var/lib/containerd/a b/layer",
    "var/log/pods/p/0.log",
    "var/opt/cni/bin/bridge",
    "var/roothome/.bash_history",
    "var/data of a pod/file",
)


@dataclass
class Node:
    """A node whose root is `folder`, as far as the scripts look at it."""

    folder: Path
    before: str = ":"

    def install(self) -> None:
        """As after an installation."""
        for name in ("var/lib", "units/multi-user.target.d", "programs"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "os-release").write_text("IMAGE_ID=clusterup\nVARIANT_ID=os\n")
        self.program("systemctl", f'echo "$@" >>{self.folder}/asked')
        self.put(*INSTALLED_VAR)
        (self.folder / "var/run").symlink_to("../run")

    def join(self) -> None:
        """As a node of a cluster."""
        self.put(*OF_A_CLUSTER)
        (self.folder / "var/lib/extensions").mkdir()
        (self.folder / "var/lib/extensions/clusterup.raw").symlink_to("/var/lib/clusterup/payloads/0.raw")
        (self.folder / "units/multi-user.target.d/10-clusterup.conf").write_text(WANTS)

    def put(self, *names: str) -> None:
        for name in names:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(name)

    def program(self, name: str, script: str) -> None:
        path = self.folder / "programs" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    @property
    def way(self) -> LocalTransport:
        begin = self.folder / "begin"
        begin.write_text(BEGIN.format(folder=self.folder, before=self.before))
        spaces = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
        return LocalTransport(shell=(*spaces, "bash", str(begin), "sh"))

    @property
    def there(self) -> set[str]:
        """Everything below /var that is not a folder."""
        found = (path for path in (self.folder / "var").rglob("*") if path.is_symlink() or not path.is_dir())
        return {str(path.relative_to(self.folder)) for path in found}

    @property
    def asked(self) -> str:
        """What systemctl was asked for."""
        return (self.folder / "asked").read_text() if (self.folder / "asked").exists() else ""


@pytest.fixture
def node(tmp_path: Path) -> Node:
    made = Node(tmp_path)
    made.install()
    return made


def test_what_came_after_the_installation_is_gone_and_the_rest_is_there(node: Node) -> None:
    fresh = node.there
    node.join()
    node.way.check(clean())
    assert node.there == fresh
    assert node.asked == "stop etcd.service kubelet.service\n"
    assert list((node.folder / "var/lib/clusterup").iterdir()) == []


def test_the_kept_files_are_the_same_bytes(node: Node) -> None:
    node.join()
    node.way.check(clean())
    assert [(node.folder / name).read_text() for name in INSTALLED_VAR] == list(INSTALLED_VAR)


def test_a_clean_node_is_left_as_it_is(node: Node) -> None:
    fresh = node.there
    node.way.check(clean())
    assert node.there == fresh
    assert node.asked == ""


def test_another_system_is_not_touched(node: Node) -> None:
    node.join()
    (node.folder / "os-release").write_text("ID=debian\n")
    before = node.there
    with pytest.raises(ClusterupError) as caught:
        node.way.check(clean())
    assert "nothing was touched" in str(caught.value)
    assert node.there == before


def test_the_live_environment_is_not_touched(node: Node) -> None:
    node.join()
    (node.folder / "os-release").write_text("IMAGE_ID=clusterup\nVARIANT_ID=live\n")
    before = node.there
    assert node.way.run(clean()).status == 1
    assert node.there == before


def test_what_pods_have_mounted_is_unmounted_and_not_removed(node: Node) -> None:
    node.join()
    node.put("far/precious")
    volume = node.folder / "var/lib/kubelet/pods/u/volumes/kubernetes.io~nfs/v 1 of 100%d"
    volume.mkdir(parents=True)
    node.before = f"mount --bind {node.folder}/far '/var/{volume.relative_to(node.folder / 'var')}'"
    node.way.check(clean())
    assert (node.folder / "far/precious").read_text() == "far/precious"
    assert not volume.exists()


def test_a_volume_that_is_in_use_is_taken_out_of_the_way_all_the_same(node: Node) -> None:
    node.join()
    (node.folder / "var/lib/kubelet/pods/u/token").mkdir()
    place = "/var/lib/kubelet/pods/u/token"
    node.before = f"mount -t tmpfs secret {place}; exec 9>{place}/open"
    node.way.check(clean())
    assert not (node.folder / "var/lib/kubelet").exists()


def test_nothing_is_removed_where_something_stays_mounted(node: Node) -> None:
    node.join()
    node.program("umount", "exit 1")
    (node.folder / "var/lib/kubelet/v").mkdir()
    node.before = "mount -t tmpfs stuck /var/lib/kubelet/v"
    with pytest.raises(ClusterupError) as caught:
        node.way.check(clean())
    assert "/var/lib/kubelet/v" in str(caught.value)
    assert "var/lib/etcd/member/wal/0.wal" in node.there


@pytest.mark.parametrize("group", ["/kubepods.slice/pod1", "/system.slice/containerd.service", "/x/etcd.service"])
def test_processes_that_outlive_their_unit_are_killed(node: Node, group: str) -> None:
    node.join()
    (node.folder / "units/multi-user.target.d/10-clusterup.conf").write_text(
        "[Unit]\nWants=etcd.service containerd.service\n"
    )
    (node.folder / "group").write_text(f"0::{group}\n")
    node.before = (
        "sleep 1000 & pid=$!; mount --bind group /proc/$pid/cgroup; "
        f"trap 'wait $pid || echo $? >{node.folder}/ended' EXIT"
    )
    node.way.check(clean())
    assert (node.folder / "ended").read_text() == f"{128 + 9}\n"


def test_other_processes_are_left_alone(node: Node) -> None:
    node.join()
    (node.folder / "group").write_text("0::/system.slice/ssh.service\n")
    node.before = (
        f"sleep 1000 & mount --bind group /proc/$!/cgroup; trap 'kill -0 $! && echo >{node.folder}/lives' EXIT"
    )
    node.way.check(clean())
    assert (node.folder / "lives").exists()


@pytest.mark.parametrize("program", ["systemctl", "mv", "umount", "rm", "sync", "sleep"])
def test_a_cleaning_that_is_cut_off_anywhere_is_seen_and_goes_on(node: Node, program: str) -> None:
    """The power goes when the program is called for the first, the second, ... time, until it is never called again."""
    fresh = node.there
    node.join()
    whole = node.there
    node.before = (
        "mkdir -p /var/lib/kubelet/v; mount -t tmpfs v /var/lib/kubelet/v; sleep 1000 & "
        f"echo 0::/kubepods/x >{node.folder}/group; mount --bind {node.folder}/group /proc/$!/cgroup"
    )
    calls, real = node.folder / "calls", shutil.which(program) or ":"
    for count in range(1, 100):
        calls.write_text("")
        node.program(program, f'echo >>{calls}; [ "$(wc -l <{calls})" != {count} ] || kill -9 -1; exec {real} "$@"')
        node.way.run(clean())
        if len(calls.read_text()) < count:
            break
        assert node.there in (fresh, whole) or (node.folder / CLEANING.lstrip("/")).is_dir()
    else:
        pytest.fail(f"{program} was called without an end")
    assert node.there == fresh


def test_a_half_cleaned_node_starts_nothing(node: Node) -> None:
    node.join()
    node.program("systemctl", "kill -9 -1")
    node.way.run(clean())
    assert (node.folder / "var/lib/etcd/member/wal/0.wal").exists()
    assert not (node.folder / "var/lib/clusterup/etc").exists()
    assert not (node.folder / "var/lib/extensions/clusterup.raw").is_symlink()


def test_a_disk_on_which_nothing_fits_any_more_is_cleaned(node: Node) -> None:
    fresh = node.there
    node.join()
    node.put("var/lib/clusterup/images/pause.tar")
    real = shutil.which("mktemp")
    node.program("mktemp", f'[ ! -e /var/lib/clusterup/images/pause.tar ] || exit 1; exec {real} "$@"')
    node.way.check(clean())
    assert node.there == fresh


def test_two_installations_list_the_same_state_and_a_trace_is_seen(node: Node) -> None:
    before = node.way.check(state_of_files()).text
    node.put(*INSTALLED_VAR)
    (node.folder / "var/lib/systemd/random-seed").write_text("another")
    assert node.way.check(state_of_files()).text == before
    node.put("var/lib/clusterup/payloads/0.raw")
    more = [line.split("\t") for line in node.way.check(state_of_files()).text.splitlines()]
    (found,) = [words for words in more if words[0].endswith("0.raw")]
    content = b"var/lib/clusterup/payloads/0.raw"
    assert found == ["/" + content.decode(), "f", "644", "0:0", hashlib.sha256(content).hexdigest()]


def test_cleaning_brings_the_listed_state_back(node: Node) -> None:
    (node.folder / "var/lib/clusterup").mkdir()
    before = [line for line in node.way.check(state_of_files()).text.splitlines() if line.startswith("/var")]
    node.join()
    node.way.check(clean())
    assert [line for line in node.way.check(state_of_files()).text.splitlines() if line.startswith("/var")] == before


def test_the_disk_is_the_one_below_dm_verity(node: Node) -> None:
    """A sysfs with the device that the system runs from, dm-0 of two partitions, and their disk."""
    sysfs = node.folder / "sys"
    disk = sysfs / "devices/virtio/block/vda"
    for number, start in enumerate((2048, 4096, 6144, 8192), 1):
        part = disk / f"vda{number}"
        part.mkdir(parents=True)
        (part / "partition").write_text(f"{number}\n")
        (part / "start").write_text(f"{start}\n")
        (part / "uevent").write_text(f"DEVTYPE=partition\nPARTNAME=part {number}\n")
    (disk / "size").write_text("16384\n")
    slaves = sysfs / "devices/virtual/block/dm-0/slaves"
    slaves.mkdir(parents=True)
    for name in ("vda2", "vda3"):
        (slaves / name).symlink_to(disk / name)
    (sysfs / "dev/block").mkdir(parents=True)
    (sysfs / "dev/block/253:0").symlink_to("../../devices/virtual/block/dm-0")
    node.program("mountpoint", 'test "$*" = "-d /" && echo 253:0')
    node.before = f"mount --bind {sysfs} /sys"
    found = read_system_disk(node.way)
    assert found.starts == tuple(512 * start for start in (2048, 8192, 4096, 6144))
    assert str(found) == "/dev/vda (8.0 MiB: part 1, part 4, part 2, part 3)"


def test_the_disk_of_another_system_is_not_told(node: Node) -> None:
    (node.folder / "os-release").write_text("ID=debian\n")
    assert node.way.run(system_disk()).status == 1


def test_a_wiped_disk_has_no_table_and_no_file_system_and_the_machine_is_restarted(tmp_path: Path) -> None:
    disk, restart = tmp_path / "disk", tmp_path / "restart"
    disk.write_bytes(b"x" * 16 * MIB)
    starts = [4 * MIB, 8 * MIB]
    LocalTransport().check(wipe(str(disk), starts, str(restart)))
    wait_for(restart.exists, "the restart", seconds=10)
    left = disk.read_bytes()
    assert len(left) == 16 * MIB
    erased = [offset for offset in range(0, 16 * MIB, MIB) if left[offset : offset + MIB] == bytes(MIB)]
    assert erased == [0, *starts, 15 * MIB]
    assert left.count(b"x") == 12 * MIB


def test_a_disk_that_can_t_be_written_to_is_said_to_be_and_nothing_is_restarted(tmp_path: Path) -> None:
    restart = tmp_path / "restart"
    result = LocalTransport().run(wipe(str(tmp_path / "no" / "disk"), [], str(restart)))
    assert result.status != 0
    assert not restart.exists()
