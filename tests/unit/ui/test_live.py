"""The live view of a run: a line a node, and one for the whole."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from rich.console import Console

from bootstrap.engine.action import Action
from bootstrap.engine.connections import Connections
from bootstrap.engine.events import (
    ActionDone,
    ActionFailed,
    ActionProgress,
    ActionSays,
    ActionSkipped,
    ActionStarted,
    Event,
    PlanBegun,
)
from bootstrap.engine.plan import make_plan
from bootstrap.engine.run import run_plan
from bootstrap.errors import ClusterupError
from bootstrap.questions import asking
from bootstrap.ui.live import LiveObserver
from tests.unit.ui.test_shown import no_way


def shown(*events: Event, nodes: tuple[str, ...] = ("s1", "s2"), width: int = 80, height: int = 24) -> list[str]:
    """The view after these events, without blanks at the ends of lines."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None)
    live = LiveObserver(console, nodes)
    for event in events:
        live(event)
    page = Console(file=io.StringIO(), width=width, color_system=None)
    page.print(live._table())
    assert isinstance(page.file, io.StringIO)
    return [line.rstrip() for line in page.file.getvalue().splitlines()]


def started(name: str, node: str | None = "s1", step: str = "install") -> ActionStarted:
    return ActionStarted(id=name, node=node, step=step, title=f"do {name}")


def done(name: str, node: str | None = "s1") -> ActionDone:
    return ActionDone(id=name, node=node, step="install", title=name, seconds=1.0)


def moved(name: str, so_far: int, when: float = 0.0) -> ActionProgress:
    return ActionProgress(id=name, node="s1", step=name, title=name, done=so_far, total=10_000_000, time=when)


def test_a_failure_stays_in_its_line_and_is_told_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: Any) -> None:
        raise ClusterupError("the disk is full", hint="free some")

    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    plan = make_plan([Action("s1/a", "s1", "boot", "start it", lambda _: "it is bare", fail)], None)
    with LiveObserver(console, ["s1", "s2"]) as live:
        run_plan(plan, Connections(no_way), observe=live)
    assert "✗ s1 the disk is full" in screen.getvalue()
    told = capsys.readouterr()
    assert told.err == "s1: boot: the disk is full\n  next: free some\n"
    assert told.out == ""


def test_a_node_that_waits_for_others_has_no_tick() -> None:
    lines = shown(PlanBegun(planned={"s1": 2, "s2": 1}), started("a"), done("a"), started("b", "s2"))
    assert lines[0] == "… s1 waits for others"
    assert lines[1].startswith("> s2 install: do b")


def test_a_node_has_a_tick_when_all_of_it_is_done_and_none_where_nothing_was_planned() -> None:
    """A node that was not reached has nothing in the plan either."""
    lines = shown(PlanBegun(planned={"s1": 1}), started("a"), done("a"))
    assert [line[:4] for line in lines[:2]] == ["✓ s1", "  s2"]


def test_a_node_of_which_something_was_not_begun_has_no_tick() -> None:
    skipped = ActionSkipped(id="a", node="s1", step="x", title="a", because="interrupted")
    lines = shown(PlanBegun(planned={"s1": 2}), skipped, started("b"), done("b"))
    assert lines[0].startswith("- s1")


def test_a_small_transfer_is_told_in_kilobytes() -> None:
    event = ActionProgress(id="a", node="s1", step="images", title="x", done=200_000, total=400_000)
    assert "images [########........] 200/400 kB" in shown(started("a"), event)[0]


def test_a_long_name_leaves_room_for_what_its_node_does() -> None:
    name = "n" * 58
    lines = shown(PlanBegun(planned={name: 1}), started("a", name), nodes=(name,), width=60)
    assert "install: do a" in lines[0]
    assert "0 of 1 actions" in lines[-1]


