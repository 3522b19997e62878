"""Asking many at once, and not waiting for the rest when a person has had enough."""

from __future__ import annotations

import threading

import pytest

from bootstrap.engine.pool import asking


def test_all_are_answered_before_it_ends() -> None:
    with asking(2, "test") as pool:
        answers = [pool.submit(int.__mul__, number, 2) for number in range(5)]
    assert [answer.result() for answer in answers] == [0, 2, 4, 6, 8]


def test_ctrl_c_waits_for_no_one_and_begins_nothing_more() -> None:
    release = threading.Event()
    with pytest.raises(KeyboardInterrupt), asking(1, "test") as pool:
        stuck = pool.submit(release.wait, 60)
        waiting = pool.submit(lambda: "never")
        raise KeyboardInterrupt
    assert not stuck.done()
    assert waiting.cancelled()
    release.set()
