"""clusterup events and report, and what apply writes for them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from bootstrap.cli.main import main
from bootstrap.cli.typed import typed
from bootstrap.engine.action import Action, Context
from bootstrap.engine.cancellation import Cancellation
from bootstrap.engine.connections import Connections
from bootstrap.engine.events import CommandRan, RunEnded, RunStarted
from bootstrap.engine.history import RunOutcome, entries_of, find_run
from bootstrap.engine.plan import Plan, make_plan
from bootstrap.engine.run import run_plan
from bootstrap.errors import ClusterupError, Refused
from bootstrap.facts.model import ClusterFacts, Unreachable
from bootstrap.operations.apply import Applying
from bootstrap.operations.recorded import recorded
from bootstrap.phases.prepared import Prepared
from bootstrap.transport.base import Transport
from tests.helpers.journals import BEGAN, done, ended, failed, planned, started, write
from tests.helpers.worlds import bundle, facts

PLAN = [planned("s1/boot", title="start it"), planned("s2/boot", title="start it"), planned("cluster/objects")]
ERROR = ClusterupError("it did not come back", node="s2", step="boot", hint="look at its console")

COMMAND = "clusterup apply lab.yaml"


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the journal of the cluster lab is; the inventory is in the current folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    bundle(tmp_path / "bundle")
    inventory = {
        "cluster": {"name": "lab"},
        "os": {"bundle": str(tmp_path / "bundle")},
        "nodes": [
            {"name": "s1", "role": "server", "address": "10.0.0.1", "disk": "/dev/vda"},
            {"name": "s2", "address": "10.0.0.2", "disk": "/dev/vda"},
        ],
    }
    (tmp_path / "lab.yaml").write_text(json.dumps(inventory))
    return tmp_path / "state" / "clusterup" / "clusters" / "lab" / "journal.jsonl"


@pytest.fixture
def two_runs(journal: Path) -> Path:
    write(journal, started(PLAN[:1]), *done(PLAN[0], 0, 5), ended(5, done=1))
    command = CommandRan(time=BEGAN + 104, node="s1", name="start etcd", status=0, seconds=1.0)
    events = (*done(PLAN[0], 100, 105), command, *failed(PLAN[1], 100, 110, ERROR), *done(PLAN[2], 110, 111))
    write(
        journal,
        started(PLAN, "r2", time=BEGAN + 100),
        *events,
        ended(111, "r2", 3, done=2, failed=1),
        run="r2",
    )
    return journal


@dataclass
class Ran:
    """How a command ended, and what it said."""

    exit_code: int
    stdout: str
    stderr: str


Clusterup = Callable[..., Ran]


@pytest.fixture
def clusterup(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Clusterup:
    """Types a command."""

    def type_it(*arguments: str) -> Ran:
        monkeypatch.setattr("sys.argv", ["clusterup", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return Ran(int(end.value.code or 0), said.out, said.err)

    return type_it


def test_without_a_journal_events_and_report_say_how_to_get_one(clusterup: Clusterup, journal: Path) -> None:
    for command in ("events", "report"):
        refused = clusterup(command, "lab.yaml")
        assert refused.exit_code == 2
        assert "there is no journal yet" in refused.stderr
        assert "next: `clusterup apply INVENTORY` writes it" in refused.stderr
    assert not journal.parent.exists()


def test_events_shows_the_last_run_with_its_failures_in_full(clusterup: Clusterup, two_runs: Path) -> None:
    shown = clusterup("events", "lab.yaml").stdout
    assert shown.splitlines()[0] == "run r2: clusterup apply lab.yaml"
    assert "3 actions on 3 machines" in shown
    assert "[    5.0s] s1: boot: start it: done in 5.0 s" in shown
    assert "s2: boot: it did not come back\n    next: look at its console" in shown
    assert "start etcd" not in shown
    assert shown.splitlines()[-1].endswith("2 done, 1 failed, 0 not begun (exit code 3)")


def test_events_shows_the_commands_that_ran_when_asked(clusterup: Clusterup, two_runs: Path) -> None:
    assert "s1: ran 'start etcd': status 0" in clusterup("events", "lab.yaml", "-v").stdout


def test_events_of_one_node_are_between_the_run_s_bounds(clusterup: Clusterup, two_runs: Path) -> None:
    lines = clusterup("events", "lab.yaml", "--node", "s2", "-o", "json").stdout.splitlines()
    found = [json.loads(line) for line in lines]
    assert [event["event"] for event in found] == ["RunStarted", "ActionStarted", "ActionFailed", "RunEnded"]
    assert found[2]["failure"]["hint"] == "look at its console"
    shown = clusterup("events", "lab.yaml", "--node", "cluster").stdout
    assert "objects" in shown
    assert "boot" not in shown
    refused = clusterup("events", "lab.yaml", "--node", "s7")
    assert (refused.exit_code, "did nothing on s7" in refused.stderr) == (2, True)


def test_events_of_an_older_run_and_without_an_inventory(clusterup: Clusterup, two_runs: Path) -> None:
    lines = clusterup("events", "--cluster", "lab", "--run", "r1", "-o", "json").stdout.splitlines()
    assert {json.loads(line)["run"] for line in lines} == {"r1"}


def test_machines_get_each_line_as_it_is_in_the_journal(clusterup: Clusterup, two_runs: Path) -> None:
    written = [json.loads(line) for line in two_runs.read_text().splitlines()]
    shown = [json.loads(line) for line in clusterup("events", "lab.yaml", "-o", "json").stdout.splitlines()]
    assert shown == [line for line in written if line["run"] == "r2"]


def test_runs_are_listed_with_time_command_outcome_and_duration(clusterup: Clusterup, two_runs: Path) -> None:
    write(two_runs, started(PLAN, "r3"), run="r3")
    lines = clusterup("events", "lab.yaml", "--runs").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["RUN", "r1", "r2", "r3"]
    assert "5.0 s  done         clusterup apply lab.yaml" in lines[1]
    assert "ended without a word" in lines[3]
    data = [json.loads(line) for line in clusterup("events", "lab.yaml", "--runs", "-o", "json").stdout.splitlines()]
    assert [run["outcome"] for run in data] == ["done", "partly", "silent"]
    assert data[1]["operator"] == "ada@workbench"


def test_a_run_that_was_killed_is_said_to_have_ended_without_a_word(clusterup: Clusterup, journal: Path) -> None:
    write(journal, started(PLAN))
    assert clusterup("events", "lab.yaml", "--follow").stdout.splitlines()[-1] == RunOutcome.SILENT.value


def test_ctrl_c_ends_following(clusterup: Clusterup, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bootstrap.cli.looking.journal.time.sleep", pressed)
    with recorded(journal, COMMAND, Plan(()), {}):
        followed = clusterup("events", "lab.yaml", "--follow")
    assert followed.exit_code == 130
    assert followed.stdout.startswith("run ")


def test_report_writes_one_page(clusterup: Clusterup, two_runs: Path) -> None:
    assert clusterup("report", "lab.yaml", "--out", "page.html").stdout == "wrote page.html\n"
    page = Path("page.html").read_text()
    assert "cluster <b>lab</b>" in page
    assert "2 done, 1 failed, after" in page
    assert clusterup("report", "--cluster", "lab", "--run", "r1", "--out", "-").stdout.startswith("<!DOCTYPE html>")
    refused = clusterup("report", "lab.yaml", "--out", "nowhere/page.html")
    assert (refused.exit_code, "nowhere/page.html can't be written" in refused.stderr) == (2, True)


def test_a_journal_that_was_cut_is_shown_and_drawn_as_far_as_it_goes(clusterup: Clusterup, two_runs: Path) -> None:
    two_runs.write_bytes(two_runs.read_bytes()[:-500])
    assert clusterup("events", "lab.yaml").stdout.splitlines()[-1] == RunOutcome.SILENT.value
    assert clusterup("report", "lab.yaml").exit_code == 0
    page = Path("report.html").read_text()
    assert "The run ended without a word" in page
    assert "1 unfinished" in page


def test_a_journal_that_can_t_be_read_is_said_without_a_traceback(clusterup: Clusterup, journal: Path) -> None:
    journal.mkdir(parents=True)
    for command in ("events", "report"):
        refused = clusterup(command, "lab.yaml")
        assert (refused.exit_code, "the journal can't be read" in refused.stderr) == (1, True)


def fine(_: Context) -> None:
    return None


def fail(_: Context) -> None:
    raise ClusterupError("it broke", hint="fix it")


def local_plan(*does: Any) -> Plan[Any]:
    """One after the other on s1."""
    needs = [(), *((f"s1/a{n}",) for n in range(len(does)))]
    return make_plan(
        [Action(f"s1/a{n}", "s1", "a", "do it", lambda _: "needed", do, needs=needs[n]) for n, do in enumerate(does)],
        None,
    )


@pytest.fixture
def applied(journal: Path, clusterup: Clusterup, monkeypatch: pytest.MonkeyPatch) -> Clusterup:
    """Types `clusterup apply` where the plan consists of the actions given, and no node is asked anything."""

    def type_it(*does: Any, unreachable: dict[str, ClusterupError] | None = None) -> Ran:
        away = {name: Unreachable(error) for name, error in (unreachable or {}).items()}
        world = ClusterFacts({"s1": facts(), **away})
        monkeypatch.setattr(Applying, "prepared", lambda *_, **__: Prepared(world, (), local_plan(*does)))
        return clusterup("apply", "lab.yaml", "-y")

    return type_it


def test_apply_writes_a_run_with_its_plan_and_its_end(clusterup: Clusterup, applied: Any, journal: Path) -> None:
    assert applied(fine).exit_code == 0
    first, *_, last = (entry.event for entry in entries_of(journal, find_run(journal, "last").id))
    assert isinstance(first, RunStarted)
    assert first.command == "clusterup apply lab.yaml -y"
    assert "@" in first.operator
    assert [(item["id"], item["why"], item["after"]) for item in first.actions] == [("s1/a0", "needed", [])]
    assert isinstance(last, RunEnded)
    assert (last.exit_code, last.done, last.failed) == (0, 1, 0)
    assert "all done" in clusterup("report", "lab.yaml", "--out", "-").stdout


@pytest.mark.parametrize(
    ("does", "unreachable", "exit_code"),
    [
        ([fail], {}, 1),
        ([fine, fail], {}, 3),
        ([fine], {"s2": ClusterupError("no answer", node="s2", hint="is it on?")}, 3),
    ],
    ids=["failed", "partly", "unreachable"],
)
def test_the_journal_has_the_exit_code_that_apply_ends_with(
    applied: Clusterup, journal: Path, does: list[Any], unreachable: dict[str, ClusterupError], exit_code: int
) -> None:
    assert applied(*does, unreachable=unreachable).exit_code == exit_code
    run = find_run(journal, "last")
    assert run.started is not None
    assert run.ended is not None
    assert run.ended.exit_code == exit_code
    assert set(run.started.unreachable) == set(unreachable)


def test_an_apply_that_a_person_stopped_is_interrupted_in_the_journal_and_on_the_page(
    clusterup: Clusterup, applied: Clusterup, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: list[Cancellation] = []

    def heard(cancellation: Cancellation) -> AbstractContextManager[None]:
        running.append(cancellation)
        return nullcontext()

    monkeypatch.setattr("bootstrap.cli.front.stopping", heard)
    assert applied(lambda _: running[0].interrupted.set(), fine, fine).exit_code == 130
    (run,) = [json.loads(line) for line in clusterup("events", "lab.yaml", "--runs", "-o", "json").stdout.splitlines()]
    assert (run["outcome"], run["exit_code"], run["done"], run["skipped"]) == ("interrupted", 130, 1, 2)
    page = clusterup("report", "lab.yaml", "--out", "-").stdout
    assert "Ctrl-C was pressed. 2 actions had not begun." in page


def test_an_apply_that_has_nothing_to_do_writes_no_run(applied: Clusterup, journal: Path) -> None:
    assert applied().exit_code == 0
    assert not journal.exists()


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [(typer.Exit(130), 130), (KeyboardInterrupt(), 130), (Refused("no", hint="x"), 4), (RuntimeError("bug"), 1)],
    ids=["exit", "ctrl-c", "refused", "bug"],
)
def test_however_a_run_ends_its_end_is_written(journal: Path, error: BaseException, exit_code: int) -> None:
    with pytest.raises(type(error)), recorded(journal, COMMAND, local_plan(fine), {}):
        raise error
    run = find_run(journal, "last")
    assert run.ended is not None
    assert run.ended.exit_code == exit_code


def test_the_end_counts_what_became_of_the_actions(journal: Path) -> None:
    def no_way(node: str) -> Transport:
        raise AssertionError(node)

    needy: Action[None] = Action("s1/b", "s1", "b", "b", lambda _: "needed", fine, needs=("s1/a",))
    broken: Action[None] = Action("s1/a", "s1", "a", "a", lambda _: "needed", fail)
    others: list[Action[None]] = [Action(f"s2/{n}", "s2", "a", "a", lambda _: "needed", fine) for n in range(20)]
    plan = make_plan([broken, needy, *others], None)
    with recorded(journal, COMMAND, plan, {}) as observe:
        run_plan(plan, Connections(no_way), observe=observe)
    run = find_run(journal, "last")
    assert run.ended is not None
    assert (run.ended.done, run.ended.failed, run.ended.skipped) == (20, 1, 1)


def test_three_hundred_nodes_are_written_down_and_drawn(clusterup: Clusterup, journal: Path) -> None:
    def no_way(node: str) -> Transport:
        raise AssertionError(node)

    actions: list[Action[None]] = []
    for node in (f"n{number}" for number in range(300)):
        needs: tuple[str, ...] = ()
        for step in ("install", "boot", "join"):
            actions.append(Action(f"{node}/{step}", node, step, step, lambda _: "needed", fine, needs=needs))
            needs = (f"{node}/{step}",)
    plan = make_plan(actions, None)
    with recorded(journal, COMMAND, plan, {}) as observe:
        run_plan(plan, Connections(no_way), observe=observe)
    page = clusterup("report", "lab.yaml", "--out", "-").stdout
    assert "900 actions, all done in" in page
    assert len(re.findall('<div class="row[ "]', page)) == 300
    assert len(clusterup("events", "lab.yaml", "--node", "n299", "-o", "json").stdout.splitlines()) == 2 + 3 * 2


def test_an_incomplete_journal_is_said_at_the_end(tmp_path: Path) -> None:
    said: list[str] = []
    full = tmp_path / "journal.jsonl"
    full.symlink_to("/dev/full")
    with recorded(full, COMMAND, Plan(()), {}, said.append):
        pass
    assert [text.splitlines()[0] for text in said] == [f"{full} is not complete: No space left on device"]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["apply", "my lab.yaml", "-y"], "clusterup apply 'my lab.yaml' -y"),
        (["join", "--token", "abcdef.0123456789abcdef", "x"], "clusterup join --token '***' x"),
        (["join", "--ssh-password=hunter2"], "clusterup join '--ssh-password=***'"),
        (["join", "--token", "--yes"], "clusterup join --token --yes"),
        (["join", "abcdef.0123456789abcdef"], "clusterup join '***'"),
        (["image", "build", "https://me:pw@mirror/x"], "clusterup image build 'https://***@mirror/x'"),
        (["apply", os.fsdecode(b"\xe4.yaml")], "clusterup apply '\\udce4.yaml'"),
        (["apply", "--kubeconfig", "k"], "clusterup apply --kubeconfig k"),
    ],
)
def test_a_command_is_written_down_without_its_secrets(arguments: list[str], shown: str) -> None:
    assert typed(arguments) == shown
