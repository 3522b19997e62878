"""What is tested, as git knows it, and without git."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.commit import RECORD, Gap, gap_between, submission
from tests.scenarios.order import COMMITS, WITHIN, Submission
from tests.scenarios.record import NO_GIT, Record
from tests.unit.scenarios.repository import Repository
from tests.unit.scenarios.samples import DAY, record


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository without a commit."""
    return Repository(tmp_path)


def test_a_commit_that_only_brings_the_record_submits_nothing_else(repository: Repository) -> None:
    program = repository.commits("program", "one")
    repository.commits(RECORD, "{}")
    assert submission(repository.root, None, 0).commit == program


def test_a_tree_with_changes_is_recorded_as_such_unless_only_the_record_has_changed(repository: Repository) -> None:
    program = repository.commits("program", "one")
    (repository.root / RECORD).parent.mkdir(parents=True)
    (repository.root / RECORD).write_text("{}")
    assert submission(repository.root, None, 0).commit == program
    (repository.root / "program").write_text("two")
    assert submission(repository.root, None, 0).commit == f"{program}+"


def test_commits_since_a_time_are_counted_without_those_of_the_record(repository: Repository) -> None:
    one, two, three, four = (DAY * day for day in (20_001, 20_003, 20_004, 20_005))
    repository.commits("program", "one", at=one)
    repository.commits("program", "two", at=two)
    repository.commits(RECORD, "{}", at=three)
    repository.commits("program", "three", at=four)
    assert submission(repository.root, Gap(20_002 * DAY), 0).commits == (four, two)
    assert submission(repository.root, Gap(20_002 * DAY, 20_004 * DAY), 0).commits == (two,)
    assert submission(repository.root, None, 0).commits == ()


def test_each_commit_has_another_turn_and_keeps_it(repository: Repository) -> None:
    first = repository.commits("program", "one")
    assert submission(repository.root, None, 0).turn == submission(repository.root, None, 9 * DAY).turn
    assert submission(repository.root, None, 0) == Submission(first, int(first[:8], 16))
    repository.commits("program", "two")
    assert submission(repository.root, None, 0).turn != int(first[:8], 16)


def test_of_a_history_that_is_cut_off_the_commits_of_a_gap_were_too_many(
    repository: Repository, tmp_path: Path
) -> None:
    repository.commits("program", "one")
    second = repository.commits("program", "two")
    repository.git("clone", "-q", "--depth", "1", f"file://{repository.root}", "cache/shallow")
    found = submission(tmp_path / "cache" / "shallow", Gap(0), DAY)
    assert found.commit == second
    assert found.commits == (DAY,) * (WITHIN * COMMITS)
    assert submission(tmp_path / "cache" / "shallow", None, DAY).commits == ()


@pytest.mark.parametrize("inside", [False, True], ids=["nowhere", "in-another-repository"])
def test_an_unpacked_archive_has_no_commit_and_a_turn_of_the_day(tmp_path: Path, inside: bool) -> None:
    if inside:
        Repository(tmp_path).commits("program", "one")
    (tmp_path / "unpacked").mkdir()
    assert submission(tmp_path / "unpacked", None, 3 * DAY + 5) == Submission(NO_GIT, turn=3)
    assert len(submission(tmp_path / "unpacked", Gap(0), 3 * DAY + 5).commits) == WITHIN * COMMITS


def test_a_repository_without_a_commit_and_a_machine_without_git_are_as_an_archive(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert submission(repository.root, None, DAY) == Submission(NO_GIT, turn=1)
    repository.commits("program", "one")
    monkeypatch.setenv("PATH", str(repository.root))
    assert submission(repository.root, None, DAY) == Submission(NO_GIT, turn=1)


def test_commits_are_counted_from_the_repository_s_newest_run_to_this_machine_s_first_one_after_it() -> None:
    committed = record(1, 2, passed={"a/a": 1})
    assert gap_between(committed, Record()) == Gap(2 * DAY)
    assert gap_between(committed, record(1)) == Gap(2 * DAY)
    assert gap_between(committed, record(1, 2, 4)) is None
    assert gap_between(committed, record(1, 4, 5)) == Gap(2 * DAY, 4 * DAY)
    assert gap_between(Record(), record(2)) is None
    assert gap_between(record(passed={"a/a": 1, "a/b": 2}), Record()) == Gap(1 * DAY + 600)
    assert gap_between(Record(), Record()) is None
