"""A machine without a network card is installed over its console alone.

With a lab of its own. Between clusterup and the machine is a wire of a megabyte a second: the
console is one that would carry more.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from bootstrap.connect.console_login import line_with_shell
from bootstrap.connect.console_target import console_target
from bootstrap.operations.planning import installation_of
from bootstrap.operations.reading import intent_of_file
from bootstrap.transport.serial.shell.find import ShellPatience
from bootstrap.transport.serial.shell.root import leave_root_shell
from tests.e2e.conftest import lab_of
from tests.e2e.labs import Labs
from tests.e2e.operator import Operator
from tests.helpers.wires.paced_wire import Carried, paced_wire

pytestmark = [pytest.mark.e2e, pytest.mark.every_time]
MACHINE = "server-1"
RATE = 1_000_000
MEASURED = 4_000_000


@pytest.fixture(scope="module")
def lab(labs: Labs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with lab_of(labs, tmp_path_factory, "wire", "--servers", "1", "--without-card", MACHINE) as operator:
        yield operator


@pytest.fixture(scope="module")
def wire(lab: Operator) -> Iterator[Carried]:
    """The machine's console in the inventory is the near end of a wire of `RATE` bytes a second."""
    (node,) = yaml.safe_load(lab.inventory.read_bytes())["nodes"]
    far = Path(node["console"]["url"].removeprefix("unix:"))
    near = lab.folder / "near.sock"
    lab.edits(lambda content: content["nodes"][0]["console"].update({"url": f"unix:{near}"}))
    with paced_wire(near, far, RATE) as carried:
        yield carried


def raw_rate(lab: Operator) -> float:
    """Bytes a second that the machine takes in when they are only written and read."""
    node = intent_of_file(lab.inventory, None).inventory.node(MACHINE)
    target = console_target(node, lab.name)
    assert target is not None
    with closing(line_with_shell(target, ShellPatience())) as line:
        line.write(b"stty raw; echo be''gin; head -c %d >/dev/null; stty sane -echo; echo the''end\r" % MEASURED)
        heard = b""
        while b"begin" not in heard:
            heard += line.read(60)
        began = time.monotonic()
        line.write(b"x" * MEASURED)
        while b"theend" not in heard:
            heard += line.read(60)
        seconds = time.monotonic() - began
        leave_root_shell(line, target)
    return MEASURED / seconds


def test_it_is_installed_and_starts_with_its_configuration(lab: Operator, wire: Carried) -> None:
    planned = lab.clusterup("plan", "lab.yaml")
    assert f"about 6 min over unix:{lab.folder}/near.sock at 4000000 baud" in planned
    raw = raw_rate(lab)
    before = wire.there
    said = lab.clusterup("apply", "lab.yaml", "--yes", "-o", "json")
    events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    image = [event for event in events if event.get("id") == f"{MACHINE}/install.image"]
    progress = [event for event in image if event["event"] == "ActionProgress"]
    took = progress[-1]["time"] - progress[0]["time"]
    sys.stdout.write(
        f"the line carries {raw / 1000:.0f} kB/s raw; the image: {progress[-1]['total'] / 1e6:.0f} MB of data in "
        f"{took:.0f} s, {progress[-1]['total'] / took / 1000:.0f} kB/s, for which "
        f"{(wire.there - before) / 1e6:.0f} MB went over the wire\n"
    )
    assert [event["id"] for event in events if event["event"] == "ActionDone"] == [
        "cluster/keys",
        *(f"{MACHINE}/install.{action}" for action in ("image", "configuration", "boot")),
    ]
    assert "nothing to do" in lab.clusterup("plan", "lab.yaml")


def test_its_console_names_it_and_its_configuration(lab: Operator, wire: Carried) -> None:
    intent = intent_of_file(lab.inventory, None)
    said = lab.runs("console", MACHINE, "lab.yaml").stdout
    assert f"Configuration: {installation_of(intent).configuration(MACHINE)}" in said
    assert f" {MACHINE} (os)" in said


def test_nothing_of_it_can_be_changed_before_it_has_a_network(lab: Operator, wire: Carried) -> None:
    content = yaml.safe_load(lab.inventory.read_bytes())
    content["nodes"][0]["ntp"] = ["192.0.2.1"]
    other = lab.folder / "other.yaml"
    other.write_text(yaml.safe_dump(content, sort_keys=False))
    refused = lab.runs("plan", "other.yaml")
    assert refused.returncode == 4
    assert "it runs the installed system with another configuration than the inventory's" in refused.stderr
    assert "console.only" in refused.stderr
