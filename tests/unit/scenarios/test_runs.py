"""CI tells the truth: what a made-up suite of scenarios comes to, by what ran in it and what was recorded before."""

from __future__ import annotations

import json

import pytest

from tests.scenarios import plugin
from tests.scenarios.commit import RECORD
from tests.scenarios.verdict import TOO_LITTLE
from tests.unit.scenarios.suite import A_DAY, EVERY_TIME, FAILS, LIMIT, TEST, Clock, Suite, order

pytest_plugins = ["pytester"]


def test_a_run_in_which_everything_passes_is_green_and_is_recorded(suite: Suite) -> None:
    for name in ("a/one", "a/two", "b/one"):
        suite.scenario(name)
    result = suite.runs_whole(2000)
    assert result.ret == 0
    assert suite.seen()["passed"].keys() == {"a/one", "a/two", "b/one"}
    commit = suite.repository.git("rev-parse", "HEAD")
    assert [run["commit"] for run in suite.seen()["runs"]] == [commit]
    assert {seen["commit"] for seen in suite.seen()["passed"].values()} == {commit}
    result.stdout.re_match_lines([r"scenario +this time +took", r"a/one +passed +0 s +[0-9a-f]{8} .* now$"])


def test_a_scenario_left_out_for_time_that_passed_two_runs_ago_is_named_and_the_run_is_green(suite: Suite) -> None:
    suite.scenario("a/long")
    suite.scenario("a/short")
    suite.knows(suite.cache, ago={"a/long": 2}, seconds=2 * LIMIT, runs=3)
    suite.knows(suite.cache, ago={"a/short": 1})
    result = suite.runs_whole()
    assert result.ret == 0
    assert order(result) == ["a/long", "a/short"]
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*a/long: left out for time: it needs 1200 s and * s were left; *2 submissions ago"])


def test_a_scenario_left_out_that_passed_three_runs_ago_makes_the_run_fail(suite: Suite) -> None:
    suite.scenario("a/long")
    suite.scenario("a/short")
    suite.knows(suite.cache, ago={"a/long": 3}, seconds=2 * LIMIT, runs=3)
    suite.knows(suite.cache, ago={"a/short": 1})
    result = suite.runs_whole()
    assert result.ret == TOO_LITTLE == 8
    result.stdout.fnmatch_lines(
        [
            "This run does not prove enough (exit code 8*",
            "  a/long: left out for time*3 submissions ago; each has to pass within 3 submissions",
            "  scripts/test tests/e2e/a/test_long.py",
            "  scripts/record-scenarios",
        ]
    )


def test_one_of_every_time_may_be_left_out_where_the_machine_is_too_slow_for_it_and_not_for_long(suite: Suite) -> None:
    suite.scenario("a/important", EVERY_TIME + TEST)
    suite.scenario("a/short")
    suite.knows(suite.cache, ago={"a/important": 1}, seconds=2 * LIMIT, runs=3)
    suite.knows(suite.cache, ago={"a/short": 1})
    result = suite.runs_whole()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["Too slow a machine: a/important should run every time, and take turns here."])


def test_those_of_every_time_that_there_is_no_time_for_take_turns(suite: Suite, clock: Clock) -> None:
    long = "def test_it():\n    from tests.scenarios.plugin import now\n    now.later(500)\n"
    for name in ("a/one", "a/two", "a/three"):
        suite.scenario(name, EVERY_TIME + long)
    suite.scenario("a/other")
    suite.knows(suite.cache, ago={"a/one": 1, "a/two": 1, "a/three": 1}, seconds=500, runs=1)
    suite.knows(suite.cache, ago={"a/other": 1})
    ran: list[str] = []
    for submission in ("one", "two", "three"):
        clock.later(A_DAY)
        suite.repository.commits("program", submission)
        result = suite.runs_whole()
        assert result.ret == 0
        ran += [words[0] for words in map(str.split, result.outlines) if words[1:3] == ["*", "passed"]]
    assert sorted(ran) == ["a/one", "a/three", "a/two"]


def test_what_took_longer_than_before_is_expected_of_the_others_too(suite: Suite, clock: Clock) -> None:
    slow = "def test_it():\n    from tests.scenarios.plugin import now\n    now.later(300)\n"
    suite.scenario("a/first", EVERY_TIME + slow)
    suite.scenario("a/second")
    suite.knows(suite.cache, ago={"a/first": 1, "a/second": 1}, seconds=100, runs=1)
    result = suite.runs_whole()
    result.stdout.fnmatch_lines(["  a/second: left out for time: it needs 300 s and*"])


def test_a_first_run_without_a_record_may_leave_nothing_out(suite: Suite) -> None:
    suite.scenario("a/one")
    result = suite.runs_whole()
    assert result.ret == 8
    result.stdout.fnmatch_lines(["  a/one: left out for time: it needs 900 s, as no time is recorded,*never passed*"])
    assert [suite.seen()["runs"][0]["commit"]] == [suite.repository.git("rev-parse", "HEAD")]


