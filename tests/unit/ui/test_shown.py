"""What a person and a machine see of a run."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

import bootstrap
from bootstrap.engine.action import Action
from bootstrap.engine.connections import Connections
from bootstrap.engine.context import RunContext
from bootstrap.engine.events import CommandRan, FactsRead, NodeSays, unobserved
from bootstrap.engine.plan import Plan, make_plan
from bootstrap.engine.run import run_plan
from bootstrap.errors import ClusterupError
from bootstrap.operations.status import ApiHealth, ClusterStatus, MemberHealth, NodeStatus
from bootstrap.transport.base import Transport
from bootstrap.ui.jsonl import JsonObserver
from bootstrap.ui.live import LiveObserver
from bootstrap.ui.plain import Detail, PlainObserver
from bootstrap.ui.review import plan_lines
from bootstrap.ui.status import print_status
from bootstrap.ui.terminal import SafeConsole
from bootstrap.ui.words import failure_lines, report_lines


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
            Action("s1/c", "s1", "join", "join it", lambda _: "it is not a node", transfer, needs=("s1/b",)),
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
        "      because it is not a node",
        "3 actions on 1 machine",
    ]
    assert list(plan_lines(Plan(()))) == ["nothing to do: everything is as the inventory says"]


def test_a_report_says_what_failed_what_was_not_begun_and_how_to_go_on() -> None:
    report = run_plan(plan(), Connections(no_way), observe=unobserved)
    assert list(failure_lines(report)) == ["s1: boot: the disk is full\n  got: No space left\n  next: free some"]
    text = "\n".join(report_lines(report, [], "clusterup apply lab.yaml"))
    assert "  s1: done: a; failed: b; not begun: c (because of s1/b)\n" in text
    assert "1 done, 1 failed, 1 not begun, in" in text
    assert text.endswith("to go on: clusterup apply lab.yaml")


def test_a_report_names_the_nodes_that_were_not_reached_and_those_that_are_done() -> None:
    done: Plan[None] = make_plan(
        [Action(f"{name}/a", name, "a", "a", lambda _: "needed", lambda _: None) for name in ("s1", "s2")], None
    )
    report = run_plan(done, Connections(no_way), observe=unobserved)
    lines = list(report_lines(report, ["s3", "s4"], "clusterup apply lab.yaml"))
    assert lines[:2] == ["  all done: s1, s2", "  not reached: s3, s4"]
    assert lines[-2].startswith("2 done, 0 failed, 0 not begun, 2 machines not reached, in ")
    assert lines[-1] == "to go on: clusterup apply lab.yaml"


def test_a_report_of_a_run_that_went_well_is_short() -> None:
    done: Plan[None] = make_plan([Action("s1/a", "s1", "a", "a", lambda _: "needed", lambda _: None)], None)
    lines = list(report_lines(run_plan(done, Connections(no_way), observe=unobserved), [], "clusterup apply lab.yaml"))
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


CLIPBOARD = "\x1b]52;c;eA==\x07\x9b2J\u202e"
MARKUP = "[bold]b[/bold][link=http://evil]l[/link]:warning:"
EVIL = f"{CLIPBOARD}{MARKUP}"
READ = rf"\x1b]52;c;eA==\x07\x9b2J\u202e{MARKUP}"
COLOURS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        """What is read on it: without what moves and colours. Raises AssertionError where more than that drives it."""
        text = COLOURS.sub("", self.getvalue())
        assert not [letter for letter in text if not letter.isprintable() and letter != "\n"], repr(text)
        return text


def evil_plan() -> Plan[None]:
    def fail_evilly(_: Any) -> None:
        raise ClusterupError(EVIL, got=EVIL, hint=EVIL)

    return make_plan([Action("s1/a", "s1", EVIL, EVIL, lambda _: f"{EVIL}\nnothing to do", fail_evilly)], None)


def test_a_live_view_reads_no_markup_out_of_what_a_machine_says_and_is_not_driven_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    console = SafeConsole(screen, force_terminal=True, width=300, color_system="truecolor")
    with LiveObserver(console, ["s1", EVIL], Detail.COMMANDS) as live:
        live(NodeSays(node="s1", text=EVIL))
        live(CommandRan(node="s1", name=EVIL, status=0, seconds=0.5))
        run_plan(evil_plan(), Connections(no_way), observe=live)
        print("\x1b]8;;http://evil\x1b\\said meanwhile\x1b]8;;\x1b\\", file=sys.stderr)
    assert sys.stderr is screen
    assert READ in screen.text
    assert "]8;;http://evil" in screen.text
    assert "said meanwhile" in screen.text


def test_a_console_lets_nothing_through_whatever_it_is_given() -> None:
    screen = Terminal()
    console = SafeConsole(screen, force_terminal=True, width=300)
    table = Table(EVIL, title=EVIL)
    table.add_row(EVIL)
    for shown in (EVIL, Text(EVIL), Text.from_markup("[link=http://evil]l[/link]"), Panel(EVIL, title=EVIL), table):
        console.print(shown)
    # Rich leaves BEL out by itself.
    assert screen.text.count(r"\x1b]52;c;eA==") >= 5
    assert "http://evil\x1b" not in screen.getvalue()


def test_a_status_is_read_as_it_came() -> None:
    screen = Terminal()
    node = NodeStatus(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, problem=EVIL, note=f"{EVIL}\nforged")
    member = MemberHealth(EVIL, voter=True, leader=True, lag=0, db_size=1, version=EVIL, problem=EVIL)
    status = ClusterStatus(EVIL, (node,), (member,), (ApiHealth(EVIL, ready=True, version=EVIL, problem=EVIL),))
    print_status(status, SafeConsole(screen, force_terminal=True, width=2000))
    assert screen.text.count(READ) == 1 + 8 + 3 + 3
    assert r"\nforged" in screen.text


def test_every_line_of_a_plan_of_a_report_and_of_a_log_is_one_line() -> None:
    written: list[str] = []
    report = run_plan(evil_plan(), Connections(no_way), observe=PlainObserver(written.append))
    PlainObserver(written.append)(NodeSays(node="s1", text=f"{EVIL}\n[    0.1s] s1: all is well"))
    lines = [
        *plan_lines(evil_plan()),
        *failure_lines(report),
        *report_lines(report, [f"{EVIL}\nforged"], "again"),
    ]
    for line in (*lines, *(line.removesuffix("\n") for line in written)):
        assert all(part.isprintable() for part in line.split("\n" if line.startswith("s1: \\x1b") else "\0")), line
    assert not [line for line in lines if line.startswith(("nothing to do", "forged"))]


def test_only_one_module_makes_consoles_and_nothing_writes_around_the_guarded_streams() -> None:
    folder = Path(bootstrap.__file__).parent
    sources = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.py")}
    around = re.compile(r"\.buffer\b|__stdout__|__stderr__|\bos\.write\([12]\b")
    # A report is a page, which says itself what bytes it is of; a signal's handler can't use a stream that it may have
    # interrupted, and says constant sentences alone.
    assert {name for name, text in sources.items() if around.search(text)} == {
        "cli/looking/journal.py",
        "lab/saves/save.py",
    }
    # An inventory's serial console is another thing.
    made = re.compile(r"(?<![\w.])Console\(")
    assert {name for name, text in sources.items() if made.search(text)} <= {"ui/terminal.py", "inventory/model.py"}
