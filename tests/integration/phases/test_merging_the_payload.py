"""The payload becomes part of /usr, or the next look at the node says that it has not: in a root file system of its
own, with a systemd-sysext that does what it is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from bootstrap.constants.paths import PAYLOAD_LINK, PAYLOADS
from bootstrap.facts.node import Wanted, read_node
from bootstrap.phases.deploy.commands import use_payload
from bootstrap.transport.base import Result
from tests.helpers.local_transport import LocalTransport

NEW, OLD = "1" * 64, "2" * 64
RELEASE = "/usr/lib/extension-release.d/extension-release.clusterup"
KUBELET = "/usr/bin/kubelet"
MERGES = f"#!/bin/sh\n: >{RELEASE}; : >{KUBELET}; chmod +x {KUBELET}\n"
# What a lost connection does: everything that it had begun gets the signal.
IS_HUNG_UP = f"#!/bin/sh\nrm -f {RELEASE} {KUBELET}; kill -HUP $PPID\n"
IS_HUNG_UP_BEFORE_IT_BEGINS = "#!/bin/sh\nkill -HUP $PPID\n"


@dataclass
class Node:
    """A root file system that outlives the commands in it: what is written below `folder` is."""

    folder: Path

    def __post_init__(self) -> None:
        for name in ("lib", "run", "release", "bin", "own"):
            (self.folder / name).mkdir()
        (self.folder / "bin" / "sh").symlink_to("/host/sh")

    @property
    def transport(self) -> LocalTransport:
        places = {"lib": "/var/lib", "run": "/run", "release": "/usr/lib/extension-release.d", "bin": "/usr/bin"}
        own = [word for name, path in places.items() for word in ("--bind", str(self.folder / name), path)]
        own += ["--ro-bind", str(self.folder / "own"), "/own", "--setenv", "PATH", "/own:/host:/usr/sbin"]
        host = ["--ro-bind", "/usr/bin", "/host"]
        host += [word for path in ("/usr/sbin", "/usr/lib64", "/etc") for word in ("--ro-bind", path, path)]
        libraries = sorted(Path("/usr/lib").glob("*-linux-gnu"))
        host += [word for path in libraries for word in ("--ro-bind", str(path), str(path))]
        links = [word for name in ("bin", "sbin", "lib", "lib64") for word in ("--symlink", f"usr/{name}", f"/{name}")]
        shared = ["--dev-bind", "/dev", "/dev", "--proc", "/proc", "--ro-bind", "/sys", "/sys"]
        return LocalTransport(shell=("bwrap", "--tmpfs", "/", *host, *links, *own, *shared, "/host/sh"))

    def merge(self, payload: str, systemd_sysext: str) -> Result:
        program = self.folder / "own" / "systemd-sysext"
        program.write_text(systemd_sysext)
        program.chmod(0o755)
        command = use_payload(f"{PAYLOADS}/{payload}.raw")
        return self.transport.run(command)

    @property
    def payload(self) -> str | None:
        return read_node(self.transport, Wanted()).payload


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_payload_that_was_merged_is_what_the_node_has(node: Node) -> None:
    assert node.payload is None
    assert node.merge(NEW, MERGES).status == 0
    assert node.payload == NEW
    assert (node.folder / "lib" / "extensions" / Path(PAYLOAD_LINK).name).is_symlink()


def test_a_connection_lost_while_nothing_is_merged_leaves_a_node_without_payload(node: Node) -> None:
    node.merge(OLD, MERGES)
    assert node.merge(NEW, IS_HUNG_UP).status != 0
    assert node.payload is None


def test_a_connection_lost_before_the_old_payload_is_gone_does_not_pass_for_the_new_one(node: Node) -> None:
    node.merge(OLD, MERGES)
    assert node.merge(NEW, IS_HUNG_UP_BEFORE_IT_BEGINS).status != 0
    assert node.payload is None
    assert node.merge(NEW, MERGES).status == 0
    assert node.payload == NEW


def test_a_boot_that_merges_what_is_linked_needs_no_more(node: Node) -> None:
    node.merge(NEW, IS_HUNG_UP)
    (node.folder / "run" / "clusterup" / "merging").unlink()
    (node.folder / "release" / "extension-release.clusterup").touch()
    assert node.payload == NEW