def test_a_scenario_that_pytest_was_told_to_ignore_is_left_out_too(suite: Suite) -> None:
    suite.scenario("a/one")
    suite.scenario("a/important", EVERY_TIME + TEST)
    suite.knows(suite.cache, ago={"a/one": 1, "a/important": 1}, runs=1)
    result = suite.runs_whole(LIMIT, "tests/e2e", "--ignore=tests/e2e/a/test_important.py")
    assert result.ret == 8
    result.stdout.fnmatch_lines(["  a/important: not run; *; it has to pass every time"])


def test_three_whole_runs_that_leave_the_same_one_out_end_in_a_failure(suite: Suite, clock: Clock) -> None:
    suite.scenario("a/short")
    suite.scenario("a/long")
    suite.knows(suite.cache, ago={"a/long": 1}, seconds=2 * LIMIT, runs=1)
    suite.knows(suite.cache, ago={"a/short": 1})
    codes = []
    for submission in ("one", "two", "three"):
        clock.later(A_DAY)
        suite.repository.commits("program", submission)
        codes.append(suite.runs_whole().ret)
    assert codes == [0, 0, 8]


def test_a_run_again_at_the_same_commit_is_no_submission_of_its_own(suite: Suite) -> None:
    suite.scenario("a/short")
    suite.scenario("a/long")
    suite.knows(suite.cache, ago={"a/long": 2}, seconds=2 * LIMIT, runs=2)
    suite.knows(suite.cache, ago={"a/short": 1})
    assert [suite.runs_whole().ret for _ in range(3)] == [0, 0, 0]
    suite.repository.commits("program", "another")
    assert suite.runs_whole().ret == 8


def test_scenarios_run_in_the_order_of_need_and_their_tests_in_the_order_of_the_file(suite: Suite) -> None:
    suite.scenario("a/seen")
    suite.scenario("a/longest_ago")
    suite.scenario("b/never")
    suite.scenario("c/important", EVERY_TIME + "def test_z(): pass\ndef test_a(): pass\n")
    suite.knows(suite.cache, ago={"a/seen": 1, "a/longest_ago": 2, "c/important": 1}, runs=3)
    result = suite.runs_whole(5000)
    assert result.ret == 0
    assert order(result) == ["c/important", "b/never", "a/longest_ago", "a/seen"]
    result.stdout.fnmatch_lines(["*test_important.py::test_z PASSED*", "*test_important.py::test_a PASSED*"])


def test_a_shorter_one_runs_where_a_longer_one_would_not_be_over_in_time(suite: Suite, clock: Clock) -> None:
    suite.scenario("a/first", "def test_it():\n    from tests.scenarios.plugin import now\n    now.later(500)\n")
    suite.scenario("a/longer")
    suite.scenario("a/shorter")
    suite.knows(suite.cache, ago={"a/first": 2, "a/longer": 1}, seconds=400, runs=2)
    suite.knows(suite.cache, ago={"a/shorter": 1}, seconds=50)
    result = suite.runs_whole()
    assert result.ret == 0
    result.stdout.re_match_lines_random(
        [r"a/first +passed +500 s", r"a/longer +left out for time +400 s", r"a/shorter +passed +0 s"]
    )


NEVER = "import threading\ndef test_slow(): threading.Event().wait()\ndef test_after(): pass\n"


def test_what_is_not_over_when_the_run_has_to_be_is_ended_and_has_not_failed(suite: Suite) -> None:
    suite.scenario("a/slow", NEVER)
    suite.knows(suite.cache, ago={"a/slow": 1}, seconds=1, runs=1)
    result = suite.runs_whole(3, "-p", "pytest_timeout", "tests/e2e")
    assert result.ret == 0
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*a/slow: left out for time: it was not over after * s, when the run had to be; *"])
    assert "a/slow" not in suite.seen()["failed"]


def test_what_was_not_over_in_time_is_expected_to_take_longer_the_next_time(suite: Suite) -> None:
    suite.scenario("a/slow", NEVER)
    suite.knows(suite.cache, ago={"a/slow": 1}, seconds=1, runs=1)
    assert suite.runs_whole(4, "-p", "pytest_timeout", "tests/e2e").ret == 0
    result = suite.runs_whole(4, "-p", "pytest_timeout", "tests/e2e")
    result.stdout.fnmatch_lines(["*a/slow: left out for time: it needs * s and 4 s were left; *"])


