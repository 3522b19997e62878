"""The simulator is not a yes-man: what must never happen to a machine is complained of, and what was not on the disk
when the power went is gone."""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from bootstrap.image.bundle import Bundle
from bootstrap.image.disk.configuration import EtcFile, configuration_image
from bootstrap.image.disk.segments import unpacked_chunks
from bootstrap.phases.deploy import commands as deploy
from bootstrap.phases.deploy.services import files_tar
from bootstrap.phases.install import commands as install
from bootstrap.pki.sshkeys import SshKey, new_ssh_key
from bootstrap.protocol.files import NodeFile
from bootstrap.spec.etcd import birth_file, peer_url
from bootstrap.transport import upload
from bootstrap.transport.base import Command
from tests.simulator.image import PLACE, small_bundle
from tests.simulator.machines.node import SimulatedMachine
from tests.simulator.machines.scripts import known
from tests.simulator.site import Site

KEY = new_ssh_key()


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return small_bundle(tmp_path / "bundle")


@pytest.fixture
def site(bundle: Bundle) -> Site:
    return Site(bundle)


def machine(site: Site, number: int = 1) -> SimulatedMachine:
    return site.add(f"s{number}", f"10.78.1.{number}", live_key=KEY, admits=KEY.public)


def does(machine: SimulatedMachine, command: Command, stdin: bytes = b"") -> bytes:
    answer = machine.run(command.script, stdin)
    assert answer.status == 0, answer.stderr
    return answer.stdout


def write_image(machine: SimulatedMachine, bundle: Bundle) -> None:
    image = bundle.artifact("os")
    does(machine, install.prepare_disk("/dev/vda", []))
    for segment in image.segments[1:]:
        data = b"".join(unpacked_chunks(image.file, segment))
        does(machine, install.write_segment("/dev/vda", segment.offset), data)


def configure(machine: SimulatedMachine, bundle: Bundle, host_key: SshKey = KEY) -> None:
    files = [EtcFile("ssh/ssh_host_ed25519_key", host_key.private)]
    content = configuration_image(files, image=bundle.artifact("os").sha256, size=PLACE.size)
    does(machine, install.write_range("configuration", "/dev/vda", PLACE.offset, PLACE.size), content)


def write_table(machine: SimulatedMachine, bundle: Bundle) -> None:
    head = bundle.artifact("os").segments[0]
    table = b"".join(unpacked_chunks(bundle.artifact("os").file, head))
    said = does(machine, install.write_range("table", "/dev/vda", 0, head.size), table)
    assert said.decode().strip() == head.sha256


def installed(site: Site, bundle: Bundle, number: int = 1) -> SimulatedMachine:
    made = machine(site, number)
    write_image(made, bundle)
    configure(made, bundle)
    write_table(made, bundle)
    does(made, install.reboot())
    assert does(made, install.running_system()).split()[-1] == b"os"
    return made


def put(machine: SimulatedMachine, path: str, content: bytes) -> None:
    does(machine, deploy.put_files(), files_tar([NodeFile(path, content)]))


@pytest.mark.parametrize("arguments", [("/dev/vda", "0"), ("it's here", "1 2  3"), ("", '"$(x)"')])
def test_a_script_says_what_it_was_made_of(arguments: tuple[str, str]) -> None:
    template = "a={} b={}\ncase ${{a}} in x) ;; esac"
    script = Command.of("test", template, *arguments).script
    assert known(template, None).arguments(script) == list(arguments)
    assert known(template, None).arguments(f"{script} ") is None


def test_the_fields_of_a_template_are_told_in_the_order_of_their_numbers() -> None:
    script = Command.of("test", "chmod {1} {0}.part && mv {0}.part {0}", "/a b", "0644").script
    assert known("chmod {1} {0}.part && mv {0}.part {0}", None).arguments(script) == ["/a b", "0644"]


