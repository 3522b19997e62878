"""How fast a transfer is, and how long it still takes, in words."""

from __future__ import annotations

import pytest

from bootstrap.ui.transfers import TransferRate


def test_nothing_is_said_before_anything_is_known() -> None:
    pace = TransferRate()
    assert pace.words(100.0, 1000) == ""
    pace.add(100.0, 0)
    assert pace.words(100.0, 1000) == ""


@pytest.mark.parametrize(
    ("done", "total", "said"),
    [
        (10_000_000, 100_000_000, "1.0 MB/s, 2 min left"),
        (10_000_000, 30_000_000, "1.0 MB/s, 20 s left"),
        (10_000_000, 10_000_000, "1.0 MB/s"),
        (115_200, 136_000_000, "11.5 kB/s, 3 h 17 min left"),
    ],
)
def test_rate_and_time_left_are_those_of_what_was_done(done: int, total: int, said: str) -> None:
    pace = TransferRate()
    pace.add(100.0, 0)
    pace.add(110.0, done)
    assert pace.words(110.0, total) == said


def test_a_line_that_became_slower_is_known_by_its_last_minute() -> None:
    pace = TransferRate()
    for second in range(200):
        pace.add(float(second), second * 1000)
    for second in range(200, 400):
        pace.add(float(second), 200_000 + (second - 200) * 10)
    assert 5 < pace.rate(399.0) < 20


def test_a_transfer_that_begins_again_is_never_slower_than_nothing() -> None:
    rate = TransferRate()
    for when, done in ((0.0, 0), (1.0, 9_000_000), (2.0, 0), (3.0, 1_000_000)):
        rate.add(when, done)
    assert rate.words(3.0, 10_000_000).startswith("1.0 MB/s")
