"""What is remembered of scenarios, in memory and in files."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from tests.scenarios.record import NO_GIT, RUNS, Reading, Record, Seen, add, merged, read, text, write
from tests.unit.scenarios.samples import DAY, commit, record, seen

NOW = 1000.0 * DAY


def test_of_each_scenario_the_newest_pass_and_the_newest_failure_remain() -> None:
    one = record(1, 2, passed={"a/old": 2, "a/both": 1}, failed={"a/both": 2})
    other = record(2, 3, passed={"a/old": 1, "a/new": 3})
    assert (
        merged(one, other)
        == record(1, 2, 3, passed={"a/old": 2, "a/both": 1, "a/new": 3}, failed={"a/both": 2})
        == merged(other, one)
    )


def test_a_commit_that_was_run_again_is_one_run_and_the_newest_dozen_remain() -> None:
    again = Seen(commit(2), 2 * DAY + 7200, 50)
    assert merged(record(1, 2), Record((again,))).runs == (seen(1, 3600), again)
    assert merged(record(*range(40))).runs == record(*range(40 - RUNS, 40)).runs


def test_without_git_every_run_stands_for_itself() -> None:
    runs = (Seen(NO_GIT, DAY, 60), Seen(NO_GIT, 2 * DAY, 60))
    assert merged(Record(runs), Record(runs)).runs == runs


def test_a_file_holds_the_same_text_for_the_same_record(tmp_path: Path) -> None:
    kept = record(1, 2, passed={"b/b": 1, "a/a": 2}, failed={"c/c": 1})
    write(tmp_path / "record.json", kept)
    assert read(tmp_path / "record.json", NOW) == Reading(kept)
    turned = Record(kept.runs, dict(reversed(list(kept.passed.items()))), kept.failed)
    assert text(turned) == (tmp_path / "record.json").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_where_there_is_no_file_nothing_is_known_and_that_is_no_fault(tmp_path: Path) -> None:
    assert read(tmp_path / "none.json", NOW) == Reading(Record())


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\xff\xfe", b"<<<<<<< HEAD\n{}\n=======", b"[]", b"null", b"{}", b'{"format": 2}'),
        *(b"[" * 100_000, b" " * (1 << 20) + b"{}"),
    ],
    ids=["empty", "no-text", "merge-conflict", "a-list", "null", "no-format", "a-later-format", "deep", "large"],
)
def test_a_damaged_file_counts_as_empty_and_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(content)
    found = read(path, NOW)
    assert found.record == Record()
    (complaint,) = found.complaints
    assert str(path) in complaint


@pytest.mark.parametrize(
    "entry",
    [
        *(None, 7, "text", [], {}, {"commit": commit(1), "at": "1970-01-02T00:00:00Z"}),
        {"commit": "\x1b[2J", "at": "1970-01-02T00:00:00Z", "seconds": 1},
        {"commit": 7, "at": "1970-01-02T00:00:00Z", "seconds": 1},
        {"commit": commit(1), "at": "yesterday", "seconds": 1},
        {"commit": commit(1), "at": "1970-01-02T00:00:00", "seconds": 1},
        {"commit": commit(1), "at": 86400, "seconds": 1},
        *(
            {"commit": commit(1), "at": "1970-01-02T00:00:00Z", "seconds": seconds}
            for seconds in (-1, True, "1", None, float("nan"), float("inf"), 10**400)
        ),
    ],
    ids=str,
)
def test_an_entry_that_is_damaged_is_left_out_and_the_others_remain(tmp_path: Path, entry: object) -> None:
    path = tmp_path / "record.json"
    content = json.loads(text(record(1, passed={"a/a": 1})))
    content["runs"].append(entry)
    content["passed"]["a/b"] = entry
    path.write_text(json.dumps(content))
    found = read(path, NOW)
    assert found.record == record(1, passed={"a/a": 1})
    assert len(found.complaints) == 2


def test_names_that_no_scenario_has_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    content = json.loads(text(record(1, passed={"a/a": 1})))
    content["passed"] |= dict.fromkeys(("", "../x\x1b[2J", "a" * 5000), content["passed"]["a/a"])
    path.write_text(json.dumps(content))
    assert read(path, NOW).record == record(1, passed={"a/a": 1})


def test_what_is_in_the_future_has_not_happened(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write(path, record(1, 9, passed={"a/now": 1, "a/later": 9}))
    found = read(path, now=2.0 * DAY)
    assert found.record == record(1, passed={"a/now": 1})
    assert ["in the future" in complaint for complaint in found.complaints] == [True, True]


def test_what_several_runs_see_at_once_is_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "made" / "scenarios.json"
    names = [f"a/{number}" for number in range(20)]
    threads = [threading.Thread(target=add, args=(path, record(passed={name: 1}), NOW)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(path, NOW) == Reading(record(passed=dict.fromkeys(names, 1)))


def test_a_damaged_record_of_this_machine_is_replaced_by_what_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "scenarios.json"
    path.write_text('{"format": 1, "runs": [')
    add(path, record(passed={"a/a": 1}), NOW)
    assert read(path, NOW) == Reading(record(passed={"a/a": 1}))
