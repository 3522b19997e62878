"""Who a node is entered as: the inventory says it of a bare machine, an installed node knows root alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bootstrap.connect.ssh import opener
from bootstrap.errors import Refused
from bootstrap.state.cluster import ClusterState
from bootstrap.transport.base import Command
from bootstrap.transport.errors import AuthenticationFailed, HostKeyMismatch
from tests.helpers.worlds import inventory
from tests.integration.transport.conftest import Server, User, sshd, start_sshd, sudoer, without_password, write_key

__all__ = ["sshd", "start_sshd", "sudoer"]

WHO = Command("who", 'echo "$(id -un), logged in as ${SUDO_USER:-$USER}"')


class Machine:
    """The node s1 of a cluster, whose sshd is `sshd`."""

    def __init__(self, sshd: Server, folder: Path) -> None:
        self.sshd = sshd
        self.state = ClusterState(folder / "state")
        self.stack = ExitStack()

    def is_installed(self) -> None:
        """It shows the host key that was made for it, and lets the cluster's own key in."""
        kept = {"host_key": "nodes/s1/ssh_host_ed25519_key", "user_key": "ssh/id_ed25519"}
        for source, name in kept.items():
            (self.state.folder / name).parent.mkdir(mode=0o700, parents=True)
            shutil.copy(self.sshd.folder / source, self.state.folder / name)

    def entered(self, **ssh: object) -> str:
        way = {"host": "127.0.0.1", "port": self.sshd.port, "host_key": self.sshd.host_key, "use_config": False}
        wanted = inventory()
        node = wanted.nodes[0].model_copy(update={"ssh": wanted.nodes[0].ssh.model_copy(update={**way, **ssh})})
        transport = opener(wanted.model_copy(update={"nodes": (node,)}), self.state, None)("s1")
        self.stack.callback(transport.close)
        return transport.check(WHO).text.strip()


@pytest.fixture
def machine(sshd: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    made = Machine(sshd, tmp_path)
    with made.stack:
        yield made


def test_an_installed_node_is_entered_as_root_with_the_cluster_s_own_key(machine: Machine, tmp_path: Path) -> None:
    machine.is_installed()
    write_key(tmp_path / "stranger")
    assert machine.entered(user="admin", key=str(tmp_path / "stranger")) == "root, logged in as root"


def test_no_one_is_asked_for_the_secrets_of_a_bare_machine_when_it_is_installed(machine: Machine) -> None:
    machine.is_installed()
    nowhere = {"password_from": "env:NOT_THERE", "passphrase_from": "env:NOT_THERE"}
    assert machine.entered(user="admin", **nowhere) == "root, logged in as root"


def test_a_bare_machine_is_entered_as_the_inventory_says(machine: Machine, sudoer: User) -> None:
    without_password(sudoer)
    assert machine.entered(user=sudoer.name, key=str(machine.sshd.key)) == f"root, logged in as {sudoer.name}"


def test_a_machine_that_only_shows_another_host_key_is_not_taken_for_an_installed_one(
    machine: Machine, tmp_path: Path
) -> None:
    write_key(tmp_path / "stranger")
    with pytest.raises(AuthenticationFailed, match=f"admin@127.0.0.1:{machine.sshd.port} lets none of your keys"):
        machine.entered(user="admin", key=str(tmp_path / "stranger"))


def known(home: Path, *lines: str) -> None:
    """What the person's ssh has seen before."""
    (home / ".ssh").mkdir(mode=0o700)
    (home / ".ssh" / "known_hosts").write_text("".join(f"{line}\n" for line in lines))


def test_a_host_key_that_ssh_knows_needs_no_question(machine: Machine, tmp_path: Path) -> None:
    known(tmp_path, f"[127.0.0.1]:{machine.sshd.port} {machine.sshd.host_key}")
    assert machine.entered(key=str(machine.sshd.key), host_key=None) == "root, logged in as root"
    assert machine.state.host_keys.pinned("s1")["live"] == machine.sshd.host_key


def test_another_host_key_than_the_one_that_ssh_knows_is_refused(machine: Machine, tmp_path: Path) -> None:
    known(tmp_path, f"[127.0.0.1]:{machine.sshd.port} {write_key(tmp_path / 'other')}")
    with pytest.raises(HostKeyMismatch, match="shows another host key than the one in known_hosts") as refused:
        machine.entered(key=str(machine.sshd.key), host_key=None)
    assert refused.value.node == "s1"
    assert f"ssh-keygen -R '[127.0.0.1]:{machine.sshd.port}'" in refused.value.hint


def test_a_host_key_that_no_one_knows_is_named_with_its_kind(machine: Machine) -> None:
    with pytest.raises(Refused, match="its host key is not known yet") as refused:
        machine.entered(key=str(machine.sshd.key), host_key=None)
    assert (refused.value.got or "").startswith("ssh-ed25519 SHA256:")
