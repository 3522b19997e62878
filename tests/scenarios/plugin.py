"""pytest's part of the rule that CI tells the truth: end-to-end tests in the order of need, within a limit of time,
with a record of what passed, and an exit code for a run that proves too little. docs/testing.md describes it.

CLUSTERUP_TEST_UNTIL, which scripts/test sets for a run of everything, is when such a run has to be over, in seconds
since the epoch. Without it a run does what it was asked for, and is not a whole run.
"""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bootstrap.errors import ClusterupError
from tests.scenarios.commit import gap_between, submission
from tests.scenarios.files import cached, existing, now, readings
from tests.scenarios.order import (
    EVERY_TIME,
    FOLDER,
    MAKES_LABS,
    UNKNOWN,
    WITHIN,
    Scenario,
    Submission,
    fits,
    name_of,
    ordered,
    ordered_by_age,
    pace,
    seconds_taken,
    within,
)
from tests.scenarios.record import CHANGED, Record, Seen, add, merged, take_back_failure
from tests.scenarios.verdict import FAILED, LEFT_OUT, PASSED, TOO_LITTLE, counted, missing, table, words

UNTIL = "CLUSTERUP_TEST_UNTIL"
# What a report says of itself (user_properties): how many seconds went by for what other scenarios find made, or for
# another run to be over, and that the lab could not be made in which its scenario begins.
SPENT_FOR_OTHERS = "clusterup-seconds-spent-for-others"
WITHOUT_LAB = "clusterup-without-lab"
# What stands in the failure of a test that pytest-timeout ended.
ENDED = "from pytest-timeout"
# It measures from a moment after the one at which it is told how long there is.
SLACK = 5
# How many seconds a test may take where a run has no limit of its own.
BY_HAND = 3 * 3600
# How the reason of every skip begins: a machine that truly can't is all that excuses a test.
EXCUSE = "this machine "


def pytest_configure(config: pytest.Config) -> None:
    """Where several processes share the tests (-n), none of them sees a whole scenario: nothing is recorded there."""
    shared = hasattr(config, "workerinput") or config.getoption("dist", "no") != "no"
    if shared and not hasattr(config, "workerinput") and _until() is not None:
        raise pytest.UsageError(f"a run of everything ({UNTIL}) is one process: without -n")
    if not shared and not config.option.collectonly:
        config.pluginmanager.register(Scenarios(config.rootpath, _until()), "clusterup-scenarios")


