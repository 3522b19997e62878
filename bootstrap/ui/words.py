"""Reports as text that is read by a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bootstrap.engine.run import ActionOutcome, Report, State
from bootstrap.outside import on_one_line


def failure_lines(report: Report) -> Iterator[str]:
    """What failed, in full."""
    for outcome in report.of(State.FAILED):
        yield str(outcome.error)


def report_lines(report: Report, unreachable: Iterable[str], again: str) -> Iterator[str]:
    """How a run ended: how each node stands, the time of each step, and `again`, the command to go on with.
    `unreachable` are the nodes that were left alone because they did not answer."""
    yield from map(on_one_line, _summary(report, list(unreachable), again))


def _summary(report: Report, away: list[str], again: str) -> Iterator[str]:
    failed, skipped = report.of(State.FAILED), report.of(State.SKIPPED)
    if failed or skipped or away:
        yield from _by_node(report)
        if away:
            yield f"  not reached: {', '.join(away)}"
    for step, seconds in report.seconds_by_step.items():
        yield f"  {step:<12} {seconds:8.1f} s"
    done = len(report.of(State.DONE))
    also = f", {len(away)} machines not reached" if away else ""
    yield f"{done} done, {len(failed)} failed, {len(skipped)} not begun{also}, in {report.seconds:.1f} s"
    if failed or skipped or away:
        yield f"to go on: {again}"


def _by_node(report: Report) -> Iterator[str]:
    """A line for each node that something is left to do on, and one for all others."""
    by_node: dict[str, list[ActionOutcome]] = {}
    for outcome in report.outcomes:
        by_node.setdefault(outcome.action.node or "cluster", []).append(outcome)
    whole = [node for node, outcomes in by_node.items() if all(each.state is State.DONE for each in outcomes)]
    for node, outcomes in by_node.items():
        if node not in whole:
            yield f"  {node}: {'; '.join(_standing(outcomes))}"
    if whole:
        yield f"  all done: {', '.join(whole)}"


def _standing(outcomes: Iterable[ActionOutcome]) -> Iterator[str]:
    titles: dict[State, list[str]] = {state: [] for state in State}
    because: dict[str, None] = {}
    for outcome in outcomes:
        titles[outcome.state].append(outcome.action.name)
        because.update({outcome.because: None} if outcome.because else {})
    if titles[State.DONE]:
        yield f"done: {', '.join(titles[State.DONE])}"
    if titles[State.FAILED]:
        yield f"failed: {', '.join(titles[State.FAILED])}"
    if titles[State.SKIPPED]:
        yield f"not begun: {', '.join(titles[State.SKIPPED])} (because of {', '.join(because)})"
