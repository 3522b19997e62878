"""What failed is remembered until it passes, and what says nothing of a scenario changes nothing."""

from __future__ import annotations

import builtins
import time
from pathlib import Path

import pytest

from tests.scenarios import plugin
from tests.unit.scenarios.suite import EVERY_TIME, FAILS, LIMIT, TEST, Clock, Suite

pytest_plugins = ["pytester"]


def test_a_test_that_is_known_to_fail_did_what_it_should_if_it_ran(suite: Suite) -> None:
    suite.scenario("a/known", "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False\n")
    suite.scenario("a/unrun", "import pytest\n@pytest.mark.xfail(run=False)\ndef test_it(): assert False\n")
    assert suite.runs_whole(5000).ret == 8
    assert suite.seen()["passed"].keys() == {"a/known"}


def test_what_failed_the_last_time_may_not_be_left_out(suite: Suite) -> None:
    suite.scenario("a/bad", FAILS)
    suite.scenario("a/good")
    suite.knows(suite.cache, ago={"a/bad": 1, "a/good": 1}, seconds=500, runs=1)
    assert suite.runs_whole(5000).ret == 1
    suite.repository.commits("program", "another")
    result = suite.runs_whole(60)
    assert result.ret == 8
    result.stdout.fnmatch_lines(["  a/bad: left out for time*, and has failed since; *"])


def test_a_run_that_is_killed_keeps_what_it_saw(suite: Suite) -> None:
    suite.scenario("a/good", EVERY_TIME + TEST)
    suite.scenario("a/killed", "import os, signal\ndef test_it(): os.kill(os.getpid(), signal.SIGKILL)\n")
    suite.repository.commits("program", "one")
    suite.monkeypatch.setenv(plugin.UNTIL, str(time.time() + 5000))
    here = Path(__file__).parents[3]
    suite.monkeypatch.setenv("PYTHONPATH", str(here))
    suite.pytester.runpytest_subprocess("-p", "tests.scenarios.plugin", "tests/e2e")
    assert suite.seen()["passed"].keys() == {"a/good"}
    assert len(suite.seen()["runs"]) == 1
    # What it was killed in has to pass in the next one, although it passed before.
    suite.scenario("a/killed")
    suite.knows(suite.cache, ago={"a/killed": 1}, seconds=2 * LIMIT)
    result = suite.runs_whole()
    assert result.ret == 8
    result.stdout.fnmatch_lines(["  a/killed: left out for time*, and has failed since; *"])


NO_LAB = """\
import pytest
from tests.scenarios import plugin

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.when == "setup":
        report.user_properties.append((plugin.SPENT_FOR_OTHERS, 1000))
        if report.failed:
            report.user_properties.append((plugin.WITHOUT_LAB, True))
    return report
"""
SETUP_FAILS = "import pytest\n@pytest.fixture\ndef lab(): assert False\ndef test_it(lab): pass\n"
SKIPPED = "import pytest\ndef test_it(): pytest.skip('this machine has no network')\n"
INTERRUPTED = "import pytest\ndef test_it(): pytest.exit()\n"


@pytest.mark.parametrize("then", [SETUP_FAILS, SKIPPED, INTERRUPTED], ids=["without-a-lab", "skipped", "interrupted"])
def test_a_run_that_says_nothing_of_a_scenario_leaves_it_as_it_was_and_what_had_failed_still_has(
    suite: Suite, then: str
) -> None:
    (suite.root / "tests" / "e2e").mkdir(parents=True)
    (suite.root / "tests" / "e2e" / "conftest.py").write_text(NO_LAB)
    suite.scenario("a/one", FAILS)
    suite.knows(suite.cache, ago={"a/one": 1}, seconds=2 * LIMIT, runs=1)
    assert suite.runs_whole(5000).ret == 1
    failed = suite.seen()["failed"]
    assert failed.keys() == {"a/one"}
    suite.scenario("a/one", then)
    suite.runs_whole(5000)
    assert suite.seen()["failed"] == failed
    result = suite.runs_whole(60)
    assert result.ret == 8
    result.stdout.fnmatch_lines(["  a/one: left out for time*, and has failed since; *"])


def test_a_fixture_that_fails_has_failed_its_scenario_unless_it_was_the_lab_that_could_not_be_made(
    suite: Suite,
) -> None:
    suite.scenario("a/one", SETUP_FAILS)
    assert suite.runs_whole(5000).ret == 1
    assert suite.seen()["failed"].keys() == {"a/one"}


def test_how_long_a_scenario_takes_is_without_what_others_find_made(suite: Suite, clock: Clock) -> None:
    (suite.root / "tests" / "e2e").mkdir(parents=True)
    (suite.root / "tests" / "e2e" / "conftest.py").write_text(NO_LAB)
    suite.scenario("a/one", "def test_it(): LATER(1234)\n")
    suite.monkeypatch.setattr(builtins, "LATER", clock.later, raising=False)
    assert suite.runs_whole(5000).ret == 0
    assert suite.seen()["passed"]["a/one"]["seconds"] == 234


