"""Doing a plan: everything at once that nothing keeps apart, each action told to an observer.

An action starts when the planned ones before it are done and no one runs under the same `exclusive` name. A
failure stops what comes after it and nothing else.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bootstrap.engine.action import Action
from bootstrap.engine.cancellation import Cancellation
from bootstrap.engine.connections import Connections
from bootstrap.engine.context import RunContext
from bootstrap.engine.events import ActionDone, ActionFailed, ActionSkipped, ActionStarted, Observer, PlanBegun
from bootstrap.engine.plan import Plan, Planned
from bootstrap.errors import ClusterupError, Interrupted
from bootstrap.system_errors import as_error

DEFAULT_LIMITS = {"transfer": 4}
INTERRUPTED = "interrupted"


class State(StrEnum):
    """How an action ended."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class ActionOutcome:
    """What became of an action. `began` and `ended` are seconds since the run began; both 0 when skipped."""

    action: Action[Any]
    state: State
    began: float = 0.0
    ended: float = 0.0
    error: ClusterupError | None = None
    because: str | None = None

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True)
class Report:
    """A whole run; `seconds` is its wall time."""

    outcomes: tuple[ActionOutcome, ...]
    seconds: float

    def of(self, state: State) -> tuple[ActionOutcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.state is state)

    @property
    def seconds_by_step(self) -> dict[str, float]:
        """Wall time from the first beginning to the last end of each step's actions."""
        spans: dict[str, tuple[float, float]] = {}
        for outcome in self.outcomes:
            if outcome.state is State.SKIPPED:
                continue
            first, last = spans.get(outcome.action.step, (outcome.began, outcome.ended))
            spans[outcome.action.step] = (min(first, outcome.began), max(last, outcome.ended))
        return {step: last - first for step, (first, last) in spans.items()}

    @property
    def idle_share(self) -> float:
        """The share of the wall time, 0 to 1, in which no action was running."""
        if not self.seconds:
            return 0.0
        busy, reached = 0.0, 0.0
        for outcome in sorted(self.outcomes, key=lambda outcome: outcome.began):
            if outcome.ended > reached:
                busy += outcome.ended - max(outcome.began, reached)
                reached = outcome.ended
        return max(0.0, 1 - busy / self.seconds)


def run_plan(
    plan: Plan[Any],
    connections: Connections,
    *,
    observe: Observer,
    parallel: int = 16,
    limits: Mapping[str, int] | None = None,
    cancellation: Cancellation | None = None,
) -> Report:
    """Do the plan, at most `parallel` actions at a time, and say how each ended. Raises nothing for a failure:
    it is in the report."""
    cancellation = cancellation or Cancellation()
    slots = {name: threading.Semaphore(count) for name, count in {**DEFAULT_LIMITS, **(limits or {})}.items()}
    start = time.monotonic()
    observe(PlanBegun(planned=Counter(item.action.node or "cluster" for item in plan.items)))

    def perform(item: Planned[Any]) -> ActionOutcome:
        action = item.action
        began = time.monotonic() - start
        who = _who(action)
        observe(ActionStarted(**who))
        context = RunContext(action, connections, observe, slots, cancellation.abort)
        error = _attempt(action, context)
        ended = time.monotonic() - start
        if error is not None:
            observe(ActionFailed(**who, seconds=ended - began, error=error))
            return ActionOutcome(action, State.FAILED, began, ended, error)
        observe(ActionDone(**who, seconds=ended - began))
        return ActionOutcome(action, State.DONE, began, ended)

    ended = threading.Event()
    watcher = threading.Thread(target=_abandon_on_abort, args=(cancellation.abort, ended, connections), daemon=True)
    watcher.start()
    try:
        outcomes = _schedule(plan, perform, observe, parallel, cancellation)
    finally:
        ended.set()
    return Report(
        tuple(outcomes[item.action.id] for item in plan.items),
        time.monotonic() - start,
    )


def _schedule(
    plan: Plan[Any],
    perform: Callable[[Planned[Any]], ActionOutcome],
    observe: Observer,
    parallel: int,
    cancellation: Cancellation,
) -> dict[str, ActionOutcome]:
    outcomes: dict[str, ActionOutcome] = {}
    waiting = list(plan.items)
    running: dict[Future[ActionOutcome], Planned[Any]] = {}

    def skip(item: Planned[Any], because: str) -> None:
        outcomes[item.action.id] = ActionOutcome(item.action, State.SKIPPED, because=because)
        observe(ActionSkipped(**_who(item.action), because=because))

    with ThreadPoolExecutor(parallel, thread_name_prefix="action") as pool:
        while waiting or running:
            still: list[Planned[Any]] = []
            busy = {item.action.exclusive for item in running.values() if item.action.exclusive}
            for item in waiting:
                stopped = _stopped_by(item, outcomes)
                if cancellation.interrupted.is_set():
                    skip(item, INTERRUPTED)
                elif stopped is not None:
                    skip(item, stopped)
                elif (
                    len(running) < parallel
                    and item.action.exclusive not in busy
                    and all(name in outcomes for name in item.after)
                    and not cancellation.hold()
                ):
                    if item.action.exclusive:
                        busy.add(item.action.exclusive)
                    running[pool.submit(perform, item)] = item
                else:
                    still.append(item)
            waiting = still
            if running:
                # The interval is for Ctrl-C alone: waiting actions are skipped without an action having to end.
                ended, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in ended:
                    outcomes[running.pop(future).action.id] = future.result()
            elif waiting:
                # Nothing but `hold` keeps these: it is asked again.
                cancellation.interrupted.wait(0.5)
    return outcomes


def _abandon_on_abort(abort: threading.Event, ended: threading.Event, connections: Connections) -> None:
    """What waits for a node would wait for as long as the node takes: it is cut off."""
    while not ended.is_set():
        if abort.wait(0.2):
            connections.abandon()
            return


def _stopped_by(item: Planned[Any], outcomes: Mapping[str, ActionOutcome]) -> str | None:
    """The failed action, however far back, that keeps `item` from being begun."""
    for name in item.after:
        outcome = outcomes.get(name)
        if outcome is not None and outcome.state is State.FAILED:
            return name
        if outcome is not None and outcome.state is State.SKIPPED:
            return outcome.because
    return None


def _attempt(action: Action[Any], context: RunContext) -> ClusterupError | None:
    try:
        action.apply(context)
        action.verify(context)
    except ClusterupError as found:
        # What breaks because its connection was closed under it did not fail.
        error = found if not context.abort.is_set() or isinstance(found, Interrupted) else context.interrupted()
        error.node = error.node or action.node
        error.step = error.step or action.step
        return error
    except Exception as error:
        return as_error(error, node=action.node, step=action.step, tried=action.title)
    return None


def _who(action: Action[Any]) -> dict[str, Any]:
    return {"id": action.id, "node": action.node, "step": action.step, "title": action.title}
