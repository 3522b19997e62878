"""Who a node is entered as: the inventory says it of a bare machine, an installed node knows root alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bootstrap.connect.ssh import opener
from bootstrap.state.cluster import ClusterState
from bootstrap.transport.base import Command
from bootstrap.transport.errors import AuthenticationFailed
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
