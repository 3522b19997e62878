"""What a person and a machine see of a run."""

from __future__ import annotations

import io
import json
from typing import Any

from rich.console import Console

from bootstrap.engine.action import Action
from bootstrap.engine.connections import Connections
from bootstrap.engine.context import RunContext
from bootstrap.engine.events import ActionProgress, ActionStarted, CommandRan, FactsRead, nobody
from bootstrap.engine.plan import Plan, make_plan
from bootstrap.engine.run import run_plan
from bootstrap.errors import ClusterupError
from bootstrap.transport.base import Transport
from bootstrap.ui.jsonl import JsonObserver
from bootstrap.ui.live import LiveObserver
from bootstrap.ui.plain import Detail, PlainObserver
from bootstrap.ui.words import plan_lines, report_lines


def no_way(node: str) -> Transport:
    raise AssertionError(node)


def fail(_: Any) -> None:
    raise ClusterupError("the disk is full", got="No space left", hint="free some")


def transfer(context: Any) -> None:
    assert isinstance(context, RunContext)
    context.progress(5_000_000, 10_000_000)
    context.progress(10_000_000, 10_000_000)


def plan() -> Plan[None]:
    return make_plan(
        [
            Action("s1/a", "s1", "install", "write the image", lambda _: "it is bare", transfer),
            Action("s1/b", "s1", "boot", "start it", lambda _: "it is bare", fail, needs=("s1/a",)),
            Action("s1/c", "s1", "join", "join it", lambda _: "it is no node", transfer, needs=("s1/b",)),
        ],
        None,
    )


def test_a_plan_says_node_by_node_what_and_why() -> None:
    assert list(plan_lines(plan())) == [
        "s1",
        "  install: write the image",
        "  boot: start it",
        "      because it is bare",
        "  join: join it",
        "      because it is no node",
        "3 actions on 1 machines",
    ]
    assert list(plan_lines(Plan(()))) == ["nothing to do: everything is as the inventory says"]


def test_a_report_says_what_failed_what_was_not_begun_and_how_to_go_on() -> None:
    report = run_plan(plan(), Connections(no_way), observe=nobody)
    text = "\n".join(report_lines(report, [], "clusterup apply lab.yaml"))
    assert "s1: boot: the disk is full\n  got: No space left\n  next: free some" in text
    assert "  s1: done: a; failed: b; not begun: c (because of s1/b)\n" in text
    assert "1 done, 1 failed, 1 not begun, in" in text
    assert text.endswith("to go on: clusterup apply lab.yaml")


def test_a_report_names_the_nodes_that_were_not_reached_and_those_that_are_done() -> None:
    done: Plan[None] = make_plan(
        [Action(f"{name}/a", name, "a", "a", lambda _: "needed", lambda _: None) for name in ("s1", "s2")], None
    )
    report = run_plan(done, Connections(no_way), observe=nobody)
    lines = list(report_lines(report, ["s3", "s4"], "clusterup apply lab.yaml"))
    assert lines[:2] == ["  all done: s1, s2", "  not reached: s3, s4"]
    assert lines[-2].startswith("2 done, 0 failed, 0 not begun, 2 machines not reached, in ")
    assert lines[-1] == "to go on: clusterup apply lab.yaml"


def test_a_report_of_a_run_that_went_well_is_short() -> None:
    done: Plan[None] = make_plan([Action("s1/a", "s1", "a", "a", lambda _: "needed", lambda _: None)], None)
    lines = list(report_lines(run_plan(done, Connections(no_way), observe=nobody), [], "clusterup apply lab.yaml"))
    assert [line.split()[0] for line in lines] == ["a", "1"]


def test_plain_lines_tell_the_whole_story() -> None:
    written: list[str] = []
    run_plan(plan(), Connections(no_way), observe=PlainObserver(written.append))
    text = "".join(written)
    assert "s1: install: write the image: done in" in text
    assert "s1: install: 10.0 of 10.0 MB (100 %)" in text
    assert "s1: boot: start it: FAILED after" in text
    assert "s1: join: join it: not begun (s1/b)" in text


def test_plain_lines_show_commands_only_when_asked() -> None:
    quiet: list[str] = []
    loud: list[str] = []
    event = CommandRan(node="s1", name="read facts", status=0, seconds=0.5)
    PlainObserver(quiet.append)(event)
    PlainObserver(loud.append, Detail.COMMANDS)(event)
    assert quiet == []
    assert "ran 'read facts': status 0" in loud[0]


def test_machines_get_an_object_a_line() -> None:
    written: list[str] = []
    JsonObserver(written.append)(FactsRead(node="s1", error=ClusterupError("no answer", hint="look")))
    event = json.loads(written[0])
    assert (event["event"], event["node"]) == ("FactsRead", "s1")
    assert "no answer" in event["error"]


def test_a_terminal_has_one_line_a_node_and_failures_stay() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    with LiveObserver(console, ["s1", "s2"]) as live:
        run_plan(plan(), Connections(no_way), observe=live)
    shown = screen.getvalue()
    assert "s1: boot: the disk is full" in shown
    assert "✗ s1" in shown
    assert "  s2" in shown


def test_a_transfer_shows_its_bar_and_rate() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    with LiveObserver(console, ["s1"]) as live:
        live(ActionProgress(id="a", node="s1", step="install", title="x", done=5_000_000, total=10_000_000))
    assert "install [########........] 5/10 MB" in screen.getvalue()


def test_on_a_narrow_terminal_names_and_times_are_whole_and_what_is_done_is_cut() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=60, color_system=None)
    with LiveObserver(console, ["server-1", "agent-1"]) as live:
        live(ActionStarted(id="a", node="server-1", step="install", title=f"write {'a long name ' * 9}"))
    (line, *_) = [line for line in screen.getvalue().splitlines() if "install: write" in line]
    assert "> server-1 install: write a long name" in line
    assert "…" in line
    assert line.rstrip().endswith("0 s")
