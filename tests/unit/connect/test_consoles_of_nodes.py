"""Nodes with a console: how long an image takes over it, what an installed system is known by, what is planned for one
that has nothing else, and what is said when neither way leads in."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bootstrap.connect import console_login as console_entry
from bootstrap.connect.console_login import ConsoleEntry, RunsInstalled, with_last_words
from bootstrap.connect.console_network import network_command, networked
from bootstrap.connect.console_target import INSTALLED, console_log
from bootstrap.errors import ClusterupError
from bootstrap.facts.model import ClusterFacts, OnConsole
from bootstrap.inventory.model import Console, Inventory
from bootstrap.inventory.serial_target import ConsoleTarget
from bootstrap.operations.planning import installation_of, prepare
from bootstrap.phases.install.console import PART, estimate, parts_of
from bootstrap.state.cluster import ClusterState
from bootstrap.transport.base import Transport
from bootstrap.transport.errors import TransportError
from tests.helpers.local_transport import LocalTransport
from tests.helpers.worlds import facts, intent, inventory


def with_console(only: bool = False) -> Inventory:
    """Three servers and an agent; s1 has a console."""
    whole = inventory()
    first = whole.nodes[0].model_copy(update={"console": Console(url="unix:/run/s1", only=only)})
    return whole.model_copy(update={"nodes": (first, *whole.nodes[1:])})


@pytest.mark.parametrize(
    ("baud", "size", "said"),
    [
        (115200, 130_000_000, "about 3 h 17 min over /dev/ttyUSB0 at 115200 baud (130 MB)"),
        (4_000_000, 130_000_000, "about 6 min over /dev/ttyUSB0 at 4000000 baud (130 MB)"),
        (115200, 10, "about 1 min over /dev/ttyUSB0 at 115200 baud (0 MB)"),
    ],
)
def test_how_long_an_image_takes_is_said_in_hours_and_minutes(baud: int, size: int, said: str) -> None:
    assert estimate(ConsoleTarget("s1", "/dev/ttyUSB0", baud=baud), size) == said


def test_parts_are_the_same_bytes_however_they_came() -> None:
    data = bytes(range(256)) * (PART // 128 + 3)
    for step in (1000, PART, 3 * PART):
        parts = list(parts_of(data[at : at + step] for at in range(0, len(data), step)))
        assert b"".join(parts) == data
        assert {len(part) for part in parts[:-1]} == {PART}


def test_an_installed_system_is_known_by_what_its_console_shows() -> None:
    digest = "0f" * 32
    shown = f"clusterup 0.1.0 s1 (os)\nConfiguration: {digest}\nNo login here\n\ns1 login: "
    assert INSTALLED.findall(shown) == [digest]
    assert INSTALLED.findall("Configuration: none, no partition CLUSTERUP\n") == ["none, no partition CLUSTERUP"]
    assert INSTALLED.findall(f"echo Configuration: {digest}\n") == []


def test_a_machine_s_own_key_and_addresses_are_read_from_what_it_says() -> None:
    found = networked(
        "host_key ssh-rsa AAAAB3\nhost_key ssh-ed25519 AAAAC3\naddress enp1s0 192.0.2.7/24\nnoise\n", "s1"
    )
    assert (found.host_key, found.words) == ("ssh-ed25519 AAAAC3", "enp1s0 192.0.2.7/24")
    with pytest.raises(ClusterupError, match="no host key"):
        networked("address enp1s0 192.0.2.7/24\n", "s1")


def test_a_node_without_interfaces_asks_for_an_address_on_every_card() -> None:
    script = network_command(inventory().nodes[0], "ssh-ed25519 AAAA clusterup").script
    assert "let_in root 'ssh-ed25519 AAAA clusterup'" in script
    assert "\nevery_card '[Match]" in script


def test_only_its_installation_is_planned_for_a_node_without_a_network(tmp_path: Path) -> None:
    wanted = dataclasses.replace(intent(tmp_path), inventory=with_console(only=True))
    live = {name: facts(kind="live", machine_id=name) for name in wanted.nodes}
    prepared = prepare(wanted, ClusterFacts(live), wipe=frozenset())
    steps = {item.action.id for item in prepared.plan.items if item.action.node == "s1"}
    assert steps == {"s1/install.image", "s1/install.configuration", "s1/install.boot"}
    (founding,) = [item.action.node for item in prepared.plan.items if "found the etcd" in item.action.title]
    assert founding == "s2"


def test_an_agent_is_installed_and_joins_nothing_while_no_server_has_a_network(tmp_path: Path) -> None:
    whole = with_console(only=True)
    alone = whole.model_copy(update={"nodes": (whole.node("s1"), whole.node("a1"))})
    wanted = dataclasses.replace(intent(tmp_path), inventory=alone)
    world = ClusterFacts({name: facts(kind="live", machine_id=name) for name in ("s1", "a1")})
    steps = {item.action.id for item in prepare(wanted, world, wipe=frozenset()).plan.items}
    assert "a1/install.image" in steps
    assert {"a1/files", "a1/runtime"} <= steps
    assert not steps & {"a1/join", "a1/node", "cluster/objects", "cluster/kubeconfig"}


def test_one_that_runs_what_the_inventory_says_leaves_nothing_to_do_and_another_is_refused(tmp_path: Path) -> None:
    wanted = dataclasses.replace(intent(tmp_path), inventory=with_console(only=True))
    running = {"s1": installation_of(wanted).configuration("s1")}
    fine = prepare(wanted, ClusterFacts({name: OnConsole(said) for name, said in running.items()}), wipe=frozenset())
    assert [item.action.id for item in fine.plan.items if item.action.node == "s1"] == []
    assert fine.problems == ()
    other = prepare(wanted, ClusterFacts({"s1": OnConsole("0f" * 32)}), wipe=frozenset())
    assert ["another configuration" in problem.problem for problem in other.problems] == [True]


def away(name: str) -> Transport:
    raise TransportError("it can't be reached", node=name, tried="SSH", got="no route", hint="look at its network")


def test_what_ssh_and_the_console_said_stands_in_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object) -> Transport:
        raise ClusterupError("nothing came over its console", tried="open it", got="0 bytes", hint="look at the cable")

    monkeypatch.setattr(console_entry, "over_console", silent)
    said: list[str] = []
    entry = ConsoleEntry(with_console(), ClusterState(tmp_path), away, lambda _, text: said.append(text))
    with pytest.raises(TransportError) as caught:
        entry.open("s1")
    assert "it can't be reached" in str(caught.value)
    assert "no route; on its console: nothing came over its console (0 bytes)" in str(caught.value)
    assert "look at the cable; or, for SSH: look at its network" in str(caught.value)
    assert said == ["not over SSH (it can't be reached); over its console, unix:/run/s1"]


def test_an_installed_node_that_ssh_does_not_reach_is_said_to_be_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed(_: object, target: ConsoleTarget, __: object) -> Transport:
        raise RunsInstalled(target, "0f" * 32)

    monkeypatch.setattr(console_entry, "over_console", installed)
    with pytest.raises(TransportError, match="it runs the installed micro OS"):
        ConsoleEntry(with_console(), ClusterState(tmp_path), away, lambda *_: None).open("s1")


def test_a_node_that_was_entered_over_ssh_is_never_typed_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def typed(*_: object) -> Transport:
        raise AssertionError("its console was opened")

    monkeypatch.setattr(console_entry, "over_console", typed)
    ways: Iterator[Callable[[str], Transport]] = iter((LocalTransport, away))

    def over_ssh(name: str) -> Transport:
        return next(ways)(name)

    entry = ConsoleEntry(with_console(), ClusterState(tmp_path), over_ssh, lambda *_: None)
    assert entry.open("s1").node == "s1"
    with pytest.raises(TransportError, match="it can't be reached"):
        entry.open("s1")


def test_the_last_words_of_its_console_stand_with_a_node_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    log = console_log("lab", "s1")
    log.parent.mkdir(parents=True)
    log.write_bytes(b"[    1.2] booting\r\n[    9.9] Kernel panic - not syncing\r\n")
    through = with_last_words(with_console(), ClusterState(tmp_path), lambda *_: None)
    with pytest.raises(TransportError) as caught:
        through(away)("s1")
    assert f"the last lines of its console ({log})" in str(caught.value)
    assert "Kernel panic" in str(caught.value)
    with pytest.raises(TransportError) as without:
        through(away)("s2")
    assert "console" not in str(without.value)
