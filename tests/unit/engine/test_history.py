"""Writing and reading the journal: runs, and what happened in each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bootstrap.engine.events import (
    KINDS,
    ActionDone,
    ActionFailed,
    ActionProgress,
    ActionSays,
    ActionSkipped,
    ActionStarted,
    CommandRan,
    Event,
    FactsRead,
    NodeSays,
    PlanBegun,
    event_as_data,
    event_from_data,
)
from bootstrap.engine.history import RunOutcome, entries_of, find_run, follow_run, read_runs, require_node
from bootstrap.engine.journal import Journal, new_run_id
from bootstrap.errors import BadUse, ClusterupError, Interrupted
from tests.helpers.journals import BEGAN, done, ended, planned, started, write, writing

BOOT = planned("s1/boot")
WHO: dict[str, Any] = {"id": "s1/boot", "node": None, "step": "boot", "title": "start it"}
ERROR = ClusterupError("it broke", hint="fix it", node="s1", step="boot", tried="start it", got="no answer")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def kinds(journal: Path, run: str) -> list[str]:
    return [entry.data["event"] for entry in entries_of(journal, run)]


def everything() -> list[Event]:
    return [
        started([BOOT], unreachable={"s2": "s2: no answer"}),
        ended(5),
        FactsRead(node="s1"),
        FactsRead(node="s1", error=ERROR),
        NodeSays(node="s1", text="over its console"),
        ActionStarted(**WHO),
        ActionProgress(**WHO, done=1, total=2),
        ActionSays(**WHO, text="waiting"),
        PlanBegun(planned={"s1": 2, "cluster": 1}),
        ActionDone(**WHO, seconds=1),
        ActionFailed(**WHO, seconds=1.5, error=ERROR),
        ActionFailed(**WHO, seconds=1.5, error=Interrupted("stopped", hint="again")),
        ActionSkipped(**WHO, because="interrupted"),
        CommandRan(node="s1", name="read facts", status=0, seconds=0.5),
    ]


def test_every_kind_of_event_is_read_as_it_was_written() -> None:
    assert {type(event).__name__ for event in everything()} == set(KINDS)
    for event in everything():
        written = json.loads(json.dumps(event_as_data(event)))
        read = event_from_data(written)
        assert read is not None
        assert json.loads(json.dumps(event_as_data(read))) == written
        assert type(read) is type(event)


def test_an_error_is_read_with_its_parts_and_its_kind() -> None:
    for error in (ERROR, Interrupted("stopped", hint="again")):
        read = event_from_data(json.loads(json.dumps(event_as_data(ActionFailed(**WHO, seconds=1, error=error)))))
        assert isinstance(read, ActionFailed)
        assert type(read.error) is type(error)
        assert str(read.error) == str(error)


@pytest.mark.parametrize(
    "data",
    [
        {"event": "NodeReplaced", "time": 1.0, "node": "s1"},
        {"event": "ActionDone", "time": 1.0, "id": "a"},
        {**event_as_data(ActionDone(**WHO, seconds=1)), "seconds": "long"},
        {**event_as_data(ActionDone(**WHO, seconds=1)), "time": None},
        {**event_as_data(ActionDone(**WHO, seconds=1)), "seconds": float("inf")},
        {**event_as_data(started([BOOT])), "actions": [{"id": "s1/boot", "after": "s1/install"}]},
        {**event_as_data(ActionFailed(**WHO, seconds=1, error=ERROR)), "failure": "it broke"},
    ],
    ids=["kind", "missing", "type", "time", "infinite", "after", "failure"],
)
def test_what_this_version_does_not_know_is_no_event(data: dict[str, Any]) -> None:
    assert event_from_data(data) is None


def test_what_a_newer_version_adds_to_an_event_is_passed_over() -> None:
    data = {**event_as_data(ActionDone(**WHO, seconds=1)), "joules": 7}
    assert isinstance(event_from_data(data), ActionDone)


def test_unknown_kinds_of_events_stay_in_the_journal_and_hinder_no_one(journal: Path) -> None:
    write(journal, started([BOOT]))
    with journal.open("a") as lines:
        lines.write(json.dumps({"event": "NodeReplaced", "run": "r1", "time": BEGAN + 1, "node": "s1"}) + "\n")
    write(journal, ended(2))
    assert [entry.event is None for entry in entries_of(journal, "r1")] == [False, True, False]
    assert find_run(journal, "last").outcome is RunOutcome.DONE


def test_each_line_says_of_which_run_it_is(journal: Path) -> None:
    write(journal, started([BOOT]), *done(BOOT, 0, 1), CommandRan(node="s1", name="x", status=0, seconds=0.1), ended(1))
    assert {json.loads(line)["run"] for line in journal.read_text().splitlines()} == {"r1"}
    assert new_run_id() != new_run_id()


def test_runs_are_told_apart_the_oldest_first(journal: Path) -> None:
    write(journal, started([BOOT]), *done(BOOT, 0, 1), ended(1))
    write(journal, started([BOOT, BOOT], "r2"), ended(9, "r2", 3), run="r2")
    first, second = read_runs(journal)
    assert (first.id, first.outcome, first.seconds) == ("r1", RunOutcome.DONE, 1)
    assert (second.id, second.outcome, second.seconds) == ("r2", RunOutcome.PARTLY, 9)
    assert second.started is not None
    assert second.started.planned == 2
    assert find_run(journal, "last") == second
    assert find_run(journal, "r1") == first
    assert kinds(journal, "r1") == ["RunStarted", "ActionStarted", "ActionDone", "RunEnded"]


@pytest.mark.parametrize(
    ("exit_code", "outcome"),
    [(0, "done"), (1, "failed"), (3, "partly done"), (4, "failed"), (130, "interrupted")],
)
def test_the_exit_code_says_what_became_of_a_run(journal: Path, exit_code: int, outcome: str) -> None:
    write(journal, started([BOOT]), ended(1, exit_code=exit_code))
    assert find_run(journal, "last").outcome == outcome


def test_a_killed_run_ended_without_a_word(journal: Path) -> None:
    script = (
        "import sys, pathlib\nfrom tests.helpers.journals import *\n"
        "with writing(pathlib.Path(sys.argv[1]), started([]), *done(planned('s1/boot'), 0, 7)):\n"
        " print('in', flush=True)\n sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(journal)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "in\n"
        assert find_run(journal, "last").outcome is RunOutcome.UNDER_WAY
        run.kill()
        run.wait()
    found = find_run(journal, "last")
    assert found.outcome is RunOutcome.SILENT
    assert found.seconds == 7


def test_a_killed_run_is_not_under_way_because_a_later_one_is(journal: Path) -> None:
    write(journal, started([]))
    with writing(journal, started([], "r2"), run="r2"):
        assert [run.outcome for run in read_runs(journal)] == [RunOutcome.SILENT, RunOutcome.UNDER_WAY]


def test_a_line_that_was_cut_takes_no_other_with_it(journal: Path) -> None:
    write(journal, started([]), *done(BOOT, 0, 1))
    journal.write_bytes(journal.read_bytes()[:-20])
    write(journal, started([], "r2"), ended(1, "r2"), run="r2")
    assert kinds(journal, "r1") == ["RunStarted", "ActionStarted"]
    assert kinds(journal, "r2") == ["RunStarted", "RunEnded"]


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"[]",
        b'"x"',
        b'{"event": "RunEnded"}',
        b'{"run": 1, "time": 2}',
        b'{"run": "r1", "event": "RunEnded", "time": NaN}',
        b'{"run": "r1", "event": "RunEnded", "time": 1e300}',
        b"{",
    ],
)
def test_lines_that_are_none_of_ours_are_passed_over(journal: Path, line: bytes) -> None:
    write(journal, started([]))
    with journal.open("ab") as lines:
        lines.write(line + b"\n")
    write(journal, ended(1))
    assert kinds(journal, "r1") == ["RunStarted", "RunEnded"]


def test_a_run_whose_first_line_is_lost_is_still_a_run(journal: Path) -> None:
    write(journal, *done(BOOT, 3, 5))
    (run,) = read_runs(journal)
    assert (run.began, run.seconds, run.started) == (BEGAN + 3, 2, None)


def test_a_long_journal_is_put_aside_and_still_read(journal: Path) -> None:
    write(journal, started([]), ended(1))
    for number in (2, 3):
        name = f"r{number}"
        later = Journal(journal, name, rotate_above=100)
        later(started([], name))
        later.close()
    aside = journal.with_name("journal.jsonl.1")
    assert '"r2"' in aside.read_text()
    assert [run.id for run in read_runs(journal)] == ["r2", "r3"]


def test_a_short_journal_is_not_put_aside(journal: Path) -> None:
    write(journal, started([]))
    write(journal, started([], "r2"), run="r2")
    assert not journal.with_name("journal.jsonl.1").exists()


def test_a_full_disk_stops_no_one_and_is_said(tmp_path: Path) -> None:
    full = tmp_path / "journal.jsonl"
    full.symlink_to("/dev/full")
    journal = Journal(full, "r1")
    journal(started([]))
    journal.close()
    assert journal.trouble == "No space left on device"


def test_a_journal_that_can_t_be_opened_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").mkdir()
    with pytest.raises(ClusterupError, match="the journal can't be written") as failed:
        Journal(tmp_path / "journal.jsonl", "r1")
    assert "Is a directory" in str(failed.value)


def test_a_journal_that_can_t_be_read_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").mkdir()
    with pytest.raises(ClusterupError, match="the journal can't be read") as failed:
        read_runs(tmp_path / "journal.jsonl")
    assert failed.value.got == "Is a directory"


def test_without_a_journal_the_error_says_how_to_get_one(journal: Path) -> None:
    with pytest.raises(BadUse, match="no journal yet") as failed:
        find_run(journal, "last")
    assert "clusterup apply" in failed.value.hint


def test_a_run_that_is_not_there_is_answered_with_those_that_are(journal: Path) -> None:
    write(journal, started([]))
    with pytest.raises(BadUse, match="no run is called r7") as failed:
        find_run(journal, "r7")
    assert failed.value.got == "runs: r1"


def test_a_node_that_had_no_part_is_answered_with_those_that_had(journal: Path) -> None:
    write(journal, started([BOOT, planned("cluster/objects")], unreachable={"s9": "no answer"}))
    run = find_run(journal, "last")
    for node in ("s1", "s9", "cluster"):
        require_node(journal, run, node)
    with pytest.raises(BadUse, match="did nothing on s2") as failed:
        require_node(journal, run, "s2")
    assert failed.value.got == "nodes: s1, cluster, s9"


def test_following_goes_on_until_the_run_has_ended(journal: Path) -> None:
    with writing(journal, started([BOOT])) as run:
        rest = iter([*done(BOOT, 0, 1), ended(1)])
        followed = [entry.data["event"] for entry in follow_run(journal, "r1", lambda: run(next(rest)))]
    assert followed == ["RunStarted", "ActionStarted", "ActionDone", "RunEnded"]


def test_following_ends_when_the_run_is_killed(journal: Path) -> None:
    run = Journal(journal, "r1")
    run(started([BOOT]))
    assert [entry.data["event"] for entry in follow_run(journal, "r1", run.close)] == ["RunStarted"]


def test_following_waits_for_the_rest_of_a_line(journal: Path) -> None:
    with writing(journal, started([BOOT])):
        line = json.dumps({**event_as_data(ended(1)), "run": "r1"}) + "\n"
        halves = iter([line[:30], line[30:]])

        def write_half() -> None:
            with journal.open("a") as lines:
                lines.write(next(halves))

        followed = [entry.data["event"] for entry in follow_run(journal, "r1", write_half)]
    assert followed == ["RunStarted", "RunEnded"]


def test_following_ends_when_another_run_begins(journal: Path) -> None:
    write(journal, started([BOOT]))
    with writing(journal, started([], "r2"), run="r2"):
        followed = list(follow_run(journal, "r1", lambda: pytest.fail("it waits for a run that is no more")))
    assert [entry.run for entry in followed] == ["r1"]
