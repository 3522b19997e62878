"""clusterup plan and apply, as a user types them, against machines that must not be touched."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from bootstrap.engine.lock import file_lock
from bootstrap.image.bundle import Bundle, Partition
from bootstrap.image.files import bundle_as_data
from bootstrap.image.manifest import write_manifest
from bootstrap.pki.sshkeys import fingerprint, new_ssh_key
from tests.helpers.daemons import free_ports
from tests.helpers.worlds import COMPONENTS
from tests.integration.transport.conftest import Server


@dataclass
class Operator:
    """A person with an inventory, a bundle and a state folder of their own."""

    folder: Path
    sshd: Server

    def inventory(self, *, host_key: str | None = None, disk: str = "/dev/nonesuch", port: int | None = None) -> None:
        (self.folder / "lab.yaml").write_text(
            json.dumps(
                {
                    "cluster": {"name": "lab"},
                    "os": {"bundle": str(self.folder / "bundle")},
                    "nodes": [
                        {
                            "name": "s1",
                            "role": "server",
                            "address": "10.0.0.1",
                            "disk": disk,
                            "ssh": {
                                "host": "127.0.0.1",
                                "port": port or self.sshd.port,
                                "user": "root",
                                "key": str(self.sshd.key),
                                "use_config": False,
                                **({"host_key": host_key} if host_key else {}),
                            },
                        }
                    ],
                }
            )
        )

    @property
    def lock(self) -> Path:
        return self.folder / "state" / "clusterup" / "clusters" / "lab" / "lock"

    def types(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with self.begins(*arguments) as process:
            output, errors = process.communicate()
        assert "Traceback" not in errors
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)

    def begins(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
        environment |= {"XDG_STATE_HOME": str(self.folder / "state"), "HOME": str(self.folder)}
        return subprocess.Popen(
            [sys.executable, "-c", "from bootstrap.cli.start import start; start()", *arguments],
            cwd=self.folder,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def operator(tmp_path: Path, sshd: Server) -> Operator:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "os.raw.zst").write_bytes(b"an image")
    image = bundle_as_data("os", folder / "os.raw.zst", partitions=(Partition("CLUSTERUP", 65536, 65536),))
    image = dataclasses.replace(image, raw_size=image.size)
    (folder / "payload.raw").write_bytes(b"a payload")
    payload = bundle_as_data("payload", folder / "payload.raw", components=COMPONENTS)
    write_manifest(Bundle(folder, "1", {"os": image, "payload": payload}))
    return Operator(tmp_path, sshd)


def test_a_machine_that_can_t_be_installed_is_refused_with_everything_that_speaks_against_it(
    operator: Operator,
) -> None:
    operator.inventory(host_key=operator.sshd.host_key)
    refused = operator.types("apply", "lab.yaml", "--yes")
    assert refused.returncode == 4
    assert "s1: preflight: it has no disk /dev/nonesuch" in refused.stderr
    assert "got: disks: /dev/" in refused.stderr
    assert "because it runs another system, not the installed micro OS" in refused.stdout


def test_the_disk_that_this_system_runs_from_is_never_erased(operator: Operator) -> None:
    root = next(line.split()[0] for line in Path("/proc/mounts").read_text().splitlines() if line.startswith("/dev/"))
    disk = root.rstrip("0123456789")
    operator.inventory(host_key=operator.sshd.host_key, disk=disk)
    refused = operator.types("apply", "lab.yaml", "--yes", "--wipe", "s1")
    assert refused.returncode == 4
    assert f"the system that it runs now uses {disk}" in refused.stderr


def test_plan_says_the_same_and_speaks_json(operator: Operator) -> None:
    operator.inventory(host_key=operator.sshd.host_key)
    planned = operator.types("plan", "lab.yaml", "-o", "json")
    assert planned.returncode == 4
    lines = [json.loads(line) for line in planned.stdout.splitlines()]
    assert [line["node"] for line in lines if line.get("event") == "FactsRead"] == ["s1"]
    ids = [action["id"] for action in lines[-1]["actions"]]
    assert ids[:4] == ["cluster/keys", "s1/install.image", "s1/install.configuration", "s1/install.boot"]
    after = {action["id"]: action["after"] for action in lines[-1]["actions"]}
    assert after["s1/control-plane"] == ["s1/etcd.member"]
    assert after["s1/join"] == ["s1/runtime", "cluster/objects", "s1/control-plane"]


def test_a_host_key_that_no_one_vouched_for_is_refused_with_its_fingerprint(operator: Operator) -> None:
    operator.inventory()
    refused = operator.types("plan", "lab.yaml")
    assert refused.returncode == 1
    assert fingerprint(operator.sshd.host_key) in refused.stderr
    assert "host_key: ssh-ed25519" in refused.stderr


def test_another_host_key_than_the_inventory_s_is_refused_with_both_fingerprints(operator: Operator) -> None:
    expected = new_ssh_key().public
    operator.inventory(host_key=expected)
    refused = operator.types("plan", "lab.yaml")
    assert refused.returncode == 1
    assert fingerprint(operator.sshd.host_key) in refused.stderr
    assert fingerprint(expected) in refused.stderr


def test_a_machine_that_is_not_there_is_named_with_what_was_tried(operator: Operator) -> None:
    (port,) = free_ports(1)
    operator.inventory(host_key=operator.sshd.host_key, port=port)
    failed = operator.types("plan", "lab.yaml")
    assert failed.returncode == 1
    assert f"root@127.0.0.1:{port}" in failed.stderr


def test_verbose_names_the_commands_that_ran(operator: Operator) -> None:
    operator.inventory(host_key=operator.sshd.host_key)
    assert "s1: ran 'read facts': status 0" in operator.types("plan", "lab.yaml", "-v").stdout


def test_a_bundle_whose_hash_does_not_match_is_refused(operator: Operator) -> None:
    operator.inventory(host_key=operator.sshd.host_key)
    (operator.folder / "bundle" / "os.raw.zst").write_bytes(b"an imagE")
    refused = operator.types("apply", "lab.yaml", "--yes")
    assert refused.returncode == 4
    assert "os.raw.zst" in refused.stderr


def test_without_a_bundle_the_error_says_how_to_make_one(operator: Operator) -> None:
    operator.inventory(host_key=operator.sshd.host_key)
    for file in (operator.folder / "bundle").iterdir():
        file.unlink()
    failed = operator.types("plan", "lab.yaml")
    assert failed.returncode != 0
    assert "clusterup image build" in failed.stderr


def test_an_apply_while_another_one_works_is_refused_with_the_way_to_wait(operator: Operator) -> None:
    operator.inventory(host_key=operator.sshd.host_key)
    with file_lock(operator.lock, "apply other.yaml"):
        refused = operator.types("apply", "lab.yaml")
    assert refused.returncode == 4
    assert "lock: another clusterup is at work on this cluster" in refused.stderr
    assert f"(process {os.getpid()}) since " in refused.stderr
    assert ": apply other.yaml" in refused.stderr
    assert "--wait-for-lock" in refused.stderr


def test_an_apply_that_waits_says_for_whom_and_goes_on_when_the_other_has_ended(operator: Operator) -> None:
    operator.inventory(host_key=operator.sshd.host_key)
    with ExitStack() as other:
        other.enter_context(file_lock(operator.lock, "apply other.yaml"))
        with operator.begins("apply", "--wait-for-lock", "lab.yaml") as process:
            assert process.stderr is not None
            assert process.stderr.readline().endswith(": apply other.yaml\n")
            other.close()
            output, errors = process.communicate()
    assert "s1: answered" in output
    assert process.returncode == 4
    assert "it has no disk /dev/nonesuch" in errors


def test_ctrl_c_ends_the_wait(operator: Operator) -> None:
    operator.inventory(host_key=operator.sshd.host_key)
    with (
        file_lock(operator.lock, "apply other.yaml"),
        operator.begins("apply", "--wait-for-lock", "lab.yaml") as process,
    ):
        assert process.stderr is not None
        assert process.stderr.readline().startswith("waiting for the lock, held by ")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_a_wait_that_was_long_enough_ends_by_itself(operator: Operator) -> None:
    operator.inventory(host_key=operator.sshd.host_key)
    with file_lock(operator.lock, "apply other.yaml"):
        refused = operator.types("apply", "lab.yaml", "--wait-at-most", "1s")
    assert refused.returncode == 4
    assert "tried: apply lab.yaml, after waiting 1 s" in refused.stderr


def test_a_time_that_is_none_is_bad_use(operator: Operator) -> None:
    refused = operator.types("apply", "lab.yaml", "--wait-at-most", "soon")
    assert refused.returncode == 2
    assert "'soon' is not a time" in refused.stderr