def test_what_is_never_over_in_time_is_blamed_when_it_has_not_passed_for_long(suite: Suite) -> None:
    suite.scenario("a/slow", NEVER)
    suite.knows(suite.cache, ago={"a/slow": 9}, seconds=1, runs=9)
    result = suite.runs_whole(3, "-p", "pytest_timeout", "tests/e2e")
    assert result.ret == TOO_LITTLE


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        (FAILS, 1, "failed"),
        ("import pytest\n@pytest.fixture\ndef broken(): yield; assert False\ndef test_it(broken): pass\n", 1, "failed"),
        ("import pytest\n@pytest.fixture\ndef broken(): assert False\ndef test_it(broken): pass\n", 1, "failed"),
        (
            "import pytest\ndef test_it(): pytest.skip('this machine has no such card')\ndef test_b(): pass\n",
            8,
            "skipped: this machine has no such card",
        ),
    ],
    ids=["failure", "error-at-its-end", "error-at-its-beginning", "skip"],
)
def test_what_did_not_pass_is_not_recorded_as_if_it_had(suite: Suite, text: str, code: int, says: str) -> None:
    suite.scenario("a/good")
    suite.scenario("a/bad", text)
    result = suite.runs_whole(5000)
    assert result.ret == code
    assert suite.seen()["passed"].keys() == {"a/good"}
    result.stdout.fnmatch_lines([f"  a/bad: {says}; it has never passed*"])


def test_the_repository_s_record_and_that_of_the_machine_count_together(suite: Suite) -> None:
    suite.scenario("a/committed")
    suite.scenario("a/cached")
    suite.knows(suite.root / RECORD, ago={"a/committed": 2}, seconds=2 * LIMIT, runs=2)
    suite.knows(suite.cache, ago={"a/cached": 1}, seconds=2 * LIMIT, runs=3)
    assert suite.runs_whole().ret == 0
    suite.knows(suite.cache, ago={}, runs=1)
    (suite.root / RECORD).unlink()
    assert suite.runs_whole().ret == 8


def test_a_machine_without_a_record_goes_by_the_repository_s_and_by_the_number_of_commits(suite: Suite) -> None:
    suite.scenario("a/one")
    suite.knows(suite.root / RECORD, ago={"a/one": 2}, seconds=2 * LIMIT, runs=2)
    suite.repository.commits("program", "one")
    assert suite.runs_whole().ret == 0
    suite.cache.unlink()
    for number in range(50):
        suite.repository.commits("program", f"{number} of many")
    result = suite.runs_whole()
    assert result.ret == 8
    says = "2 whole runs are recorded*; 5? commits without a record, 15 of which count as a submission."
    result.stdout.fnmatch_lines([says])
    # That this run leaves a record makes nothing younger that did not run.
    suite.repository.commits("program", "one more")
    assert suite.runs_whole().ret == 8


def test_an_archive_without_git_is_run_and_recorded_and_each_of_its_runs_counts(suite: Suite, clock: Clock) -> None:
    suite.scenario("a/one")
    suite.monkeypatch.setenv("PATH", str(suite.root))
    suite.monkeypatch.setattr(suite.repository, "git", lambda *_: "")
    assert suite.runs_whole(5000).ret == 0
    assert suite.seen()["passed"]["a/one"]["commit"] == "no-git"
    codes = []
    for _ in range(3):
        clock.later(A_DAY)
        codes.append(suite.runs_whole(-1).ret)
    assert codes == [0, 0, 8]


@pytest.mark.parametrize("whose", ["the repository's", "the machine's"])
def test_a_damaged_record_is_named_and_counts_as_empty(suite: Suite, whose: str) -> None:
    suite.scenario("a/one")
    damaged, other = (
        (suite.root / RECORD, suite.cache) if whose == "the repository's" else (suite.cache, suite.root / RECORD)
    )
    suite.knows(other, ago={"a/one": 1}, runs=1)
    damaged.parent.mkdir(parents=True, exist_ok=True)
    damaged.write_text("<<<<<<< HEAD\n")
    result = suite.runs_whole()
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"{damaged} can't be used, and counts as empty:*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert suite.seen()["passed"].keys() == {"a/one"}


def test_a_record_of_scenarios_that_exist_no_more_asks_for_none_of_them(suite: Suite) -> None:
    suite.scenario("a/one")
    suite.knows(suite.cache, ago={"a/gone": 3, "a/one": 1}, runs=3)
    result = suite.runs_whole()
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*gone*")


def test_a_record_that_can_t_be_written_is_said_and_the_run_counts(suite: Suite) -> None:
    suite.scenario("a/one")
    suite.repository.commits("program", "one")
    (suite.root / "cache").write_text("a file where the folder would be")
    result = suite.runs_whole(5000)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*record can't be written*"])


