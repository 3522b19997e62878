"""Doing a plan."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from bootstrap.engine.action import Action, Context
from bootstrap.engine.cancellation import Cancellation
from bootstrap.engine.connections import Connections
from bootstrap.engine.events import ActionProgress, ActionSays, Event, unobserved
from bootstrap.engine.plan import Plan, make_plan
from bootstrap.engine.run import ActionOutcome, Report, State, run_plan
from bootstrap.errors import ClusterupError, Interrupted
from bootstrap.transport.base import Transport
from bootstrap.transport.errors import TransportError

Do = Callable[[Context], None]


def no_node(name: str) -> Transport:
    raise AssertionError(f"no one asked for {name}")


def plan(*actions: Action[None]) -> Plan[None]:
    return make_plan(actions, None)


def action(name: str, do: Do, *needs: str, exclusive: str | None = None) -> Action[None]:
    step = name.partition(".")[0]
    return Action(name, "s1", step, name, lambda _: "needed", do, needs=needs, exclusive=exclusive)


def run(*actions: Action[None], cancellation: Cancellation | None = None) -> Report:
    return run_plan(plan(*actions), Connections(no_node), observe=unobserved, cancellation=cancellation)


def states(report: Report) -> dict[str, str]:
    return {outcome.action.id: str(outcome.state) for outcome in report.outcomes}


def fail(_: Context) -> None:
    raise ClusterupError("it broke", hint="fix it")


def fine(_: Context) -> None:
    return None


def test_actions_that_nothing_keeps_apart_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=20)

    def meet(_: Context) -> None:
        both.wait()

    assert states(run(action("a", meet), action("b", meet))) == {"a": "done", "b": "done"}


def test_an_action_begins_when_what_it_needs_is_done() -> None:
    order: list[str] = []
    run(action("b", lambda _: order.append("b"), "a"), action("a", lambda _: order.append("a")))
    assert order == ["a", "b"]


def test_actions_of_one_exclusive_name_never_run_together() -> None:
    inside = threading.Semaphore(1)

    def alone(_: Context) -> None:
        assert inside.acquire(blocking=False)
        inside.release()

    report = run(*(action(f"a{n}", alone, exclusive="etcd") for n in range(8)))
    assert set(states(report).values()) == {"done"}


def test_a_failure_stops_what_comes_after_it_and_nothing_else() -> None:
    report = run(action("a", fail), action("b", fine, "a"), action("c", fine, "b"), action("d", fine))
    assert states(report) == {"a": "failed", "b": "skipped", "c": "skipped", "d": "done"}
    assert {outcome.because for outcome in report.of(State.SKIPPED)} == {"a"}


def test_a_failure_names_the_node_and_the_step_it_happened_in() -> None:
    (outcome,) = run(action("install.image", fail)).outcomes
    assert outcome.error is not None
    assert (outcome.error.node, outcome.error.step) == ("s1", "install")


def test_a_mistake_of_our_own_is_an_error_and_no_traceback() -> None:
    def wrong(_: Context) -> None:
        raise KeyError("x")

    (outcome,) = run(action("a", wrong)).outcomes
    assert outcome.error is not None
    assert "an error in clusterup itself" in str(outcome.error)


def test_what_does_not_verify_has_failed() -> None:
    unverified: Action[None] = Action("a", "s1", "a", "a", lambda _: "needed", fine, verify=fail)
    assert states(run(unverified)) == {"a": "failed"}


def test_after_an_interrupt_what_runs_ends_and_nothing_new_begins() -> None:
    cancellation = Cancellation()
    report = run(
        action("a", lambda _: cancellation.interrupted.set()), action("b", fine, "a"), cancellation=cancellation
    )
    assert states(report) == {"a": "done", "b": "skipped"}
    assert report.outcomes[1].because == "interrupted"


def test_while_a_run_is_held_nothing_begins_and_then_it_goes_on() -> None:
    answers = iter([True, True, False])
    began: list[str] = []

    def begin(_: Context) -> None:
        began.append("b")
        assert next(answers, None) is None

    assert states(run(action("b", begin), cancellation=Cancellation(hold=lambda: next(answers)))) == {"b": "done"}
    assert began == ["b"]


def test_what_runs_when_a_run_is_held_ends_and_an_interrupt_ends_the_rest() -> None:
    held = threading.Event()
    cancellation = Cancellation(hold=held.is_set)

    def hold(_: Context) -> None:
        held.set()
        threading.Timer(0.1, cancellation.interrupted.set).start()

    report = run(action("a", hold), action("b", fine, "a"), cancellation=cancellation)
    assert states(report) == {"a": "done", "b": "skipped"}


def test_an_abort_ends_a_wait() -> None:
    cancellation = Cancellation()

    def never() -> bool:
        cancellation.abort.set()
        return False

    (outcome,) = run(
        action("a", lambda context: context.wait_until(never, what="it", timeout=600, every=600)),
        cancellation=cancellation,
    ).outcomes
    assert outcome.error is not None
    assert outcome.error.exit_code == 130


@dataclass
class Stuck:
    """A way into a node whose commands never end, unless it is closed."""

    node: str
    alive: bool = True
    closed: threading.Event = field(default_factory=threading.Event)

    def check(self, command: str) -> None:
        self.closed.wait()
        raise TransportError("the connection broke", node=self.node, hint="look at it")

    def close(self) -> None:
        self.closed.set()


def test_an_abort_ends_a_command_that_a_node_does_not_end_and_does_not_call_it_a_failure_of_the_node() -> None:
    cancellation = Cancellation()
    ways = Connections(Stuck)  # type: ignore[arg-type]

    def ask(context: Context) -> None:
        way = context.on("s1")
        cancellation.abort.set()
        way.check("sleep forever")  # type: ignore[arg-type]

    (outcome,) = run_plan(plan(action("a", ask)), ways, observe=unobserved, cancellation=cancellation).outcomes
    assert outcome.error is not None
    assert outcome.error.exit_code == 130
    assert outcome.error.problem == "stopped before its end"


def test_after_an_abort_no_way_into_a_node_is_opened_any_more() -> None:
    ways = Connections(Stuck)  # type: ignore[arg-type]
    first = ways.on("s1")
    ways.abandon()
    assert isinstance(first, Stuck)
    assert first.closed.wait(60)
    for name in ("s1", "s2"):
        with pytest.raises(Interrupted, match="stopped"):
            ways.on(name)


def test_a_wait_that_ends_in_vain_says_what_for_and_what_was_seen_last() -> None:
    def refuses() -> bool:
        raise ClusterupError("connection refused", hint="is it on?")

    (outcome,) = run(action("a", lambda context: context.wait_until(refuses, what="etcd", timeout=0, every=1))).outcomes
    text = str(outcome.error)
    assert "waited 0 s in vain for etcd" in text
    assert "connection refused" in text
    assert "is it on?" in text


def test_a_wait_ends_at_once_with_what_will_not_pass() -> None:
    asked = []

    class Forbidden(ClusterupError):
        final = True

    def refuses() -> bool:
        asked.append("it")
        raise Forbidden("you may not do that", hint="ask somebody who may")

    (outcome,) = run(
        action("a", lambda context: context.wait_until(refuses, what="it", timeout=600, every=600))
    ).outcomes
    assert isinstance(outcome.error, Forbidden)
    assert (outcome.error.step, outcome.error.problem) == ("a", "you may not do that")
    assert asked == ["it"]


def test_progress_and_words_reach_the_observer_with_the_action_they_belong_to() -> None:
    seen: list[Event] = []

    def transfer(context: Context) -> None:
        context.say("writing")
        context.progress(10, 10)

    run_plan(plan(action("a", transfer)), Connections(no_node), observe=seen.append)
    assert [(e.id, e.text) for e in seen if isinstance(e, ActionSays)] == [("a", "writing")]
    assert [(e.done, e.total) for e in seen if isinstance(e, ActionProgress)] == [(10, 10)]


@pytest.mark.parametrize(
    ("spans", "share"), [([(0, 10)], 0.0), ([(0, 2), (1, 4), (6, 10)], 0.2), ([(0, 1), (9, 10)], 0.8), ([], 1.0)]
)
def test_the_idle_share_is_the_time_in_which_nothing_ran(spans: list[tuple[float, float]], share: float) -> None:
    outcomes = tuple(ActionOutcome(action("a", fine), State.DONE, began, ended) for began, ended in spans)
    assert Report(outcomes, 10.0).idle_share == pytest.approx(share)