def test_what_fails_in_a_tree_with_changes_counts_in_a_run_of_everything_alone(suite: Suite) -> None:
    suite.scenario("a/one", FAILS)
    suite.repository.commits("program", "one")
    (suite.root / "program").write_text("two")
    suite.monkeypatch.setattr(suite.repository, "commits", lambda *_: "")
    assert suite.runs("tests/e2e").ret == 1
    assert not suite.cache.exists()
    assert suite.runs_whole(5000).ret == 1
    assert suite.seen()["failed"]["a/one"]["commit"].endswith("+")


def test_a_scenario_whose_tests_others_put_elsewhere_is_over_with_its_last_test(suite: Suite) -> None:
    (suite.root / "tests" / "e2e").mkdir(parents=True)
    reorders = "import pytest\n@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
    reorders += "def pytest_collection_modifyitems(items):\n    yield\n    items[:] = items[::2] + items[1::2]\n"
    (suite.root / "tests" / "e2e" / "conftest.py").write_text(reorders)
    for name in ("a/one", "a/two"):
        suite.scenario(name, "def test_it(): pass\ndef test_more(): pass\n")
    assert suite.runs_whole(5000).ret == 0
    assert suite.seen()["passed"].keys() == {"a/one", "a/two"}


def test_a_lab_that_could_not_be_made_says_nothing_of_a_scenario(suite: Suite) -> None:
    (suite.root / "tests" / "e2e").mkdir(parents=True)
    (suite.root / "tests" / "e2e" / "conftest.py").write_text(NO_LAB)
    suite.scenario("a/one", SETUP_FAILS)
    suite.knows(suite.cache, ago={"a/one": 1}, runs=1)
    assert suite.runs_whole(5000).ret == 1
    assert suite.seen()["failed"] == {}


def test_a_scenario_that_the_machine_can_t_run_has_not_failed(suite: Suite) -> None:
    suite.scenario("a/one", "import pytest\ndef test_it(): pytest.skip('this machine has no such card')\n")
    suite.knows(suite.cache, ago={"a/one": 1}, runs=1)
    assert suite.runs_whole(5000).ret == 0
    assert suite.seen()["failed"] == {}


@pytest.mark.parametrize("skips", ["def test_it(): pytest.skip('later')", "@pytest.mark.skip\ndef test_it(): pass"])
def test_a_test_that_is_skipped_for_another_reason_than_the_machine_has_failed(suite: Suite, skips: str) -> None:
    suite.scenario("a/one", f"import pytest\n{skips}\n")
    suite.knows(suite.cache, ago={"a/one": 1}, runs=1)
    assert suite.runs_whole(5000).ret == 1
    assert suite.seen()["failed"].keys() == {"a/one"}


def test_some_tests_alone_that_fail_say_nothing_of_the_scenario(suite: Suite) -> None:
    suite.scenario("a/one", "def test_before(): pass\ndef test_it(): assert False\n")
    assert suite.runs("tests/e2e/a/test_one.py::test_it").ret == 1
    assert not suite.cache.exists()
    assert suite.runs("tests/e2e/a/test_one.py").ret == 1
    assert suite.seen()["failed"].keys() == {"a/one"}


def test_a_scenario_that_is_interrupted_after_its_last_test_has_not_passed(suite: Suite) -> None:
    ends = "import pytest\n@pytest.fixture\ndef lab():\n    yield\n    pytest.exit('enough')\n"
    suite.scenario("a/one", f"{ends}def test_it(lab): pass\n")
    suite.runs_whole(5000)
    assert suite.seen()["passed"] == {}


def test_a_lab_that_is_not_made_when_the_run_has_to_be_over_says_nothing_of_how_long_the_scenario_takes(
    suite: Suite,
) -> None:
    (suite.root / "tests" / "e2e").mkdir(parents=True)
    (suite.root / "tests" / "e2e" / "conftest.py").write_text(NO_LAB)
    suite.scenario("a/one", SETUP_FAILS.replace("assert False", "import threading; threading.Event().wait()"))
    suite.knows(suite.cache, ago={"a/one": 1}, seconds=1, runs=1)
    assert suite.runs_whole(3, "-p", "pytest_timeout", "tests/e2e").ret == 0
    assert suite.seen()["outgrew"] == suite.seen()["failed"] == {}


def test_a_test_that_failed_before_another_was_ended_for_time_has_failed(suite: Suite) -> None:
    waits = "import threading\ndef test_b(): threading.Event().wait()\n"
    suite.scenario("a/one", f"def test_a(): assert False\n{waits}")
    suite.knows(suite.cache, ago={"a/one": 1}, seconds=1, runs=1)
    assert suite.runs_whole(3, "-p", "pytest_timeout", "tests/e2e").ret == 1
    assert suite.seen()["failed"].keys() == {"a/one"}
    assert suite.seen()["outgrew"] == {}