def test_a_run_of_one_scenario_has_no_limit_and_fails_for_no_other(suite: Suite) -> None:
    suite.scenario("a/one")
    suite.scenario("a/important", EVERY_TIME + TEST)
    suite.knows(suite.cache, ago={"a/one": 1}, seconds=5 * A_DAY)
    result = suite.runs("tests/e2e/a/test_one.py")
    assert result.ret == 0
    assert order(result) == ["a/one"]
    assert suite.seen()["passed"]["a/one"]["commit"] == suite.repository.git("rev-parse", "HEAD")
    assert suite.seen()["runs"] == []


@pytest.mark.parametrize(
    "chosen",
    [["tests/e2e/a/test_one.py::test_a"], ["tests/e2e", "-k", "test_a"], ["tests/e2e/a/test_one.py::TestMore"]],
    ids=["by-name", "by-word", "by-class"],
)
def test_some_tests_of_a_scenario_are_not_the_scenario(suite: Suite, chosen: list[str]) -> None:
    suite.scenario("a/one", "def test_a(): pass\ndef test_b(): pass\nclass TestMore:\n    def test_c(self): pass\n")
    assert suite.runs(*chosen).ret == 0
    assert not suite.cache.exists()
    assert suite.runs("tests/e2e").ret == 0
    assert suite.seen()["passed"].keys() == {"a/one"}


def test_a_tree_with_changes_is_recorded_as_such(suite: Suite) -> None:
    suite.scenario("a/one")
    commit = suite.repository.commits("program", "one")
    suite.monkeypatch.setattr(suite.repository, "commits", lambda *_: "")
    (suite.root / "program").write_text("two")
    assert suite.runs("tests/e2e").ret == 0
    assert suite.seen()["passed"]["a/one"]["commit"] == f"{commit}+"
    suite.scenario("a/one", FAILS)
    assert suite.runs("tests/e2e").ret == 1
    assert suite.seen()["failed"] == {}


def test_other_tests_come_first_and_are_no_scenarios(suite: Suite) -> None:
    suite.scenario("a/one", EVERY_TIME + TEST)
    (suite.root / "tests" / "test_unit.py").write_text(TEST)
    result = suite.runs("tests")
    result.stdout.fnmatch_lines(["tests/test_unit.py::test_it PASSED*", "tests/e2e/a/test_one.py::test_it PASSED*"])
    assert suite.seen()["passed"].keys() == {"a/one"}


@pytest.mark.parametrize(
    "options", [("--collect-only",), ("-p", "xdist", "-n", "1")], ids=["looking", "several-processes"]
)
def test_where_no_scenario_runs_in_one_piece_nothing_is_recorded(suite: Suite, options: tuple[str, ...]) -> None:
    suite.scenario("a/one")
    assert suite.runs("tests/e2e", *options).ret == 0
    assert not suite.cache.exists()


def test_a_run_of_everything_is_not_shared_out(suite: Suite) -> None:
    suite.scenario("a/one")
    suite.monkeypatch.setenv("PYTEST_ADDOPTS", "-p xdist.plugin -n 2")
    result = suite.runs_whole()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*a run of everything (CLUSTERUP_TEST_UNTIL) is one process: without -n*"])


def test_what_makes_the_labs_of_others_comes_before_all_of_them(suite: Suite) -> None:
    for name in ("a/important", "c/important", "d/important"):
        suite.scenario(name, EVERY_TIME + TEST)
    suite.scenario("b/makes", "import pytest\npytestmark = [pytest.mark.every_time, pytest.mark.makes_labs]\n" + TEST)
    for number in range(4):
        suite.repository.commits("program", f"{number}")
        assert order(suite.runs_whole(5000))[0] == "b/makes"


def test_how_long_it_took_on_this_machine_counts_for_more_than_on_another(suite: Suite) -> None:
    suite.scenario("a/one")
    suite.knows(suite.cache, ago={"a/one": 2}, seconds=2 * LIMIT, runs=2)
    suite.knows(suite.root / RECORD, ago={"a/one": 1}, seconds=10, runs=1)
    result = suite.runs_whole()
    result.stdout.fnmatch_lines([f"  a/one: left out for time: it needs {2 * LIMIT} s and*"])


def test_a_limit_that_is_no_time_is_refused(suite: Suite) -> None:
    suite.scenario("a/one")
    suite.monkeypatch.setenv(plugin.UNTIL, "soon")
    result = suite._run("tests/e2e")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*CLUSTERUP_TEST_UNTIL is not a time: 'soon'*"])


def test_what_passed_with_a_folder_of_binaries_has_not_passed_with_debians_kubernetes(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.scenario("a/good")
    monkeypatch.setenv("CLUSTERUP_TEST_KUBERNETES", "/srv/kubernetes")
    assert suite.runs_whole(2000).ret == 0
    assert not suite.cache.exists()
    assert "a/good" in json.loads(suite.cache.with_name("scenarios-of-a-folder.json").read_text())["passed"]
