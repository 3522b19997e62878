"""Whatever an inventory says: it is refused in words, or planned for without a traceback and without a line of its own
in any file of a node.

`CLUSTERUP_INVENTORIES` is how many are tried; a full run tries 20,000.
"""

from __future__ import annotations

import dataclasses
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bootstrap.connect.console_network import network_command
from bootstrap.connect.console_target import console_target
from bootstrap.connect.ssh import target_of
from bootstrap.errors import BadUse, ClusterupError
from bootstrap.facts.model import ClusterFacts, NodeFacts, Unreachable
from bootstrap.facts.node import parse_facts
from bootstrap.image.bundle import Bundle
from bootstrap.inventory.load import InventoryErrors, ReadInventory, written_of
from bootstrap.inventory.taking_out import without_node
from bootstrap.operations.intent import Intent, intent_of
from bootstrap.operations.planning import installation_of, prepare
from bootstrap.phases.kubeconfig import admin_kubeconfig
from bootstrap.phases.prepared import Prepared
from bootstrap.state.cluster import ClusterState
from bootstrap.ui.review import plan_lines
from tests.helpers.inventories import MARK, SECRET, inventory
from tests.helpers.worlds import bundle
from tests.simulator.recorded import facts_script, installed, live

COUNT = int(os.environ.get("CLUSTERUP_INVENTORIES", "20000"))
PARTS = 4
PLACE = Path("lab.yaml")
NOT_OURS = re.compile(r"Input should|should match|valid tuple|Value error|Error:|Traceback|pydantic|\(\?|\[a-z")
LINE_OF_A_UNIT = re.compile(r"\[(Unit|Service)\]|#.*|[A-Z][A-Za-z]+=.*|    \S.*|")
# One in so many of those that are planned is edited as well, which is slow.
EDITED = 10


@dataclasses.dataclass(frozen=True)
class Ground:
    """The operator's machine, which all inventories share."""

    state: ClusterState
    bundle: Bundle
    kubeconfig: Path

    def intent(self, written: ReadInventory) -> Intent:
        """What an inventory comes to, as `plan` makes it."""
        return intent_of(
            written.inventory,
            self.state,
            self.bundle,
            self.kubeconfig,
            written=written.content,
            places=written.places,
        )


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    # Thousands of certificates are made, and none has to outlive a power failure.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    (tmp_path / "state").mkdir(mode=0o700)
    return Ground(ClusterState(tmp_path / "state"), bundle(tmp_path / "bundle"), tmp_path / "lab.kubeconfig")


@pytest.mark.parametrize("part", range(PARTS))
def test_every_inventory_is_refused_in_words_or_planned(
    ground: Ground, part: int, record_property: Callable[[str, object], None]
) -> None:
    found: Counter[str] = Counter()
    seeds = range(part, COUNT, PARTS)
    for seed in seeds:
        content = inventory(seed)
        try:
            found[outcome(ground, seed, content)] += 1
        except Exception as error:
            error.add_note(f"inventory {seed}: {content!r:.4000}")
            raise
    share = found["planned"] / len(seeds)
    said = (
        f"{len(seeds):,} inventories: {found['refused']:,} refused in words, {found['planned']:,} planned ({share:.0%})"
    )
    record_property("counted", f"{said}, {found['refused by the plan']:,} refused by the plan")
    assert sum(found.values()) == len(seeds)
    assert 0.08 < share < 0.4, said


def outcome(ground: Ground, seed: int, content: bytes) -> str:
    """What becomes of an inventory; raises AssertionError where that is not as it should be."""
    try:
        written = written_of(PLACE, content)
    except BadUse as error:
        check_words(error)
        return "refused"
    try:
        intent = ground.intent(written)
        prepared = prepare(intent, world_of(intent, seed), wipe=frozenset())
    except ClusterupError as error:
        check_words(error)
        return "refused by the plan"
    check_files(intent)
    check_plan(intent, prepared)
    check_ways(intent)
    if seed % EDITED == 0:
        check_editing(written)
    return "planned"


def check_words(error: ClusterupError) -> None:
    said = str(error)
    assert error.exit_code == 2 or not isinstance(error, BadUse)
    assert all(line.isprintable() for line in said.splitlines()), repr(said)
    assert not NOT_OURS.search(said), said
    assert SECRET not in said
    if isinstance(error, InventoryErrors):
        for problem in error.problems:
            assert problem.line >= 1
            assert problem.found
            assert not re.search(r"nodes\.\d", problem.found), said


def world_of(intent: Intent, seed: int) -> ClusterFacts:
    """Machines as they were recorded: bare ones, finished ones, and some that are away."""
    nodes: dict[str, NodeFacts] = {}
    away: dict[str, ClusterupError] = {}
    for number, (name, desired) in enumerate(intent.nodes.items()):
        state = (seed + number) % 5
        identity = intent.state.identity(name)
        if state == 0:
            away[name] = ClusterupError("no answer", node=name, hint="start it")
            continue
        if state < 3:
            machine = live(name, str(desired.node.address), identity.host_key, [])
        else:
            cluster = intent.inventory.cluster.name
            machine = installed(desired, cluster, intent.state.cluster_id, identity, "")
        answer = machine.run(facts_script(), desired.wanted.stdin).stdout
        nodes[name] = parse_facts(answer.decode(), node=name, at=time.time())
    return ClusterFacts({**nodes, **{name: Unreachable(error) for name, error in away.items()}})


def check_files(intent: Intent) -> None:
    """Nothing of the inventory is a line of its own in a file, and units have no lines but those of units."""
    for path, content in files_of(intent):
        lines = content.decode().split("\n")
        assert not [line for line in lines if line.lstrip().startswith((MARK, "ExecStartPost=/bin/touch"))], path
        assert "\x1b" not in content.decode()
        if path.endswith(".service"):
            assert not [line for line in lines if not LINE_OF_A_UNIT.fullmatch(line)], content.decode()


def files_of(intent: Intent) -> Iterator[tuple[str, bytes]]:
    """All that lies on nodes because the inventory says so."""
    installation = installation_of(intent)
    for name, desired in intent.nodes.items():
        yield from ((file.path, file.content) for file in desired.files)
        yield from ((file.path, file.content) for file in installation.etc(name))


def check_plan(intent: Intent, prepared: Prepared) -> None:
    for line in plan_lines(prepared.plan):
        assert line.isprintable(), line
    for problem in prepared.problems:
        check_words(problem)
    assert {item.action.node for item in prepared.plan.items} <= {None, *intent.nodes}


def check_ways(intent: Intent) -> None:
    """The ways into the nodes and the kubeconfig can be made."""
    admin_kubeconfig(intent.inventory, intent.keys)
    for node in intent.inventory.nodes:
        target_of(node, "ssh-ed25519 AAAA", intent.state)
        console_target(node, intent.inventory.cluster.name)
        network_command(node, "ssh-ed25519 AAAA")


def check_editing(written: ReadInventory) -> None:
    """A node's entry is taken out, or left to a person in words."""
    name = written.inventory.nodes[-1].name
    try:
        left = without_node(PLACE, written.content, name)
    except BadUse as error:
        check_words(error)
    else:
        assert f'"{name}"'.encode() not in left or len(written.inventory.nodes) > 1