class Scenarios:
    """One session of pytest: which scenarios there are, what came of each, and what is remembered of it."""

    def __init__(self, root: Path, until: float | None) -> None:
        self.root, self.until = root, until
        self.began = now()
        self.scenarios: dict[str, Scenario] = {}
        self.written: dict[str, set[str]] = defaultdict(set)
        self.results: dict[str, dict[str, str]] = defaultdict(dict)
        self.outcomes: dict[str, str] = {}
        self.begun: dict[str, float] = {}
        self.left: Counter[str] = Counter()
        self.for_others: dict[str, float] = defaultdict(float)
        self.to_blame: set[str] = set()
        self.record, self.ours, self.seen = Record(), Record(), Record()
        self.submission = Submission("")
        self.took: dict[str, int] = {}
        self.within = WITHIN
        self.complaints: list[str] = []

    # What there is, and in which order

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Every test of a module counts, whichever of them were chosen afterwards."""
        report = yield
        name = self._name(collector)
        if name and isinstance(collector, pytest.Module | pytest.Class) and report.passed:
            self.written[name].discard(collector.nodeid)
            self.written[name] |= {child.nodeid for child in report.result}
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Scenarios come after all other tests, each in one piece."""
        modules: dict[str, list[pytest.Item]] = defaultdict(list)
        for item in items:
            modules[self._name(item)].append(item)
        others = modules.pop("", [])
        if not modules:
            return
        committed, ours = readings(self.root)
        self.complaints += [*committed.complaints, *ours.complaints]
        self.record, self.ours = merged(committed.record, ours.record), ours.record
        self.submission = submission(self.root, gap_between(committed.record, ours.record), now())
        self.scenarios = {scenario.name: scenario for scenario in existing(self.root)}
        for name, found in modules.items():
            marked = (any(item.get_closest_marker(mark) for item in found) for mark in (EVERY_TIME, MAKES_LABS))
            self.scenarios[name] = Scenario(found[0].path.relative_to(self.root).as_posix(), *marked)
        self.took = self._took_before(seconds_taken(committed.record))
        chosen = [self.scenarios[name] for name in modules]
        if self.until is not None:
            every = [each for each in self.scenarios.values() if each.every_time]
            turns = [each for each in self.scenarios.values() if not each.every_time]
            self.within = within(self._seconds_of(every), self._seconds_of(turns), self.until - now())
        take_turns = ordered_by_age if self._is_too_slow_for(chosen) else ordered
        order = take_turns(chosen, self.record, self.submission)
        items[:] = [*others, *(item for each in order for item in modules[each.name])]

    @pytest.hookimpl
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """How many tests of each scenario run, in whatever order others have put them meanwhile."""
        self.left = Counter(filter(None, map(self._name, session.items)))

    # While they run

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """A scenario is begun when there is time for it, and is recorded when its last test is over."""
        name = self._name(item)
        if name and name not in self.begun:
            self._begin(name)
        if name:
            self._limit(item)
        done = yield
        self.left[name] -= 1
        if name and not self.left[name]:
            self._end(name)
        return done

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """No test of a scenario runs that there is no time for."""
        why = self.outcomes.get(self._name(item), "")
        if why:
            pytest.skip(why)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """A test that is skipped for anything but what this machine can't do has failed. One that was ended because the
        run has to be over has not."""
        report = yield
        name = self._name(item)
        if name and report.failed and self._is_out_of_time(call):
            self._outgrew(name, makes_lab=WITHOUT_LAB in dict(report.user_properties))
            report.outcome = "skipped"
            report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: {self.outcomes[name]}")
        if name and name not in self.outcomes and report.skipped and not hasattr(report, "wasxfail"):
            reason = _reason(report)
            if not reason.startswith(EXCUSE):
                report.outcome = "failed"
                report.longrepr = f"skipped without an excuse ({EXCUSE!r}...): {reason}"
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test passed when nothing of it failed or was skipped. One that ran and failed, as is known of it, did what
        it should."""
        name = self._name_at(report.nodeid.partition("::")[0])
        if not name:
            return
        said = dict(report.user_properties)
        self.for_others[name] += float(str(said.get(SPENT_FOR_OTHERS, 0)))
        if report.failed and WITHOUT_LAB not in said:
            self.to_blame.add(name)
        if self.results[name].get(report.nodeid) == FAILED:
            return
        expected = report.when == "call" and hasattr(report, "wasxfail")
        if report.failed:
            self.results[name][report.nodeid] = FAILED
        elif report.skipped and not expected:
            self.results[name][report.nodeid] = f"skipped: {_reason(report)}"
        elif report.when == "call" or expected:
            self.results[name][report.nodeid] = PASSED

    def _begin(self, name: str) -> None:
        """Begin a scenario, or leave it out where it would not be over in time: it would not be later either."""
        self.begun[name] = now()
        took = self._expected(name)
        if self.until is not None and not fits(took, self.begun[name], self.until):
            left = max(0, round(self.until - self.begun[name]))
            needs = f"{UNKNOWN} s, as no time is recorded," if took is None else f"{took} s"
            self.outcomes[name] = f"{LEFT_OUT}: it needs {needs} and {left} s were left"
        elif self.until is not None:
            # It has failed until it is over: a run may be killed because of it.
            self._remember(Record(failed={name: self._failing(name)}))

    def _limit(self, item: pytest.Item) -> None:
        """No test goes on when the run has to be over. What is right for other tests is too short on a slow machine."""
        seconds = BY_HAND if self.until is None else max(1.0, self.until - now())
        if any(line.startswith("timeout(") for line in item.config.getini("markers")):
            item.add_marker(pytest.mark.timeout(seconds), append=False)

    def _is_out_of_time(self, call: pytest.CallInfo[None]) -> bool:
        late = self.until is not None and now() + SLACK >= self.until
        error: BaseException | None = None if call.excinfo is None else call.excinfo.value
        while late and error is not None:
            if ENDED in str(error):
                return True
            # What tidied up behind it may have failed as well.
            error = error.__context__
        return False

    def _outgrew(self, name: str, *, makes_lab: bool) -> None:
        """Remember that a scenario was not over when the run had to be. Where its lab was still being made, that says
        nothing of how long the scenario itself takes."""
        if name in self.outcomes:
            return
        if FAILED in self.results[name].values():
            # Another of its tests has failed by itself.
            self._end(name)
            return
        seconds = round(now() - self.begun[name])
        self.outcomes[name] = f"{LEFT_OUT}: it was not over after {seconds} s, when the run had to be"
        self._take_back(name)
        if not makes_lab:
            self._remember(Record(outgrew={name: Seen(self.submission.commit, int(now()), seconds)}))

    def _took_before(self, elsewhere: Mapping[str, int]) -> dict[str, int]:
        """How long scenarios took on this machine; where that is not known, how long they should take, by what they
        took elsewhere."""
        here = seconds_taken(self.ours)
        # What was brought into the repository from here says nothing of how much slower this machine is.
        slower = pace(elsewhere, {name: took for name, took in here.items() if took != elsewhere.get(name)})
        return {**{name: round(took * slower) for name, took in elsewhere.items()}, **here}

    def _expected(self, name: str) -> int | None:
        """How long it would take now: the machine may have become slower meanwhile."""
        took = self.took.get(name)
        return None if took is None else round(took * pace(self.took, seconds_taken(self.seen)))

    def _is_too_slow_for(self, scenarios: Iterable[Scenario]) -> bool:
        """Whether those of every time alone would need more than there is."""
        if self.until is None:
            return False
        return sum(self._seconds_of(each for each in scenarios if each.every_time)) > self.until - now()

    def _seconds_of(self, scenarios: Iterable[Scenario]) -> list[int]:
        """How long each of them is expected to take."""
        each = (self._expected(scenario.name) for scenario in scenarios)
        return [UNKNOWN if took is None else took for took in each]

    def _end(self, name: str) -> None:
        """Remember what came of a scenario whose last test is over."""
        if name in self.outcomes:
            return
        results = self.results[name]
        every = results.keys() >= self.written[name]
        if FAILED in results.values():
            self.outcomes[name] = FAILED
        elif self.left[name]:
            self.outcomes[name] = "interrupted"
        elif skipped := next((result for result in results.values() if result != PASSED), ""):
            self.outcomes[name] = skipped
        else:
            self.outcomes[name] = PASSED if every else "only some of its tests ran"
        took = max(0.0, now() - self.begun[name] - self.for_others[name])
        seen = Seen(self.submission.commit, int(now()), round(took))
        if self.outcomes[name] == PASSED:
            self._remember(Record(passed={name: seen}))
        elif self.outcomes[name] != FAILED or name not in self.to_blame:
            # A machine that can't run it, and a lab that could not be made, say nothing of it.
            self._take_back(name)
        # Some tests alone may miss what those before them do; and what fails while somebody still works on it says
        # nothing of what is submitted.
        elif self.until is not None or (every and not self.submission.commit.endswith(CHANGED)):
            self._remember(Record(failed={name: seen}))

    def _failing(self, name: str) -> Seen:
        return Seen(self.submission.commit, int(self.begun[name]), 0)

    def _take_back(self, name: str) -> None:
        failing = self._failing(name)
        if self.seen.failed.get(name) != failing:
            return
        kept = {each: seen for each, seen in self.seen.failed.items() if each != name}
        self.seen = replace(self.seen, failed=kept)
        try:
            take_back_failure(cached(), name, failing, self.ours.failed.get(name), now())
        except (OSError, ClusterupError) as error:
            self.complaints.append(f"this machine's record can't be written: {error}")

    def _remember(self, more: Record) -> None:
        self.seen = merged(self.seen, more)
        if self.until is not None:
            run = Seen(self.submission.commit, int(self.began), round(now() - self.began))
            self.seen = merged(self.seen, Record((run,)))
        try:
            add(cached(), self.seen, now())
        except (OSError, ClusterupError) as error:
            self.complaints.append(f"this machine's record can't be written: {error}")

    # At the end

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
        """A whole run that proves too little has an exit code of its own, unless something worse has another. What is
        to be known comes after all else that pytest says."""
        for name in self.begun:
            self._end(name)
        lines = [] if self.until is None or not self.scenarios else self._judge(session, exitstatus)
        yield
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if not self.scenarios or reporter is None:
            return
        known = merged(self.record, Record(passed=self.seen.passed, failed=self.seen.failed))
        reporter.section("scenarios")
        for line in (
            *table(self.scenarios.values(), self.outcomes, known, self.submission),
            *dict.fromkeys(self.complaints),
            *lines,
        ):
            reporter.write_line(line)

    def _judge(self, session: pytest.Session, exitstatus: int) -> Sequence[str]:
        if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            self._remember(Record())
        left = missing(self.scenarios.values(), self.outcomes, self.record, self.submission, within=self.within)
        if exitstatus == pytest.ExitCode.OK and any(each.blamed for each in left):
            session.exitstatus = TOO_LITTLE
        return [counted(self.record, self.submission), *words(left, within=self.within)]

    # How things are called

    def _name(self, node: pytest.Item | pytest.Collector) -> str:
        try:
            return self._name_at(node.path.relative_to(self.root).as_posix())
        except ValueError:
            return ""

    def _name_at(self, path: str) -> str:
        return name_of(path) if path.startswith(f"{FOLDER}/") and path.endswith(".py") else ""


def _until() -> float | None:
    configured = os.environ.get(UNTIL)
    if configured is None:
        return None
    try:
        until = float(configured)
    except ValueError:
        until = math.nan
    if not math.isfinite(until):
        raise pytest.UsageError(f"{UNTIL} is not a time: {configured!r} (seconds since the epoch: date +%s)")
    return until


def _reason(report: pytest.TestReport) -> str:
    """Why a test was skipped."""
    found = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr or "")
    return found.removeprefix("Skipped: ").partition("\n")[0][:200]
