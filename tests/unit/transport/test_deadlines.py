"""Calls that are due: made in their order, unless they are cancelled before."""

from __future__ import annotations

import threading

from bootstrap.transport.deadlines import FEW, Deadlines

LONG = 3600.0


def test_calls_are_made_in_the_order_in_which_they_are_due() -> None:
    made: list[str] = []
    ended = threading.Event()
    deadlines = Deadlines()
    deadlines.call_in(LONG, lambda: made.append("in an hour"))
    deadlines.call_in(0.2, ended.set)
    deadlines.call_in(0.1, lambda: made.append("second"))
    deadlines.call_in(0.0, lambda: made.append("first"))
    assert ended.wait(60)
    assert made == ["first", "second"]


def test_a_cancelled_call_is_not_made() -> None:
    made: list[str] = []
    ended = threading.Event()
    deadlines = Deadlines()
    cancel = deadlines.call_in(0.1, lambda: made.append("cancelled"))
    cancel()
    cancel()
    deadlines.call_in(0.2, ended.set)
    assert ended.wait(60)
    assert made == []


def test_one_thread_keeps_them_all_however_many_are_cancelled() -> None:
    before = threading.active_count()
    deadlines = Deadlines()
    for _ in range(10 * FEW):
        deadlines.call_in(LONG, lambda: None)()
    ended = threading.Event()
    deadlines.call_in(0.0, ended.set)
    assert ended.wait(60)
    assert threading.active_count() <= before + 1
