"""While something is done on nodes, what their consoles say is kept: of all of them, whoever else looks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.connect import console_log as console_watch
from bootstrap.connect.console_log import watched_consoles
from bootstrap.connect.console_target import console_log, console_target
from bootstrap.inventory.model import Console, Inventory
from bootstrap.transport.serial.errors import LineInUse
from bootstrap.transport.serial.line.open import open_line
from tests.helpers.daemons import wait_for
from tests.helpers.worlds import inventory
from tests.integration.console.servers import a_terminal


class Site:
    """Three servers; s1 has a console, whose far end is `machine`."""

    def __init__(self, machine: int, terminal: Path, only: bool = False) -> None:
        self.machine = machine
        whole = inventory()
        first = whole.nodes[0].model_copy(update={"console": Console(url=str(terminal), only=only)})
        self.inventory: Inventory = whole.model_copy(update={"nodes": (first, *whole.nodes[1:])})
        self.log = console_log("lab", "s1")

    def says(self, text: str) -> None:
        os.write(self.machine, text.encode())

    def hears(self, text: str) -> bool:
        """Whether the words are kept; they are said again, because no one may have read yet when they were."""
        self.says(text)
        return text.strip() in self.kept()

    def kept(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with a_terminal() as (machine, terminal):
        yield Site(machine, terminal)


def test_what_a_console_says_meanwhile_is_kept(site: Site) -> None:
    with watched_consoles(site.inventory, "apply lab.yaml"):
        wait_for(lambda: site.hears("[    1.0] starting\r\n"), "the console's words")


def test_whoever_wants_to_type_there_is_told_who_reads_it(site: Site) -> None:
    target = console_target(site.inventory.nodes[0], "lab")
    assert target is not None
    with watched_consoles(site.inventory, "apply lab.yaml"):
        wait_for(lambda: site.hears("hello\r\n"), "the console's words")
        with pytest.raises(LineInUse) as caught:
            open_line(target)
    assert "apply lab.yaml" in str(caught.value)
    open_line(target).close()


def test_a_console_that_somebody_reads_already_is_left_to_them(site: Site) -> None:
    target = console_target(site.inventory.nodes[0], "lab")
    assert target is not None
    line = open_line(target)
    with watched_consoles(site.inventory, "apply lab.yaml"):
        site.says("for them\r\n")
        assert line.read(10.0).startswith(b"for")
    line.close()
    assert "for them" in site.kept()


def test_a_console_that_is_not_there_keeps_no_one_from_anything(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_watch, "AGAIN_SECONDS", 0.01)
    first = site.inventory.nodes[0].model_copy(update={"console": Console(url="unix:/nowhere/console.sock")})
    wanted = site.inventory.model_copy(update={"nodes": (first, *site.inventory.nodes[1:])})
    with watched_consoles(wanted, "apply lab.yaml"):
        pass
    assert site.kept() == ""


def test_the_only_way_into_a_node_is_not_taken_from_those_who_go_it(site: Site) -> None:
    node = site.inventory.nodes[0]
    only = node.model_copy(update={"console": node.console.model_copy(update={"only": True})})
    target = console_target(only, "lab")
    assert target is not None
    with watched_consoles(site.inventory.model_copy(update={"nodes": (only,)}), "apply lab.yaml"):
        open_line(target).close()
