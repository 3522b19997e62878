"""A machine with nothing but a root shell on its console gets a network and lets clusterup in over SSH.

The machine is a network namespace, joined to this one by a cable (veth), with folders of its own where a machine keeps
its keys; its console is a shell in it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path

import pytest

from bootstrap.connect import console_login as console_entry
from bootstrap.connect.console_login import with_consoles
from bootstrap.connect.ssh import opener
from bootstrap.errors import ClusterupError
from bootstrap.inventory.model import CardRoute, Console, Interface, Inventory, Ssh
from bootstrap.pki.sshkeys import new_ssh_key
from bootstrap.state.cluster import LIVE, ClusterState
from bootstrap.transport.base import Command
from bootstrap.transport.errors import TransportError
from tests.helpers.daemons import wait_for
from tests.helpers.worlds import inventory

NAMESPACE = f"cu{os.getpid()}"
MAC = "52:54:00:c0:05:01"
OURS, THEIRS = "198.18.71.1/30", "198.18.71.2/30"
MACHINE = """\
mkdir -p /run/sshd /etc/ssh
printf 'PermitRootLogin prohibit-password\\nUsePAM no\\n' >/etc/ssh/sshd_config
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
exec socat UNIX-LISTEN:{folder}/console.sock,fork EXEC:'bash -i',pty,setsid,ctty,stderr
"""

if os.geteuid() != 0:
    pytest.skip("making network namespaces needs root", allow_module_level=True)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


@pytest.fixture
def cable() -> Iterator[None]:
    """A network namespace with one card, which is down and has no address."""
    ip("netns", "add", NAMESPACE)
    try:
        ip("link", "add", f"{NAMESPACE}a", "type", "veth", "peer", "name", "wire0", "address", MAC, "netns", NAMESPACE)
        ip("address", "add", OURS, "dev", f"{NAMESPACE}a")
        ip("link", "set", f"{NAMESPACE}a", "up")
        yield
    finally:
        ip("link", "delete", f"{NAMESPACE}a")
        ip("netns", "delete", NAMESPACE)


@dataclass
class Site:
    """One node whose console is a shell in the namespace."""

    state: ClusterState
    console: str
    said: list[str] = field(default_factory=list)

    def inventory(self, *interfaces: Interface) -> Inventory:
        whole = inventory()
        address = IPv4Interface(THEIRS).ip
        node = whole.nodes[0].model_copy(
            update={
                "ssh": Ssh(host=str(address), use_config=False),
                "console": Console(url=self.console),
                "interfaces": interfaces,
            }
        )
        return whole.model_copy(update={"nodes": (node,)})

    def open(self, *interfaces: Interface) -> str:
        """Enter the node; what a command there says."""
        wanted = self.inventory(*interfaces)
        through = with_consoles(wanted, self.state, lambda node, text: self.said.append(f"{node}: {text}"))
        way = through(opener(wanted, self.state, None))("s1")
        with closing(way):
            return way.check(Command("who", "echo $(id -un) over ${SSH_CONNECTION:+SSH}")).text.strip()


@pytest.fixture
def site(cable: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / "state").mkdir(mode=0o700)
    own = [word for folder in ("/etc/ssh", "/root", "/run") for word in ("--tmpfs", folder)]
    sandbox = ["bwrap", "--bind", "/", "/", *own, "--dev-bind", "/dev", "/dev", "--proc", "/proc", "--unshare-pid"]
    argv = [*sandbox, "--die-with-parent", "sh", "-c", MACHINE.format(folder=tmp_path)]
    machine = subprocess.Popen(["ip", "netns", "exec", NAMESPACE, *argv])
    try:
        wait_for((tmp_path / "console.sock").exists, "the machine's console")
        yield Site(ClusterState(tmp_path / "state"), f"unix:{tmp_path}/console.sock")
    finally:
        machine.kill()
        machine.wait()


def static(**more: object) -> Interface:
    return Interface(mac=MAC, addresses=(IPv4Interface(THEIRS),), **more)


def test_it_is_entered_over_ssh_with_the_host_key_that_its_console_named(site: Site) -> None:
    said = site.open(static(gateway=IPv4Address("198.18.71.1")))
    assert said == "root over SSH"
    assert "s1: not over SSH" in site.said[0]
    assert "has its network (wire0 198.18.71.2/30); its host key is known from its console" in site.said[1]
    assert set(site.state.host_keys.pinned("s1")) == {LIVE}


def test_networks_behind_routers_are_reached_as_the_inventory_says(site: Site) -> None:
    route = CardRoute(to=IPv4Network("198.18.80.0/24"), via=IPv4Address("198.18.71.1"))
    assert site.open(static(routes=(route,))) == "root over SSH"
    inside = ["ip", "-netns", NAMESPACE, "route", "show", "198.18.80.0/24"]
    shown = subprocess.run(inside, capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "198.18.80.0/24 via 198.18.71.1 dev wire0"


def test_the_second_time_the_console_is_not_needed(site: Site) -> None:
    assert site.open(static()) == site.open(static()) == "root over SSH"
    assert len(site.said) == 2


def test_another_host_key_than_the_pinned_one_is_believed_when_the_console_names_it(site: Site) -> None:
    earlier = new_ssh_key().public
    site.state.host_keys.pin("s1", LIVE, earlier)
    assert site.open(static()) == "root over SSH"
    assert site.state.host_keys.pinned("s1")[LIVE] != earlier


def test_a_card_that_is_not_there_is_named_beside_what_ssh_said(site: Site) -> None:
    with pytest.raises(ClusterupError) as caught:
        site.open(Interface(mac="52:54:00:00:00:99", addresses=(IPv4Interface(THEIRS),)))
    assert "there is no network card 52:54:00:00:00:99" in str(caught.value)
    assert MAC in str(caught.value)
    assert "198.18.71.2 can't be reached" in str(caught.value)


def test_an_address_that_this_machine_does_not_reach_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_entry, "SSH_SECONDS", 0.0)
    with pytest.raises(TransportError) as caught:
        site.open(Interface(mac=MAC, addresses=(IPv4Interface("198.18.99.2/30"),)))
    assert "over its console it says that it has wire0 198.18.99.2/30" in str(caught.value)
    assert "ssh.host" in caught.value.hint