def test_a_script_that_no_one_knows_is_complained_of(site: Site) -> None:
    assert machine(site).run("reboot now", b"").status == 127
    assert site.complaints == ["s1 was sent a script that no one knows: reboot now"]


def test_a_machine_starts_from_its_disk_when_all_of_the_image_is_on_it(site: Site, bundle: Bundle) -> None:
    other = new_ssh_key()
    made = machine(site)
    write_image(made, bundle)
    configure(made, bundle, other)
    does(made, install.reboot())
    assert made.host_key == KEY.private
    write_table(made, bundle)
    does(made, install.reboot())
    assert made.host_key == other.private
    assert site.complaints == []


def test_a_partition_table_on_a_disk_without_the_rest_is_complained_of(site: Site, bundle: Bundle) -> None:
    made = machine(site)
    does(made, install.prepare_disk("/dev/vda", []))
    write_table(made, bundle)
    does(made, install.reboot())
    does(made, install.running_system())
    assert ["not whole" in said for said in site.complaints] == [True]


def test_writing_the_image_again_is_complained_of_once_the_installed_system_has_run(site: Site, bundle: Bundle) -> None:
    made = installed(site, bundle)
    write_image(made, bundle)
    assert "s1 is installed again, though it has run the installed system" in site.complaints


def test_writing_the_image_again_is_right_before_that(site: Site, bundle: Bundle) -> None:
    made = machine(site)
    write_image(made, bundle)
    write_image(made, bundle)
    assert (site.complaints, made.times_installed) == ([], 2)


def test_what_was_uploaded_and_not_synced_is_empty_after_the_power_went(site: Site, bundle: Bundle) -> None:
    made = installed(site, bundle)
    put(made, "/var/lib/synced", b"content")
    does(made, Command.of("begin", upload._BEGIN, "/var/lib/file"), b"content")
    made.lose_power()
    made.start()
    assert made.files.content("/var/lib/synced") == b"content"
    assert made.files.content("/var/lib/file.part") == b""


def test_files_below_etc_are_made_again_at_each_boot_out_of_what_was_kept(site: Site, bundle: Bundle) -> None:
    made = installed(site, bundle)
    put(made, "/etc/kept", b"content")
    made.files.write("/etc/by-hand", b"content", 0o644, synced=True)
    does(made, install.reboot())
    does(made, install.running_system())
    assert made.files.content("/etc/kept") == b"content"
    assert made.files.content("/etc/by-hand") is None


def test_founding_etcd_beside_its_data_is_complained_of(site: Site) -> None:
    first, second = machine(site, 1), machine(site, 2)
    for each in (first, second):
        birth = birth_file({each.name: peer_url(IPv4Address(each.address))}, state="new")
        each.files.write(birth.path, birth.content, 0o644)
        each.merged = "payload"
        each.systemd.begins("etcd.service")
    assert site.complaints == ["s2 founded etcd while s1 had its data"]


def test_leases_end_by_a_clock_that_can_be_made_to_jump(site: Site) -> None:
    cluster = site.found_etcd("s1")
    lease = cluster.grant(30)
    cluster.put(b"key", b"value", lease)
    site.watch.jump(29)
    assert cluster.key(b"key") is not None
    site.watch.jump(1.1)
    assert cluster.key(b"key") is None
    assert cluster.keep_alive(lease) == 0


def test_an_image_is_read_back_as_it_was_written(site: Site, bundle: Bundle) -> None:
    made = machine(site)
    write_image(made, bundle)
    rest = bundle.artifact("os").segments[1:]
    said = does(made, install.hash_image("/dev/vda", [(each.offset, each.size) for each in rest]))
    assert said.decode().split() == [each.sha256 for each in rest]
    assert not made.disk.filled(0, bundle.artifact("os").segments[0].size)
    assert hashlib.sha256(made.disk.read(0, 65536)).hexdigest() == hashlib.sha256(bytes(65536)).hexdigest()