def test_the_whole_is_counted() -> None:
    failed = ActionFailed(id="b", node="s2", step="x", title="b", seconds=1, error=ClusterupError("no", hint="look"))
    lines = shown(PlanBegun(planned={"s1": 3, "s2": 2}), started("a"), done("a"), started("b", "s2"), failed)
    assert lines[-1].split()[:4] == ["1", "of", "5", "actions,"]
    assert "1 failed" in lines[-1]


def test_what_is_skipped_after_a_failure_stays_a_failure() -> None:
    failed = ActionFailed(id="a", node="s1", step="x", title="a", seconds=1, error=ClusterupError("no", hint="look"))
    skipped = ActionSkipped(id="b", node="s1", step="x", title="b", because="s1/a")
    assert shown(PlanBegun(planned={"s1": 2}), started("a"), failed, skipped)[0] == "✗ s1 no"


def test_a_transfer_shows_its_bar_and_rate() -> None:
    (line, *_) = shown(started("image"), moved("image", 0, 100.0), moved("image", 5_000_000, 102.0))
    assert "image [########........] 5/10 MB" in line


def test_two_transfers_of_a_node_do_not_mix() -> None:
    """The payload and the images come at the same time."""
    events = [
        started("payload"),
        started("images"),
        moved("payload", 4_000_000, 100.0),
        moved("images", 1_000_000, 100.5),
    ]
    events += [moved("payload", 8_000_000, 101.0), moved("images", 2_000_000, 101.5)]
    (line, *_) = shown(*events)
    assert "payload [############....] 8/10 MB" in line
    assert "-" not in line.partition("]")[2]
    (line, *_) = shown(*events, done("payload"))
    assert "images [###.............] 2/10 MB" in line


def test_a_transfer_of_nothing_is_none() -> None:
    event = ActionProgress(id="a", node="s1", step="images", title="x", done=0, total=0)
    assert "0/0" not in "".join(shown(started("a"), event))


def test_nodes_for_which_there_is_no_row_are_counted() -> None:
    nodes = tuple(f"n{number}" for number in range(40))
    planned = PlanBegun(planned=dict.fromkeys(nodes, 1))
    events = [started(f"{node}/a", node) for node in nodes[30:34]] + [done("n0/a", "n0")]
    lines = shown(planned, *events, nodes=nodes, height=12)
    assert len(lines) <= 12
    for node in nodes[30:34]:
        assert any(line.startswith(f"> {node} ") for line in lines)
    assert any("and 31 more: 30 waiting, 1 done" in line for line in lines)


@pytest.mark.parametrize("width", [40, 60, 79])
def test_a_narrow_terminal_is_readable(width: int) -> None:
    say = ActionSays(id="b", node="s2", step="x", title="b", text="waiting for the other members of etcd")
    long = ActionStarted(id="c", node="s2", step="install", title=f"write {'a long name ' * 9}")
    events = [started("image"), moved("image", 0, 100.0), moved("image", 5_000_000, 102.0), long, say]
    lines = shown(PlanBegun(planned={"s1": 1, "s2": 1}), *events, width=width)
    assert all(len(line) <= width for line in lines)
    assert "image 50 %" in lines[0]
    assert lines[1].startswith("> s2 install: write a long name")
    assert "…" in lines[1]


def test_the_view_is_off_the_terminal_while_a_person_is_asked() -> None:
    """A view that is drawn ten times a second wipes the question, and what is typed."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    outside = sys.stdout, sys.stderr
    with LiveObserver(console, ["s1"]) as live:
        assert live._live.is_started
        with asking():
            assert not live._live.is_started
            assert (sys.stdout, sys.stderr) == outside
            live(ActionSays(id="a", node="s1", step="install", title="a", text="goes on"))
            asked = screen.tell()
        assert live._live.is_started
        live._live.refresh()
        # Nothing of what stands above it is wiped: the cursor goes up no further than the new view.
        first, _, _ = screen.getvalue()[asked:].partition("s1")
        assert "\x1b[1A" not in first
    with asking():
        assert not live._live.is_started
